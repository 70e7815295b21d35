"""kill -9 at any moment: nothing half-written is visible, nothing finished is lost, the run reaches the same end."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from tidemill.engine import LeaseSettings
from tidemill.store import Store, executions, lineage, open_store, runs

pytestmark = pytest.mark.slow

POINTS = 50
SEED = 20130901

FLOW = """
import sys
from pathlib import Path

import polars as pl

from tidemill.engine import pipeline, step
from tidemill.store import open_store


@step
def load(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"id": range(rows), "value": [float(i * i % 97) for i in range(rows)]})


@step
def clean(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("value") > 3)


@step
def split(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    half = table.height // 2
    return table.head(half), table.tail(table.height - half)


@step
def score(shift: int, table: pl.DataFrame) -> float:
    total = 0.0
    for value in table["value"]:
        total += (value + shift) ** 0.5
    return round(total, 6)


@step
def blob(scores: list[float]) -> str:
    return "-".join(str(value) for value in scores) * 2000


@step(executor="inline", retries=1)
def best(scores: list[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


@step(effect=True)
def publish(text: str, best: int, name: str) -> str:
    with (Path(__file__).parent / "effects.log").open("a") as log:
        log.write(f"{name}\\n")
    return f"{name}:{best}:{len(text)}"


@step
def report(parts: list[str]) -> str:
    return " | ".join(parts)


@pipeline
def flow(rows: int = 60000) -> str:
    train, test = split(clean(load(rows)))
    scores = score.map(range(5), table=train)
    text = blob(scores)
    chosen = best(scores)
    first = publish(text, chosen, "first")
    check = score(chosen, test)
    second = publish(blob([check]), chosen, "second")
    return report([first, second])


def main() -> None:
    resume, folder = sys.argv[-2:]
    warm = open_store(f"sqlite:///{folder}/warm/store.db", artifacts=f"{folder}/warm/artifacts")
    flow.using(store=warm).run(rows=20)  # what is loaded once is loaded before the clock starts
    store = open_store(f"sqlite:///{folder}/store.db", artifacts=f"{folder}/artifacts")
    print("ready", flush=True)

    def tell(event):
        print(event.kind, flush=True)
        sys.stdin.readline()  # go on when the test says so: it knows where the run is

    flow.using(store=store, listeners=[tell]).run(resume=resume or None)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    name = f"flow_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(FLOW))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


def start(module, folder: Path, resume: str = "") -> subprocess.Popen[str]:
    code = f"import {module.__name__} as flow; flow.main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, resume, str(folder)],
        cwd=Path(module.__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(Path(module.__file__).parent)},
    )
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    return child


def kill_after(child: subprocess.Popen[str], events: int, seconds: float) -> None:
    """Kill after so many events and then some time: spread over the run however fast the machine is just now."""
    for _ in range(events):
        if not child.stdout.readline():  # it has ended
            break
        child.stdin.write("\n")
        child.stdin.flush()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        with suppress(BrokenPipeError):
            pipe.close()


def open_folder(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder}/store.db", artifacts=str(folder / "artifacts"))


def digests(store: Store, run_id: str) -> dict[str, list[str]]:
    """Digests of the outputs of every node of a run that has outputs."""
    found = {}
    with store.metadata.reading() as tx:
        for execution in executions.of_run(tx, run_id):
            if execution.status in ("succeeded", "cached"):
                outputs = lineage.outputs(tx, execution.id)
                assert outputs, f"{execution.node} ended without outputs"
                found[execution.node] = [artifact.digest for _, artifact in outputs]
    return found


def history(store: Store, node: str) -> list[tuple[str, str, str]]:
    """Status, code and key of every execution of a node, newest run first."""
    with store.metadata.reading() as tx:
        every = [execution for run in runs.list_runs(tx) for execution in executions.of_run(tx, run.id)]
    return [(found.status, found.code[:8], found.key[:8]) for found in every if found.node == node]


def verify_blobs(store: Store) -> None:
    """Every artifact that anything refers to, and every blob, is whole."""
    with store.metadata.reading() as tx:
        for run in runs.list_runs(tx):
            for execution in executions.of_run(tx, run.id):
                for _, artifact in lineage.inputs(tx, execution.id) + lineage.outputs(tx, execution.id):
                    if artifact.blob is not None:
                        store.artifacts.read(artifact.blob)  # raises unless the bytes match the digest
    for blob in store.artifacts.blobs():
        store.artifacts.read(blob.digest)


def measure(module, folder: Path) -> tuple[int, float, dict[str, list[str]]]:
    """How many events an uninterrupted run has, the mean seconds between two, and its digests."""
    folder.mkdir()
    child = start(module, folder)
    events = child.communicate("\n" * 1000, timeout=60)[0].splitlines()
    assert events[-1] == "run_finished"
    with open_folder(folder) as store, store.metadata.reading() as tx:
        (run,) = runs.list_runs(tx)
        assert run.status == "succeeded"
        return len(events), (run.ended_at - run.started_at) / 1e6 / len(events), digests(store, run.id)


def test_a_run_killed_anywhere_goes_on_to_the_same_end(module, tmp_path):
    events, pause, expected = measure(module, tmp_path / "whole")
    assert len(expected) >= 12
    rng = random.Random(SEED)
    seen = {"nothing": 0, "interrupted": 0, "ended": 0}
    kept = 0
    for point in range(POINTS):
        folder = tmp_path / f"point{point}"
        folder.mkdir()
        kill_after(start(module, folder), point * events // POINTS, rng.random() * pause)
        if point % 5 == 0:  # and once more, while it goes on
            with open_folder(folder) as store:
                is_there = _latest(store) is not None and _latest(store).status == "running"
            if is_there:
                kill_after(start(module, folder, "last"), rng.randrange(events), rng.random() * pause)
        outcome, finished = check(module, folder, expected)
        seen[outcome] += 1
        kept += finished
    assert seen["interrupted"] >= POINTS * 3 // 4, seen
    assert kept > 2 * POINTS, "the kills were not spread over the run"


def check(module, folder: Path, expected: dict[str, list[str]]) -> tuple[str, int]:
    """After a kill: the store is sound; resume, and compare. Says what the kill hit and how many steps had finished."""
    with open_folder(folder) as store:
        verify_blobs(store)
        dead = _latest(store)
        if dead is not None and dead.status == "succeeded":
            assert digests(store, dead.id) == expected
            return "ended", 0
        finished = {} if dead is None else digests(store, dead.id)
        for node, made in finished.items():
            assert made == expected[node]
        placed = module.flow.using(store=store, lease=LeaseSettings(ttl=60.0))
        resumed = placed.run(resume=None if dead is None else "last")
        assert resumed.status == "succeeded", resumed.error
        assert digests(store, resumed.id) == expected
        verify_blobs(store)
        for summary in resumed.steps:
            if summary.node in finished:
                assert summary.status == "cached", f"{summary.node} was done again: {history(store, summary.node)}"
        with store.metadata.reading() as tx:
            states = {run.id: run.status for run in runs.list_runs(tx)}
            effects = [
                execution.node
                for run_id in states
                for execution in executions.of_run(tx, run_id)
                if execution.step == "publish" and execution.status == "succeeded"
            ]
        assert sorted(effects) == ["publish", "publish#2"]
        if dead is None:
            return "nothing", 0
        assert states.pop(resumed.id) == "succeeded"
        assert set(states.values()) == {"interrupted"}
        return "interrupted", len(finished)


def _latest(store: Store):
    with store.metadata.reading() as tx:
        found = runs.list_runs(tx, limit=1)
    return found[0] if found else None
