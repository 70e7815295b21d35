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
from tidemill.core.errors import StoreUnavailableError, TidemillError
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
