"""Garbage collection: what it must never take, and what it must take in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidemill.core.errors import UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Artifact, Execution, Run
from tidemill.store import executions, runs
from tidemill.store.blobs_remote import RemoteArtifacts
from tidemill.store.gc import GcReport, collect
from tidemill.store.store import Store, open_store

HOUR = 3600.0


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db", str(tmp_path / "artifacts")) as store:
        yield store


def make_old(store: Store, digest: str, seconds: float = 10 * HOUR) -> None:
    path = store.artifacts.path(digest)
    os.utime(path, (time.time() - seconds,) * 2)


def record(store: Store, blob: str, *, log: str | None = None) -> None:
    """An execution of a run of its own, with the blob as its output and the other as its log."""
    run = Run(new_id(), "p", "train", "running", 1)
    execution = Execution(new_id(), run.id, "s", "s", "succeeded", 1, 2, log=log)
    artifact = Artifact(new_id(), blob, "bytes", "m", 1, 1, blob=blob)
    with store.metadata.transaction() as tx:
        runs.insert(tx, run)
        executions.record(tx, execution, [], [("output", artifact)])


def test_only_what_nothing_refers_to_is_deleted(store):
    """A model in production, or the log that explains it, would be gone."""
    artifact, log, garbage = (store.artifacts.put(data).digest for data in (b"artifact", b"log", b"garbage!"))
    record(store, artifact, log=log)
    for digest in (artifact, log, garbage):
        make_old(store, digest)
    expected = GcReport(examined=3, kept=2, deleted=1, bytes_freed=8, digests=(garbage,))
    assert collect(store, dry_run=True, grace=HOUR) == expected
    assert store.artifacts.exists(garbage)
    assert collect(store, grace=HOUR) == expected
    assert not store.artifacts.exists(garbage)
    assert store.artifacts.read(artifact) == b"artifact"
    assert store.artifacts.read(log) == b"log"
    assert collect(store, grace=HOUR) == GcReport(examined=2, kept=2, deleted=0, bytes_freed=0, digests=())


def test_young_blobs_are_left_alone(store):
    """A step that is just about to record what it stored would lose it."""
    fresh, renewed = store.artifacts.put(b"fresh"), store.artifacts.put(b"renewed")
    make_old(store, renewed.digest)
    store.artifacts.put(b"renewed")
    assert collect(store, grace=HOUR).deleted == 0
    assert store.artifacts.read(fresh.digest) == b"fresh"
    assert store.artifacts.read(renewed.digest) == b"renewed"


def test_a_blob_claimed_during_the_collection_stays(store, monkeypatch):
    """References and ages seen at the start would be trusted at the end."""
    recorded, touched, garbage = (store.artifacts.put(data).digest for data in (b"recorded", b"touched", b"garbage"))
    for digest in (recorded, touched, garbage):
        make_old(store, digest)
    listed = list(store.artifacts.blobs())

    def blobs_then_writers():
        yield from listed
        record(store, recorded)
        store.artifacts.put(b"touched")

    monkeypatch.setattr(store.artifacts, "blobs", blobs_then_writers)
    report = collect(store, grace=HOUR)
    assert report.digests == (garbage,)


def test_litter_of_dead_writers_is_swept(store):
    """A store on which runs are killed now and then would grow for ever."""
    litter = store.artifacts.scratch()
    litter.write_bytes(b"half")
    os.utime(litter, (1, 1))
    assert collect(store, dry_run=True, grace=HOUR).swept == 1
    assert litter.exists()
    report = collect(store, grace=HOUR)
    assert (report.swept, report.bytes_freed) == (1, 4)
    assert not litter.exists()


def test_a_grace_period_must_suit_the_file_system(store, tmp_path):
    """On a bucket, a blob that was put again a minute ago does not look younger."""
    with pytest.raises(UsageError, match="at least 0 seconds"):
        collect(store, grace=-1.0)
    remote = Store(store.metadata, RemoteArtifacts(f"memory://{tmp_path.name}", cache=tmp_path / "cache"))
    with pytest.raises(UsageError, match="at least 1200 seconds"):
        collect(remote, grace=60.0)
    remote.artifacts.put(b"young")
    assert collect(remote) == GcReport(examined=1, kept=1, deleted=0, bytes_freed=0, digests=())


BLOBS = 240


def test_collectors_race_writers_in_other_processes(store, tmp_path):
    """With one run per minute and gc in a cron job, an artifact would vanish once a month."""
    for number in range(BLOBS):
        make_old(store, store.artifacts.put(b"blob %d" % number).digest)
    script, where = Path(__file__).with_name("collectors.py"), [store.metadata.url, str(tmp_path / "artifacts")]
    jobs = [["write", "0", str(BLOBS), "4"], ["write", "2", str(BLOBS), "4"], ["collect", "10"], ["collect", "10"]]
    processes = [
        subprocess.Popen([sys.executable, script, *where, *job], stdout=subprocess.PIPE, text=True) for job in jobs
    ]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(jobs)
    claimed = {*said[0], *said[1]}
    assert len(claimed) == BLOBS // 2
    for digest in claimed:
        store.artifacts.read(digest)
    collect(store, grace=HOUR)
    assert {info.digest for info in store.artifacts.blobs()} == claimed
    assert int(said[2][0]) + int(said[3][0]) > 0
