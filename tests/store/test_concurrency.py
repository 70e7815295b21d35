"""Many processes in one SQLite store: no "database is locked", nothing lost, nothing twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.store import models, open_store, runs, values
from tidemill.store.statement import Statement

PROCESSES = 8
COUNT = Statement("""
    SELECT (SELECT count(*) FROM runs WHERE status = 'succeeded'),
        (SELECT count(*) FROM executions WHERE status = 'succeeded'), (SELECT count(*) FROM events),
        (SELECT count(*) FROM metrics), (SELECT count(*) FROM leases WHERE owner <> '')
""")


def run_workers(tmp_path, count):
    url = f"sqlite:///{tmp_path}/store.db"
    script = Path(__file__).with_name("workers.py")
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(script), url, str(tmp_path / "artifacts"), f"worker{i}", str(count)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(PROCESSES)
    ]
    said = [worker.communicate(timeout=300)[1] for worker in workers]
    assert said == [""] * PROCESSES
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    total = PROCESSES * count
    with open_store(url, str(tmp_path / "artifacts"), create=False) as store, store.metadata.reading() as tx:
        assert tx.one(COUNT) == (total, total, total, total, 0)
        numbers = [version.version for version in models.list_versions(tx, "late", limit=total + 1)]
        assert sorted(numbers) == list(range(1, total + 1))
        for i in range(PROCESSES):
            assert len(runs.list_runs(tx, project=f"worker{i}", limit=count + 1)) == count
        assert values.params(tx, "worker0-0") == {"trials": "5"}
        assert tx.one(Statement("PRAGMA integrity_check")) == ("ok",)


def test_processes_that_make_the_store_together_lose_nothing(tmp_path):
    run_workers(tmp_path, 10)


@pytest.mark.slow
def test_eight_processes_with_two_hundred_runs_each_lose_nothing(tmp_path):
    run_workers(tmp_path, 200)
