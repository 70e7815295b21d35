"""Backups: what a user restores must be the store as it was, and whole."""

from __future__ import annotations

import gzip
import json

import pytest

from tidemill.core.errors import ConflictError, NotFoundError, StoreError, StoreUnavailableError, StoreVersionError
from tidemill.core.records import Artifact, Execution, Metric, Run
from tidemill.store import backup, executions, lineage, open_store, runs, values
from tidemill.store.statement import Statement
from tidemill.testing.building import AWKWARD, a_run


@pytest.fixture
def store(metadata_url, tmp_path):
    with open_store(metadata_url, str(tmp_path / "artifacts")) as store:
        run = a_run(store.metadata)
        blob = store.artifacts.put(b"tide" * 1000)
        log = store.artifacts.put(b"log")
        store.artifacts.put(b"garbage")
        artifact = Artifact("a1", "d", "bytes", "bytes", blob.size, 1, None, blob.digest)
        with store.metadata.transaction() as tx:
            executions.record(
                tx, Execution("e1", run.id, "s", "s", "succeeded", 1, 2, log=log.digest), [], [("output", artifact)]
            )
            values.put_params(tx, run.id, {"note": AWKWARD})
            values.put_metrics(tx, [Metric(run.id, "auc", i / 700, step=i) for i in range(1200)])
            runs.insert(tx, Run("z-parent", "p", "train", "running", 1))
            runs.insert(tx, Run("a-child", "p", "train", "running", 1, parent_id="z-parent"))
        yield store


def contents(store):
    with store.metadata.reading() as tx:
        return {
            table: sorted(tx.all(Statement(f"SELECT * FROM {table}")), key=repr)
            for table in ("runs", "executions", "events", "artifacts", "params", "metrics", "last_metrics")
        }


def test_a_backup_is_a_store_again(store, tmp_path, request):
    before = contents(store)
    made = backup.backup(store, tmp_path / "copy")
    assert made.blobs == 2
    assert made.bytes == 4003
    a_run(store.metadata)
    if store.metadata.dialect == "sqlite":
        assert made.metadata == tmp_path / "copy" / "store.db"
        url = f"sqlite:///{made.metadata}"
    else:
        url = request.getfixturevalue("metadata_url") + "_copy"
        assert backup.restore(made.metadata, url) > 1200
    with open_store(url, str(tmp_path / "copy" / "artifacts"), create=False) as copy:
        assert contents(copy) == before
        with copy.metadata.reading() as tx:
            assert copy.artifacts.read(lineage.get_artifact(tx, "a1").blob) == b"tide" * 1000


@pytest.mark.parametrize("there", ["sqlite", "postgresql"])
def test_a_portable_backup_moves_a_store_to_another_database(store, tmp_path, request, there):
    made = backup.backup(store, tmp_path / "copy", portable=True)
    url = f"sqlite:///{tmp_path}/moved.db" if there == "sqlite" else request.getfixturevalue("postgres_url") + "_moved"
    backup.restore(made.metadata, url)
    with open_store(url, str(tmp_path / "copy" / "artifacts"), create=False) as moved:
        assert contents(moved) == contents(store)
        run = a_run(moved.metadata)
        with moved.metadata.transaction() as tx:
            values.put_metrics(tx, [Metric(run.id, "auc", 1.0)])
    with pytest.raises(ConflictError, match="there is a store already"):
        backup.restore(made.metadata, url)


def test_a_backup_overwrites_nothing(store, tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine").touch()
    with pytest.raises(ConflictError, match="not empty"):
        backup.backup(store, tmp_path / "copy")
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        backup.backup(store, tmp_path / "copy" / "mine" / "deeper")


def test_a_file_that_is_no_backup_makes_no_store(tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"
    with pytest.raises(NotFoundError):
        backup.restore(tmp_path / "nothing", url)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(StoreError, match="cannot be read"):
        backup.restore(tmp_path / "text", url)
    for header, kind in (
        ({"a": 1}, StoreError),
        ({"format": "tidemill store backup", "version": 99}, StoreVersionError),
    ):
        with gzip.open(tmp_path / "other.gz", "wt") as out:
            out.write(json.dumps(header) + "\n")
        with pytest.raises(kind):
            backup.restore(tmp_path / "other.gz", url)
    assert not (tmp_path / "new.db").exists()


def test_half_a_backup_makes_no_store(store, tmp_path):
    made = backup.backup(store, tmp_path / "copy", portable=True)
    whole = made.metadata.read_bytes()
    made.metadata.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        backup.restore(made.metadata, f"sqlite:///{tmp_path}/new.db")
    assert not (tmp_path / "new.db").exists()
