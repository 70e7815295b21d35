"""When it goes wrong in the middle of a whole run: a clear error, nothing half-written, nothing finished lost.

Every run is of a process of its own, and what is left of it is looked at from here and resumed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tidemill.store import Store, executions, lineage, open_store, runs
from tidemill.store.statement import Statement

pytestmark = pytest.mark.slow

FLOW = """
import os, shutil, signal, sys, threading
from pathlib import Path

import polars as pl

from tidemill.engine import pipeline, step
from tidemill.store import open_store

HERE = Path(__file__).parent


@step
def load(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows), "b": [i * 7919 % 1009 for i in range(rows)]})


@step
def apart(number: int) -> int:
    return number + 1


@step(executor=EXECUTOR, retries=RETRIES, backoff=0.01)
def trouble(table: pl.DataFrame) -> pl.DataFrame:
    print("trouble ahead")
    meet_trouble()
    return table.with_columns(c=pl.col("b") * 2, noise=pl.col("a").hash())


@step
def total(table: pl.DataFrame) -> int:
    return int(table["c"].sum())


@pipeline
def flow(rows: int = ROWS) -> list[int]:
    apart(1)
    return [total(trouble(load(rows))), apart(2)]


def meet_trouble():
    kind = os.environ.get("TROUBLE")
    if not kind or (HERE / "met").exists():
        return
    (HERE / "met").touch()
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(30)
    if kind == "raise":
        raise ValueError("it would not do")
    if kind == "vanish":
        os.rename(HERE / "store", HERE / "elsewhere")
    if kind.startswith("full"):
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(kind[4:]),) * 2)


if __name__ == "__main__":
    store = open_store(f"sqlite:///{HERE}/store/store.db", artifacts=str(HERE / "store" / "artifacts"))
    result = flow.using(store=store).run(resume=sys.argv[1] if len(sys.argv) > 1 else None)
    print(result.status, result.result)
    if result.error is not None:
        raise result.error
"""
ROWS = 200_000
EXPECTED = sum(i * 7919 % 1009 * 2 for i in range(ROWS))


class Place:
    """A folder with the flow and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, executor: str = "inline", retries: int = 0) -> None:
        text = FLOW.replace("EXECUTOR", repr(executor)).replace("RETRIES", str(retries)).replace("ROWS", str(ROWS))
        (self.folder / "flow.py").write_text(textwrap.dedent(text))

    def run(self, trouble: str = "", resume: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "flow.py", *([resume] if resume else [])]
        environment = {**os.environ, "TROUBLE": trouble, "POLARS_MAX_THREADS": "1"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def open(self) -> Store:
        place = self.folder / "store"
        return open_store(f"sqlite:///{place}/store.db", artifacts=str(place / "artifacts"), create=False)

    def states(self, at: int = 0) -> tuple[str, dict[str, str]]:
        """How a run ended (0: the last one), and its steps; everything that they made is whole."""
        with self.open() as store, store.metadata.reading() as tx:
            run = runs.list_runs(tx)[at]
            found = executions.of_run(tx, run.id)
            for execution in found:
                outputs = lineage.outputs(tx, execution.id)
                assert bool(outputs) == (execution.status in ("succeeded", "cached")), execution
                for _, artifact in outputs:
                    if artifact.blob is not None:
                        store.artifacts.read(artifact.blob)
            for info in store.artifacts.blobs():
                store.artifacts.read(info.digest)
            assert tx.one(Statement("PRAGMA integrity_check")) == ("ok",)
            return run.status, {execution.node: execution.status for execution in found}


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.write()
    return made


def check_resumed(place: Place, *, repeated: set[str]) -> None:
    """The run goes on to the right end, and does only what had not finished."""
    done = place.run(resume="last")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"succeeded [{EXPECTED}, 3]"
    status, steps = place.states()
    assert status == "succeeded"
    assert {node for node, state in steps.items() if state == "succeeded"} == repeated


def test_a_step_that_fails_says_what_where_and_from_which_inputs(place):
    done = place.run("raise")
    assert done.returncode == 1
    assert "step 'trouble' failed: ValueError: it would not do" in done.stderr
    assert "inputs: table = table" in done.stderr
    assert "(200,000 rows, artifact" in done.stderr
    assert "trouble ahead" in done.stderr
    status, steps = place.states()
    assert status == "failed"
    assert steps == {
        "load": "succeeded",
        "apart": "succeeded",
        "apart#2": "succeeded",
        "trouble": "failed",
        "total": "skipped",
    }
    check_resumed(place, repeated={"trouble", "total"})


def test_a_run_that_is_terminated_is_cancelled_and_goes_on(place):
    done = place.run("terminate")
    assert done.returncode != 0
    assert "cancelled by SIGTERM" in done.stderr
    status, steps = place.states()
    assert (status, steps["load"], steps["trouble"]) == ("cancelled", "succeeded", "cancelled")
    check_resumed(place, repeated={"trouble", "total"})


def test_a_killed_run_is_interrupted_and_goes_on(place):
    assert place.run("kill").returncode == -signal.SIGKILL
    assert place.states()[0] == "running"  # nobody has looked yet
    check_resumed(place, repeated={"trouble", "total"})
    status, steps = place.states(at=1)
    assert (status, steps["load"], steps["trouble"]) == ("interrupted", "succeeded", "interrupted")


def test_a_killed_worker_is_replaced_if_the_step_may_be_tried_again(place):
    place.write("worker", retries=1)
    done = place.run("kill")
    assert done.returncode == 0, done.stderr
    with place.open() as store, store.metadata.reading() as tx:
        attempts = executions.of_run(tx, runs.list_runs(tx)[0].id)
        found = [(execution.attempt, execution.status) for execution in attempts if execution.node == "trouble"]
    assert found == [(1, "failed"), (2, "succeeded")]


@pytest.mark.parametrize("executor", ["worker", "isolated"])
def test_a_killed_worker_fails_its_step_with_its_last_words(place, executor):
    place.write(executor)
    done = place.run("kill")
    assert done.returncode == 1
    assert "step 'trouble' failed: WorkerDiedError: the worker process was killed by SIGKILL" in done.stderr
    assert "trouble ahead" in done.stderr
    assert place.states()[1]["apart#2"] == "succeeded"
    check_resumed(place, repeated={"trouble", "total"})


@pytest.mark.parametrize("executor", ["inline", "worker"])
def test_a_store_that_vanishes_is_said_and_nothing_is_made_in_its_place(place, executor):
    place.write(executor)
    done = place.run("vanish")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "StoreUnavailableError" in done.stderr, done.stderr
    assert str(place.folder / "store") in done.stderr, last
    assert not (place.folder / "store").exists(), "a new store was made where the old one was"
    (place.folder / "elsewhere").rename(place.folder / "store")
    check_resumed(place, repeated={"trouble", "total"})


@pytest.mark.parametrize("executor", ["inline", "worker"])
def test_a_disk_that_is_full_is_said_and_the_run_goes_on_when_there_is_room(place, executor):
    """A limit on the size of files is what every test may fill: the table does not fit, the database does."""
    place.write(executor)
    done = place.run("full1000000")
    assert done.returncode == 1
    assert "step 'trouble' failed: OutOfSpaceError: cannot write a blob" in done.stderr, done.stderr[-2000:]
    assert place.states()[1]["apart#2"] == "succeeded"
    check_resumed(place, repeated={"trouble", "total"})


def test_a_disk_that_is_too_full_for_the_database_is_said(place):
    done = place.run("full20000")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "the disk or the quota" in last, done.stderr[-2000:]
    check_resumed(place, repeated={"trouble", "total"})


def test_two_processes_do_not_go_on_from_one_run(place):
    place.run("raise")
    command = [sys.executable, "flow.py", "last"]
    both = [
        subprocess.Popen(command, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    codes = [process.returncode for process in both]
    assert codes.count(0) == 1, said
    reasons = ("was resumed already", "is still running", "there is nothing to resume")
    assert any(reason in "".join(said) for reason in reasons), said


def damage(place: Place) -> int:
    """Change a byte in the middle of every blob."""
    blobs = [path for path in (place.folder / "store" / "artifacts" / "blobs").rglob("*") if path.is_file()]
    for path in blobs:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)
    return len(blobs)


def test_a_corrupt_blob_is_never_used(place):
    """A model would be trained on bytes that nobody wrote."""
    assert place.run().returncode == 0
    assert damage(place) > 0
    text = (place.folder / "flow.py").read_text()
    (place.folder / "flow.py").write_text(text.replace('int(table["c"].sum())', 'int(table["c"].sum()) + 1'))
    done = place.run()
    if done.returncode == 0:  # it was made again
        assert done.stdout.splitlines()[-1] == f"succeeded [{EXPECTED + 1}, 3]"
        return
    assert "is corrupt" in done.stderr
    assert "without the cache" in done.stderr


def test_a_blob_deleted_behind_the_cache_is_made_again(place):
    assert place.run().returncode == 0
    for path in (place.folder / "store" / "artifacts" / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    done = place.run()
    assert done.stdout.splitlines()[-1] == f"succeeded [{EXPECTED}, 3]", done.stderr
    assert place.states()[1]["load"] == "succeeded"


def test_a_newer_store_is_left_alone(place):
    assert place.run().returncode == 0
    with place.open() as store, store.metadata.transaction() as tx:
        tx.run(Statement("INSERT INTO schema_versions (number, title, applied_at) VALUES (999, 'later', 1)"))
    before = (place.folder / "store" / "store.db").read_bytes()
    done = place.run()
    assert done.returncode == 1
    assert "schema version 999" in done.stderr
    assert "newer" in done.stderr
    assert (place.folder / "store" / "store.db").read_bytes() == before


def test_eight_processes_run_the_pipeline_in_one_store(place):
    """Everybody's nightly run starts at midnight: no lock that is held too long, no run that is lost."""
    command = [sys.executable, "flow.py"]
    every = [
        subprocess.Popen(command, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for process in every:
        out, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
        assert out.splitlines()[-1] == f"succeeded [{EXPECTED}, 3]"
    with place.open() as store, store.metadata.reading() as tx:
        assert [run.status for run in runs.list_runs(tx)] == ["succeeded"] * 8
    assert place.states()[0] == "succeeded"
