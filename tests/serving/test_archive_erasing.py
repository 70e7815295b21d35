"""Whoever asks to be forgotten is forgotten in an archive too, whenever somebody dies over it."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import polars as pl
import pytest
from archived_log import a_place, a_root, an_s3, archive, fill, project  # noqa: F401  fixtures

from tidemill.core.errors import ConflictError
from tidemill.project import load_project, use_project
from tidemill.serving import predictions
from tidemill.serving.log.archive import Archive
from tidemill.serving.log.erasing import erase_entity, erasures_about
from tidemill.serving.log.layout import Days
from tidemill.serving.log.locks import locked
from tidemill.serving.log.reading import scan_labels
from tidemill.serving.log.sealing import ARCHIVING


def test_an_entity_is_erased_in_both_places_with_proof(root: Path, place: tuple[str, dict[str, Any]]) -> None:
    fill(root)
    archive(root, place)
    fill(root, days=1)  # the same requests in new files, here
    at = Archive(*place)
    wanted = [path for path in at.files(Days("delays")) if "/day=2026-03-02/" in path]
    was = at.read(wanted[0])
    seen = erase_entity(root, "delays", "ann", by="me")
    assert seen.erased == 3 + 6 + 1 + 2
    done = erase_entity(root, "delays", "ann", by="me", really=True)
    assert done.erased == seen.erased
    assert predictions(root).filter(entity="ann").collect().height == 0
    assert predictions(root).filter(entity="ben").collect().height == 4
    assert set(scan_labels(root).frame.collect()["row"]) == {1}
    (proof,) = erasures_about(root, "ann")
    (file,) = (file for file in proof.files if file.file.endswith(wanted[0]))
    assert file.file == f"{place[0]}/{wanted[0]}"
    assert (file.before, file.after) == (sha256(was).hexdigest(), sha256(at.read(wanted[0])).hexdigest())
    assert len([file for file in proof.files if file.file.startswith(place[0])]) == 3 + 3
    assert erase_entity(root, "delays", "ann", by="me").files == ()


ERASED = """
import json, os, signal, sys
from tidemill.project import load_project, use_project
from tidemill.serving.log import archive, erasing, places
root, project, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0
def around(owner, name):
    real = getattr(owner, name)
    def done(*arguments):
        global seen
        for _ in (0, 1):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
            found = real(*arguments) if not _ else found
        return found
    setattr(owner, name, done)
for owner in (archive.Archive, places.Folder):
    around(owner, "replace")
    around(owner, "remove")
with use_project(load_project(project)):
    erasing.erase_entity(root, "delays", "ann", by="me", really=True)
print("done")
"""


def test_an_erasure_that_was_killed_is_finished_by_the_next(s3_options: dict[str, Any], tmp_path: Path) -> None:
    step, done = 0, ""
    while not done:
        step += 3
        bucket = f"logs-{uuid4().hex}"
        fsspec.filesystem("s3", **s3_options).mkdir(bucket)
        place = (f"s3://{bucket}", s3_options)
        folder = project(tmp_path / str(step), place)
        root = folder / "log"
        with use_project(load_project(folder)):
            fill(root, days=2)
            files = {path: path.read_bytes() for path in root.rglob("*.parquet")}
            archive(root, place)
            for path, data in files.items():  # all of it in both places
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            command = [sys.executable, "-c", ERASED, str(root), str(folder), str(step)]
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            done = run.stdout
            assert done or run.returncode == -9, run.stderr
            archive(root, place)  # a server that is started in between
            erase_entity(root, "delays", "ann", by="me", really=True)
            assert sorted(predictions(root, "delays").collect()["entity"]) == ["ben"] * 2
            assert erasures_about(root)[-1].finished is not None
            stored = Archive(*place)
            for path in stored.files(Days("delays")):
                assert pl.read_parquet(stored.read(path))["entity"].to_list() == ["ben"]
    assert step > 6


def test_who_erases_and_who_archives_wait_for_each_other(root: Path, place: tuple[str, dict[str, Any]]) -> None:
    fill(root, days=1)
    with locked(root, ARCHIVING):
        assert archive(root, place) == []
        with pytest.raises(ConflictError, match="are being archived"):
            erase_entity(root, "delays", "ann", by="me", really=True, patience=0)
    assert erasures_about(root) == []
    assert len(archive(root, place)) == 3
