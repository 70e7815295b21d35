"""A model folder that was damaged or replaced on its way must not answer anybody."""

from __future__ import annotations

import json
import os
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


def _edited(**changes: object) -> Callable[[dict[str, object]], None]:
    return lambda manifest: manifest.update(changes)


def _in_signature(**changes: object) -> Callable[[dict[str, object]], None]:
    return lambda manifest: manifest["signature"].update(changes)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_edited(format=True), "format that this Tidemill does not read: True"),
        (_edited(format="1"), "does not read: '1'"),
        (_edited(evil=1), r"nobody knows: \['evil'\]"),
        (_edited(name=7), "name in .* is not a str: 7"),
        (_edited(framework=None), "framework in .* is not a str"),
        (_edited(files=[]), "files in .* is not a dict"),
        (_edited(files={"model.onnx": {}}), "no digest and size of a file: 'model.onnx'"),
        (_edited(files={"model.onnx": {"sha256": 1, "bytes": 1}}), "no digest and size"),
        (_edited(encoding={}), "encoding in .* is not a list"),
        (_edited(encoding=[7]), "encoding in .* is not a list of mappings"),
        (_edited(encoding=[{"name": "x"}]), "no name, column and kind"),
        (_edited(cleaning=["x"]), "cleaning in .* is not a list of mappings"),
        (_edited(signature={}), "signature .* cannot be read: KeyError"),
        (_edited(signature=[]), "signature in .* is not a dict"),
        (_in_signature(task="pickle"), "signature .* is none"),
        (_in_signature(classes=7), "signature .* cannot be read: TypeError"),
        (_in_signature(classes=[1]), "signature .* is none"),
        (_in_signature(threshold="0.5"), "signature .* is none"),
        (_in_signature(target=None), "signature .* is none"),
        (_in_signature(inputs={"columns": [{"name": "x"}]}), "signature .* cannot be read"),
        (_in_signature(inputs={"columns": [{"name": "x", "type": "evil"}]}), "signature .* cannot be read"),
        (_in_signature(inputs={"columns": [{"name": "x", "type": "int64", "evil": 1}]}), "signature .* cannot be read"),
        (_in_signature(inputs={"columns": [{"name": "x", "type": "int64", "minimum": "a"}]}), "signature .* is none"),
        (_in_signature(inputs=[]), "signature .* cannot be read"),
        (_edited(metadata=[]), "metadata in .* is not a dict"),
        (lambda manifest: manifest.pop("encoding"), r"lacks fields: \['encoding'\]"),
    ],
)
def test_a_manifest_that_nobody_has_written_is_refused_by_field(
    folder: Path, edit: Callable[[dict[str, object]], None], message: str
) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UnsafeModelError, match=message):
        open_folder(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": NaN}', "NaN is no JSON number"),
        ('{"format": 1, "params": {"x": Infinity}}', "Infinity is no JSON number"),
        ('{"format": 1, "name": "a", "name": "b"}', "twice"),
        ("[" * 200_000, "not JSON"),
        ('"model"', "does not read"),
        ("", "not JSON"),
    ],
)
def test_json_that_readers_could_read_in_two_ways_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(UnsafeModelError, match=message):
        open_folder(folder)


def test_a_manifest_that_fills_the_memory_is_refused_unread(folder: Path) -> None:
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(300 << 20)
    with pytest.raises(UnsafeModelError, match="bytes"):
        open_folder(folder)


def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "notes")
    with pytest.raises(UnsafeModelError, match="no file: 'notes'"):
        open_folder(folder)
