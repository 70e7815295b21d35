"""Files, folders, bytes, arrays and figures as artifacts."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as npst

from tidemill.core.errors import CorruptArtifactError, MaterialiserError
from tidemill.engine.materialisers import Draft, digest_of, load, save
from tidemill.engine.materialisers.archive import unpack
from tidemill.engine.materialisers.arrays import ArrayMaterialiser
from tidemill.engine.materialisers.figure import FigureMaterialiser, inlined
from tidemill.engine.materialisers.files import BytesMaterialiser, PathMaterialiser
from tidemill.testing import materialiser_contract

checks = pytest.mark.parametrize("check", materialiser_contract.CHECKS, ids=lambda check: check.__name__)


def make_folder(root: Path, name: str = "model") -> Path:
    folder = root / name
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    (folder / "sub" / "weights.bin").write_bytes(bytes(range(256)) * 100)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    return folder


def contents(path: Path) -> Any:
    if path.is_file():
        return path.read_bytes()
    return {
        inner.relative_to(path).as_posix(): inner.read_bytes() if inner.is_file() else None for inner in path.rglob("*")
    }


@checks
def test_path_contract(artifacts, tmp_path, check):
    files = [tmp_path / name for name in ("a.txt", "b.txt", "empty")]
    for path, data in zip(files, (b"a", b"b", b""), strict=True):
        path.write_bytes(data)
    (tmp_path / "hollow").mkdir()
    folders = [make_folder(tmp_path), tmp_path / "hollow"]
    check(PathMaterialiser(), [*files, *folders], artifacts, lambda left, right: contents(left) == contents(right))


@checks
def test_bytes_contract(artifacts, check):
    check(BytesMaterialiser(), [b"", b"x", bytes(49_000), bytes(50_000)], artifacts, lambda left, right: left == right)


ARRAYS = [
    np.array([]),
    np.zeros((0, 3)),
    np.zeros((3, 0)),
    np.array(3.5),
    np.arange(6).reshape(2, 3),
    np.arange(6).reshape(2, 3).astype(">i8"),
    np.arange(6, dtype=np.uint8),
    np.array([1.5, np.nan]),
    np.array(["a", "bcd"]),
    np.array(["2013-01-01"], dtype="datetime64[ns]"),
    np.array([True, False]),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    np.array([1 + 2j]),
]


@checks
def test_array_contract(artifacts, check):
    check(ArrayMaterialiser(), [array for array in ARRAYS if array.dtype.str != ">i8"], artifacts, same_array)


def same_array(left: np.ndarray, right: np.ndarray) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


CHARTS = [
    alt.Chart(alt.Data(values=[{"x": 1}])).mark_bar().encode(x="x:Q"),
    alt.Chart(alt.Data(values=[{"x": 1}])).mark_bar().encode(x="x:Q") & alt.Chart().mark_text(text="é"),
]


@checks
def test_figure_contract(artifacts, check):
    check(
        FigureMaterialiser(), CHARTS, artifacts, lambda left, right: inlined(left.to_dict()) == inlined(right.to_dict())
    )


def test_a_file_keeps_its_name_and_cannot_be_written(artifacts, tmp_path):
    """A reader that goes by the suffix would not know what to do with it."""
    source = tmp_path / "report.html"
    source.write_text("<p>")
    draft = save(source, Path, artifacts)
    assert (draft.type, draft.size, dict(draft.metadata)) == ("file", 3, {"name": "report.html"})
    source.unlink()
    for _ in range(2):
        loaded = load(draft, Path, artifacts)
        assert (loaded.name, loaded.read_text()) == ("report.html", "<p>")
        assert loaded.stat().st_mode & 0o222 == 0


def test_the_digest_of_a_file_is_its_bytes_and_suffix(artifacts, tmp_path):
    digests = {}
    for name in ("a.csv", "b.csv", "a.txt"):
        (tmp_path / name).write_text("x")
        digests[name] = save(tmp_path / name, None, artifacts).digest
    assert digests["a.csv"] == digests["b.csv"] != digests["a.txt"]


def test_a_file_whose_blob_was_damaged_is_not_given_out(artifacts, tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("tide")
    draft = save(source, None, artifacts)
    load(draft, Path, artifacts)
    blob = artifacts.path(draft.blob)
    blob.unlink()
    blob.write_text("tidy")
    with pytest.raises(CorruptArtifactError):
        load(draft, Path, artifacts)
    save(source, None, artifacts)
    assert load(draft, Path, artifacts).read_text() == "tide"


def test_a_path_to_nothing_is_refused(artifacts, tmp_path):
    with pytest.raises(MaterialiserError, match="names no file or folder"):
        save(tmp_path / "nothing", None, artifacts)
    assert digest_of(tmp_path) is None


def test_the_same_folder_made_twice_is_one_blob(artifacts, tmp_path):
    """Times, order and the folder's own name would make every model folder new, and nothing after it cached."""
    one, other = make_folder(tmp_path, "one"), make_folder(tmp_path, "other")
    os.utime(other / "model.json", (1, 1))
    (other / "sub" / "weights.bin").chmod(0o600)
    first, second = save(one, None, artifacts), save(other, None, artifacts)
    assert (first.digest, first.blob) == (second.digest, second.blob)
    (other / "run.sh").chmod(0o644)
    assert save(other, None, artifacts).digest != first.digest
    (one / "more").mkdir()
    assert save(one, None, artifacts).digest != first.digest


def test_a_folder_comes_back_whole_and_read_only(artifacts, tmp_path):
    folder = make_folder(tmp_path)
    draft = save(folder, Path, artifacts)
    assert dict(draft.metadata) == {"name": "model", "files": 3}
    loaded = load(draft, Path, artifacts)
    assert contents(loaded) == contents(folder)
    assert os.access(loaded / "run.sh", os.X_OK)
    assert (loaded / "model.json").stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("spoil", ["changed", "removed", "added"])
def test_a_spoiled_folder_is_unpacked_again(artifacts, tmp_path, spoil):
    """A step that writes into the folder it was given would change the model for everybody."""
    draft = save(make_folder(tmp_path), None, artifacts)
    path = load(draft, Path, artifacts) / "model.json"
    if spoil == "added":
        path.with_name("extra").write_text("")
    else:
        path.unlink()
    if spoil == "changed":
        path.write_text("[]")
    assert contents(load(draft, Path, artifacts)) == contents(tmp_path / "model")


def test_a_link_in_a_folder_is_refused(artifacts, tmp_path):
    (make_folder(tmp_path) / "link").symlink_to("/etc/passwd")
    with pytest.raises(MaterialiserError, match="neither file nor folder"):
        save(tmp_path / "model", None, artifacts)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\evil"])
def test_an_archive_cannot_write_outside(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, "evil")
    (tmp_path / "target").mkdir()
    with pytest.raises(MaterialiserError, match="outside"):
        unpack(tmp_path / "bad.zip", tmp_path / "target")
    assert [path.name for path in tmp_path.rglob("*") if "evil" in path.name] == []


@settings(max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0)))
def test_every_array_comes_back(artifacts, array):
    draft = save(array, np.ndarray, artifacts)
    loaded = load(draft, np.ndarray, artifacts)
    assert same_array(loaded, array)
    assert save(np.asfortranarray(array).reshape(array.shape), None, artifacts).digest == draft.digest


def test_the_bytes_of_a_number_do_not_matter(artifacts):
    """The same array from another machine, or out of a slice, is the same array."""
    array = np.arange(12.0).reshape(3, 4)
    digests = {save(form, None, artifacts).digest for form in (array, array.astype(">f8"), array.T.copy().T)}
    assert len(digests) == 1
    assert save(array[:, ::2], None, artifacts).digest == save(array[:, ::2].copy(), None, artifacts).digest
    payload = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)
    assert save(payload, None, artifacts).digest == save(np.array([np.nan]), None, artifacts).digest


def test_an_array_of_objects_is_refused(artifacts):
    for array in (np.array([{}]), np.array(["a", None], dtype=object), np.ma.masked_array([1, 2])):
        with pytest.raises(MaterialiserError, match=r"never pickled|plain array"):
            save(array, None, artifacts)


def test_an_array_that_was_swapped_for_a_pickle_is_refused(artifacts, tmp_path):
    """Loading it would run whatever somebody put into the bucket."""
    np.save(tmp_path / "evil.npy", np.array([print], dtype=object), allow_pickle=True)
    blob = artifacts.put_file(tmp_path / "evil.npy")
    draft = Draft("0" * 64, "numpy", save(np.zeros(1), None, artifacts).materialiser, blob.size, None, blob.digest)
    with pytest.raises(MaterialiserError, match="cannot be read"):
        load(draft, None, artifacts)


def test_arrays_and_figures_take_only_their_own_form(artifacts):
    with pytest.raises(MaterialiserError, match="NumPy array"):
        load(save(np.zeros(1), None, artifacts), pl.DataFrame, artifacts)
    draft = save(CHARTS[0], alt.Chart, artifacts)
    assert draft.type == "figure"
    assert load(draft, dict, artifacts) == json.loads(draft.inline) == CHARTS[0].to_dict()
    with pytest.raises(MaterialiserError, match="figure"):
        load(draft, pl.DataFrame, artifacts)


def test_a_large_figure_is_a_blob(artifacts):
    chart = alt.Chart(alt.Data(values=[{"x": "y" * 100_000}])).mark_point()
    assert save(chart, None, artifacts).blob is not None
