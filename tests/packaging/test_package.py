"""A model folder that was damaged or replaced on its way must not answer anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tidemill.core.errors import ModelError, UnsafeModelError, UsageError
from tidemill.core.model import Model
from tidemill.packaging.package import MANIFEST, Package, model_of, native_package, open_folder
from tidemill.training.prediction import predict


@pytest.fixture
def folder(packaged: Package, tmp_path: Path) -> Path:
    return packaged.write(tmp_path / "model")


def test_a_folder_comes_back_as_it_was_written(packaged: Package, folder: Path) -> None:
    again = open_folder(folder, digest=packaged.digest)
    assert again.digest == packaged.digest
    assert again.members() == packaged.members()
    assert again.signature == packaged.signature


def test_the_model_in_it_predicts_as_before(model: Model, packaged: Package, table: pl.DataFrame) -> None:
    assert (predict(model_of(packaged), table) == predict(model, table)).all()


def _changed(folder: Path) -> None:
    path = folder / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _lost(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def _added(folder: Path) -> None:
    (folder / "notes.txt").write_text("hello")


def _pickled(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "model.pkl").write_bytes(b"\x80\x04.")


def _linked(folder: Path) -> None:
    (folder / "extra").symlink_to("/etc/hostname")


def _newer(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format": 99}))


def _garbled(folder: Path) -> None:
    (folder / MANIFEST).write_text("{")


def _headless(folder: Path) -> None:
    (folder / MANIFEST).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_changed, "digest of model.onnx"),
        (_lost, "lacks a file: 'model.onnx'"),
        (_added, "notes.txt"),
        (_pickled, "pickle.*deep/model.pkl"),
        (_linked, "link: 'extra'"),
        (_newer, "format.*99"),
        (_garbled, "not JSON"),
        (_headless, "model.json is missing"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_and_says_why(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(UnsafeModelError, match=message):
        open_folder(folder)


def test_a_folder_that_was_replaced_as_a_whole_is_refused_by_who_knows_its_digest(
    packaged: Package, folder: Path
) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["signature"]["threshold"] = 0.99
    (folder / MANIFEST).write_text(json.dumps(manifest))
    open_folder(folder)  # whole in itself
    with pytest.raises(UnsafeModelError, match="not the one that was registered"):
        open_folder(folder, digest=packaged.digest)


def test_a_package_does_not_overwrite_what_is_there(packaged: Package, folder: Path) -> None:
    with pytest.raises(UsageError, match="new or empty"):
        packaged.write(folder)


def test_equal_models_have_equal_digests_however_long_their_training_took(model: Model) -> None:
    slower = {**model.metadata, "timing": {"seconds": 1e9}}
    other = Model(**{name: getattr(model, name) for name in Model.__slots__} | {"metadata": slower})
    assert native_package(model).digest == native_package(other).digest


def test_a_value_that_model_json_cannot_hold_is_named(model: Model) -> None:
    odd = Model(**{name: getattr(model, name) for name in Model.__slots__} | {"params": {"depth": float("nan")}})
    with pytest.raises(ModelError, match=r"params\.depth"):
        native_package(odd)
