"""A log that is moved to an object store loses nothing on the way, and is read, erased and over as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import httpx
import polars as pl
import pytest
from archived_log import NOON, SCHEMA, a_place, a_root, an_s3, archive, everything, fill, project  # noqa: F401  fixtures

from tidemill.core.clock import VirtualClock, to_us, use_clock
from tidemill.core.errors import ConfigError, DataError, NotFoundError, StoreError, StoreUnavailableError
from tidemill.packaging.package import Package
from tidemill.project import load_project, use_project
from tidemill.serving import predictions, start_server
from tidemill.serving.log.archive import KNOWN, Archive
from tidemill.serving.log.erasing import erase_entity, erasures_about
from tidemill.serving.log.joining import label_coverage
from tidemill.serving.log.places import Folder
from tidemill.serving.log.reading import check_logged, scan_labels, scan_log
from tidemill.serving.log.sealer import Sealer
from tidemill.serving.log.sealing import archive_sealed, expire
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.metrics import exposition
from tidemill.serving.options import server_options


def test_what_is_archived_is_read_as_before_and_is_here_no_more(root: Path, place: tuple[str, dict[str, Any]]) -> None:
    fill(root)
    before, coverage = everything(root), label_coverage(root, "delays")
    assert coverage.labelled == 6
    moved = archive(root, place)
    assert len(moved) == 3 + 3 + 1
    assert not list(root.rglob("*.parquet"))
    assert archive(root, place) == []
    after = everything(root)
    assert all(was.equals(now) for was, now in zip(before, after, strict=True))
    assert label_coverage(root, "delays") == coverage
    scan = scan_log(root, "delays", since=NOON + timedelta(days=1), until=NOON + timedelta(days=1, hours=1))
    assert (scan.sealed, scan.archived) == (1, 1)
    assert scan.frame.select("features.miles").collect()["features.miles"].to_list() == [1, -1]
    assert predictions(root, "a/b").filter(pl.col("features.miles") == 1).collect()["request_id"].to_list() == ["o"]
    assert predictions(root, "delays").head(1).collect()["request_id"].to_list() == ["r0"]
    with_new = PredictionLog(root, "delays")
    with_new.append(SCHEMA, "new", to_us(NOON), 1, [[5]], [{"late": True}])
    assert predictions(root, "delays").select(pl.len()).collect().item() == 7  # in the archive, and being written
    with_new.close()


def test_a_machine_that_dies_has_each_file_in_one_place_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is deleted here must be on the disk there, its name and the names of its folders too."""
    flushed: set[Path] = set()
    really, remove = os.fsync, Folder.remove

    def fsync(descriptor: int) -> None:
        really(descriptor)
        flushed.add(Path(f"/proc/self/fd/{descriptor}").resolve())

    def removed(folder: Folder, path: str) -> None:
        target = there / path
        assert target.with_name(f"{target.name}.uploading") in flushed, "its bytes"
        folders = {target.parent, target.parent.parent, there, there.parent, there.parent.parent}
        assert folders <= flushed, "the names that lead there"
        remove(folder, path)

    there = tmp_path / "another disk" / "logs" / "ours"
    root = tmp_path / "project" / "log"
    with use_project(load_project(project(tmp_path / "project", (f"file://{there}", {})))):
        monkeypatch.setattr(os, "fsync", fsync)
        fill(root)
        monkeypatch.setattr(Folder, "remove", removed)
        assert len(archive(root, (f"file://{there}", {}))) == 7
    assert not list(root.rglob("*.parquet"))


def test_a_file_that_is_in_both_places_is_read_once(root: Path, place: tuple[str, dict[str, Any]]) -> None:
    fill(root)
    before = everything(root)
    files = {path: path.read_bytes() for path in root.rglob("*.parquet")}
    archive(root, place)
    for path, data in list(files.items())[::2]:  # died after the upload, before the file was deleted
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert all(was.equals(now) for was, now in zip(before, everything(root), strict=True))
    archive(root, place)
    assert not list(root.rglob("*.parquet"))
    assert all(was.equals(now) for was, now in zip(before, everything(root), strict=True))


KILLED = """
import json, os, signal, sys
from tidemill.serving.log import archive, places, sealing
root, url, options, last = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
seen = 0
def step(*_):
    global seen
    seen += 1
    if seen == last:
        os.kill(os.getpid(), signal.SIGKILL)
def around(owner, name):
    real = getattr(owner, name)
    def done(*arguments):
        step()
        found = real(*arguments)
        step()
        return found
    setattr(owner, name, done)
for owner, name in ((archive.Archive, "_upload"), (archive.Archive, "read"), (places.Folder, "remove")):
    around(owner, name)
if url.startswith("file"):
    sys.addaudithook(lambda event, arguments: step() if event in ("os.rename", "os.remove", "os.mkdir") else None)
sealing.seal(root)
sealing.archive_sealed(root, archive.Archive(url, options))
print("done")
"""


def test_kill_9_at_any_step_leaves_each_row_readable_once(root: Path, place: tuple[str, dict[str, Any]]) -> None:
    if place[0].startswith("memory"):
        place = (f"file://{root.parent}/memory-would-die-too", {})
        project(root.parent, place)
    fill(root, days=2)
    with use_project(load_project(root.parent)):
        before = everything(root)
        step, done = 0, ""
        while not done:
            step += 2
            command = [sys.executable, "-c", KILLED, str(root), place[0], json.dumps(place[1]), str(step)]
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            done = run.stdout
            assert done or run.returncode == -9, run.stderr
            assert all(was.equals(now) for was, now in zip(before, everything(root), strict=True))
        assert step > 8
        assert not list(root.rglob("*.parquet"))


def test_nothing_is_deleted_that_cannot_be_read_back(
    root: Path, place: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root)
    files = sorted(root.rglob("*.parquet"))
    monkeypatch.setattr(Archive, "read", lambda self, path: b"tidy")
    with pytest.raises(StoreError, match="4 other bytes than the"):
        archive(root, place)
    assert sorted(root.rglob("*.parquet")) == files
    monkeypatch.undo()
    assert predictions(root).collect().height == 7


def test_a_file_that_goes_while_a_table_waits_is_found_where_it_went(
    root: Path, place: tuple[str, dict[str, Any]]
) -> None:
    fill(root)
    archive(root, place)
    fill(root)
    waiting = predictions(root)
    assert scan_log(root).archived == 4
    archive(root, place)
    assert waiting.select(pl.len()).collect().item() == 14
    waiting = predictions(root, "a/b")
    expire(root, {"a/b": 1.0}, [Archive(*place)])
    with pytest.raises(DataError, match="read the log again"):
        waiting.collect()
    assert predictions(root, "a/b").collect().height == 0


def test_days_that_are_over_are_deleted_in_the_archive_too(root: Path, place: tuple[str, dict[str, Any]]) -> None:
    fill(root)
    archive(root, place)
    with use_clock(VirtualClock(NOON + timedelta(days=2))):
        gone = expire(root, {"delays": 1.0}, [Archive(*place)])
    assert len(gone) == 2
    assert all(file.startswith(place[0]) and "/day=2026-03-01/" in file for file in gone)
    assert sorted(predictions(root, "delays").collect()["request_id"].unique()) == ["r1", "r2"]


def test_an_archive_that_is_away_is_an_error_and_never_fewer_rows(s3_options: dict[str, Any], tmp_path: Path) -> None:
    bucket = f"logs-{uuid4().hex}"
    fsspec.filesystem("s3", **s3_options).mkdir(bucket)
    folder = project(tmp_path / "project", (f"s3://{bucket}", s3_options))
    root = folder / "log"
    with use_project(load_project(folder)):
        fill(root)
        archive(root, (f"s3://{bucket}", s3_options))
        fill(root, days=1)
    away = {**s3_options, "endpoint_url": "http://127.0.0.1:1", "config_kwargs": {"retries": {"max_attempts": 1}}}
    with use_project(load_project(project(folder, (f"s3://{bucket}", away)))):
        for read in (
            lambda: predictions(root), lambda: scan_labels(root), lambda: label_coverage(root, "delays"),
            lambda: erase_entity(root, "delays", "ann", by="me"),
            lambda: erase_entity(root, "delays", "ann", by="me", really=True),
        ):  # fmt: skip
            with pytest.raises(StoreUnavailableError, match=f"the prediction log's archive at s3://{bucket}"):
                read()
        with pytest.raises(StoreUnavailableError, match="can be read without it: --local, local=True"):
            predictions(root)
        assert erasures_about(root) == []
        assert predictions(root, local=True, labels=True).collect().height == 3
        assert label_coverage(root, "delays", local=True).rows == 2
        with pytest.raises(StoreUnavailableError):
            archive_sealed(root, Archive(f"s3://{bucket}", away))
        assert predictions(root, local=True).collect().height == 3
    misspelt = load_project(project(folder, (f"s3://{bucket}-misspelt", s3_options)))
    with use_project(misspelt), pytest.raises(StoreUnavailableError, match="is not there"):
        predictions(root)


def test_an_archive_that_the_settings_no_longer_name_is_read_all_the_same(tmp_path: Path) -> None:
    one, two = ((f"file://{tmp_path}/{name}", dict[str, Any]()) for name in ("one", "two"))
    folder = project(tmp_path / "project", one)
    root = folder / "log"
    for place in (one, two):
        with use_project(load_project(project(folder, place))):
            fill(root, days=1)
            archive(root, place)
            read = predictions(root).collect().height
    assert read == 6
    (folder / "tidemill.toml").write_text('[project]\nname = "flights"\n')
    with use_project(load_project(folder)):
        assert predictions(root).collect().height == 6
        (tmp_path / "one").rename(tmp_path / "unmounted")
        with pytest.raises(StoreUnavailableError, match=f"delete its line in {KNOWN}"):
            predictions(root)
    other = project(tmp_path / "analyst", two)  # has no log of its own
    with use_project(load_project(other)):
        assert predictions().collect().height == 3
        check_logged(other / "log", "delays")
        with pytest.raises(NotFoundError, match=f"The log is .* and {two[0]}"):
            check_logged(other / "log", "dealys")


def test_a_server_loads_neither_tables_nor_file_systems() -> None:
    code = "import sys, tidemill.serving.running; sys.exit(bool({'polars', 'fsspec'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_a_server_archives_what_it_wrote_and_says_so_when_it_cannot(
    packaged: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = packaged.write(tmp_path / "model")
    place = (f"file://{tmp_path}/there", dict[str, Any]())
    home = project(tmp_path / "project", place)
    with start_server(folders=[folder], project=home, timeout=60) as server:
        row = packaged.manifest["example"]
        body = {"rows": [row], "entities": ["ann"]}
        assert httpx.post(f"{server.url}/v1/models/flight-delay/predict", json=body).status_code == 200
        assert "prediction_log_unarchived_files" in httpx.get(f"{server.url}/metrics").text
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "polars" not in maps
    root = home / "log"
    (tmp_path / "there").write_text("no folder")
    broken, works = (f"file://{tmp_path}/there/log", dict[str, Any]()), place
    with Sealer(tmp_path / "empty", every=0.05, archive=broken):  # said before anything has to go there
        until(lambda: "cannot write to the prediction log's archive at" in caplog.text)
    caplog.clear()
    with Sealer(root, every=0.05, archive=broken):
        until(lambda: "1 sealed files wait on this machine" in caplog.text)
    assert "prediction_log_unarchived_files 1.0" in exposition().decode()
    assert "cannot write to the prediction log's archive at" in caplog.text
    (tmp_path / "there").unlink()
    with Sealer(root, every=0.05, archive=works):
        until(lambda: "prediction_log_unarchived_files 0.0" in exposition().decode())
    with use_project(load_project(home)):
        assert predictions().collect()["entity"].to_list() == ["ann"]
        assert scan_log(root).archived == 1


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ('archive = "log/old"', "the archive is in the folder of the log, or around it"),
        ('archive = "."', "around it"),
        ("archive = 3", "archive in \\[serving\\] takes text"),
        ('storage_options = { key = "k" }', "storage_options are those of an archive"),
        ('archive = "s3://b"\nstorage_options = "k"', "storage_options in \\[serving\\] takes a table"),
    ],
)
def test_an_archive_that_cannot_be_is_refused(tmp_path: Path, written: str, complaint: str) -> None:
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "flights"\n[serving]\nlog = "log"\n{written}\n')
    with pytest.raises(ConfigError, match=complaint):
        server_options(load_project(tmp_path))


def test_how_the_archive_is_reached_is_secret_and_may_stand_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVE_SECRET", "never-written-down")
    place = ("memory://ann:${env:ARCHIVE_SECRET}@there", {"secret": "${env:ARCHIVE_SECRET}"})
    folder = project(tmp_path / "project", place)
    options = server_options(load_project(folder))
    assert options.storage_options == {"secret": "never-written-down"}
    with use_project(load_project(folder)):
        fill(folder / "log", days=1)
        archive_sealed(folder / "log", Archive(options.archive))
        assert b"never" not in (folder / "log" / KNOWN).read_bytes()
