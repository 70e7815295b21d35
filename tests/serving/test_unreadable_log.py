"""A log that cannot be read in part is an error that names the part: never fewer rows, or a proof of what was not done.

As root everything may be read, so what is tried here is tried without its rights.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tidemill.core.clock import VirtualClock, to_us, use_clock
from tidemill.core.errors import DataError, StoreUnavailableError, TidemillError
from tidemill.serving.log.archive import KNOWN, Archive
from tidemill.serving.log.erasing import erase_entity, erasures_about
from tidemill.serving.log.reading import scan_labels
from tidemill.serving.log.sealing import archive_sealed, seal
from tidemill.serving.log.writer import PredictionLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOBODY = 65534
SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 1, "variant": "", "digest": "d", "target": "late",
    "columns": [{"name": "miles", "type": "int64"}],
}  # fmt: skip


@contextmanager
def without_rights(root: Path) -> Iterator[None]:
    """As somebody who owns the log and may do no more than that."""
    if os.geteuid() != 0:
        yield
        return
    for path in (root.parent, *root.parent.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """While nobody may read a file, or a folder."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


@pytest.fixture(name="root")
def a_root() -> Iterator[Path]:
    """Two sealed days of predictions about Ann, with labels."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "log"
        for day in range(2):
            log = PredictionLog(root, "delays")
            ts = to_us(NOON + timedelta(days=day))
            log.append(SCHEMA, f"r{day}", ts, 1, [[day]], [{"late": True}], entities=["ann"])
            log.close()
            with use_clock(VirtualClock(NOON + timedelta(days=day))):
                tm.log_labels([{"request_id": f"r{day}", "label": True}], "delays", root=root)
        seal(root)
        yield root


def erased(root: Path) -> Any:
    return erase_entity(root, "delays", "ann", by="me", really=True)


ATTEMPTS: dict[str, Callable[[Path], Any]] = {
    "predictions of all": tm.predictions,
    "predictions": lambda root: tm.predictions(root, "delays"),
    "coverage": lambda root: tm.label_coverage(root, "delays"),
    "a look before an erasure": lambda root: erase_entity(root, "delays", "ann", by="me"),
    "an erasure": erased,
}
LABELS: dict[str, Callable[[Path], Any]] = {
    "labels": scan_labels,
    "history": lambda root: tm.label_history("delays", root=root),
    "an erasure": erased,
}


def refused(root: Path, attempt: Callable[[Path], Any], closed_: Path) -> TidemillError:
    with without_rights(root), closed(closed_), pytest.raises(StoreUnavailableError) as caught:
        attempt(root)
    assert str(caught.value.value).startswith(str(closed_))
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("part", [".", "model=delays", "model=delays/day=2026-03-02"])
@pytest.mark.parametrize("name", ATTEMPTS)
def test_predictions_in_a_folder_that_cannot_be_listed_are_not_left_out(root: Path, name: str, part: str) -> None:
    assert "cannot be listed: Permission denied" in refused(root, ATTEMPTS[name], root / part).what


@pytest.mark.parametrize("part", ["labels/model=delays", "labels/model=delays/day=2026-03-02"])
@pytest.mark.parametrize("name", LABELS)
def test_labels_in_a_folder_that_cannot_be_listed_are_not_left_out(root: Path, name: str, part: str) -> None:
    assert "cannot be listed" in refused(root, LABELS[name], root / part).what


def test_an_erasure_that_could_not_look_everywhere_leaves_no_finished_proof_and_can_be_run_again(root: Path) -> None:
    refused(root, erased, root / "model=delays/day=2026-03-02")
    assert [one for one in erasures_about(root) if one.finished] == []
    done = erased(root)
    assert done.erased == 4
    assert tm.predictions(root).collect().height == 0


def test_a_day_that_lies_on_a_disk_that_is_away_is_not_left_out(root: Path) -> None:
    day = root / "model=delays/day=2026-03-02"
    day.rename(root.parent / "away")
    day.symlink_to(root.parent / "mount" / "away")
    with pytest.raises(StoreUnavailableError, match="cannot be listed: No such file or directory"):
        tm.predictions(root)
    (root.parent / "mount").mkdir()
    (root.parent / "away").rename(root.parent / "mount" / "away")
    assert tm.predictions(root).collect().height == 2


def test_what_a_folder_of_an_archive_cannot_list_is_not_left_out(root: Path) -> None:
    there = root.parent / "there"
    assert len(archive_sealed(root, Archive(f"file://{there}"))) == 4
    assert (root / KNOWN).exists()
    assert tm.predictions(root).collect().height == 2
    for attempt in (tm.predictions, erased):
        with (
            without_rights(root),
            closed(there / "model=delays/day=2026-03-02"),
            pytest.raises(StoreUnavailableError, match="cannot list the prediction log's archive"),
        ):
            attempt(root)


def only(root: Path, pattern: str) -> Path:
    (found,) = root.glob(pattern)
    return found


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_sealed_file_that_may_not_be_read_is_named(root: Path, name: str) -> None:
    file = only(root, "model=delays/day=2026-03-02/*.parquet")
    assert refused(root, ATTEMPTS[name], file).value == str(file)


@pytest.mark.parametrize("name", LABELS)
def test_sealed_labels_that_may_not_be_read_are_named_before_anything_is_erased(root: Path, name: str) -> None:
    file = only(root, "labels/model=delays/day=2026-03-02/*.parquet")
    assert refused(root, LABELS[name], file).value == str(file)
    assert erasures_about(root) == []
    assert tm.predictions(root).collect().height == 2


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_open_segment_that_may_not_be_read_is_named(root: Path, name: str) -> None:
    log = PredictionLog(root, "delays")
    log.append(SCHEMA, "open", to_us(NOON), 1, [[1]], [{"late": True}], entities=["ann"])
    log.close()
    file = only(root, "model=delays/day=2026-03-01/*.log")
    assert refused(root, ATTEMPTS[name], file).value == str(file)


@pytest.mark.parametrize("kept", [0, 3, 200])
@pytest.mark.parametrize("tree", ["", "labels/"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_sealed_file_that_is_cut_off_is_named_and_nothing_is_erased(
    root: Path, kept: int, tree: str, elsewhere: bool
) -> None:
    place = root.parent / "there" if elsewhere else root
    if elsewhere:
        archive_sealed(root, Archive(f"file://{place}"))
    file = only(place, f"{tree}model=delays/day=2026-03-02/*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:kept])
    for attempt in (LABELS if tree else ATTEMPTS).values():
        with pytest.raises(DataError, match="damaged or cut off") as caught:
            attempt(root)
        assert str(caught.value.value).endswith(str(file))
        assert "backup" in caught.value.hint
    assert erasures_about(root) == []
    file.write_bytes(whole)
    assert erased(root).erased == 4


def test_a_file_that_is_damaged_in_its_middle_is_named_when_somebody_is_to_be_erased(root: Path) -> None:
    file = only(root, "model=delays/day=2026-03-02/*.parquet")
    data = bytearray(file.read_bytes())
    data[4:120] = bytes(116)
    file.write_bytes(data)
    with pytest.raises(DataError, match="damaged or cut off") as caught:
        erased(root)
    assert caught.value.value == str(file)


def test_proofs_that_may_not_be_read_are_not_taken_for_none(root: Path) -> None:
    erased(root)
    refused(root, erasures_about, root / "erasures.jsonl")
