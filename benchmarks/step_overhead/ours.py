"""Tidemill: 200 no-op steps, each with its own parameter; ``ours.py inline|worker|isolated|flushed``.

``flushed`` is ``inline`` with SQLite's synchronous=FULL, as peers have it that flush at every commit.
"""

import json
import os
import sys
import time
from pathlib import Path

from tidemill.engine import pipeline, step
from tidemill.engine.executors import IsolatedExecutor, WorkerExecutor
from tidemill.store import open_store, sqlite

STEPS = 200
KIND = "inline" if sys.argv[1] == "flushed" else sys.argv[1]
if sys.argv[1] == "flushed":
    sqlite._PRAGMAS = tuple(pragma.replace("NORMAL", "FULL") for pragma in sqlite._PRAGMAS)


@step(executor=KIND)
def noop(number: int) -> int:
    return number


@pipeline
def many(count: int) -> list[int]:
    return [noop(number) for number in range(count)]


@pipeline
def one(number: int) -> int:
    return noop(number)


def cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed(action) -> tuple[float, float]:
    wall, used = time.perf_counter(), cpu()
    result = action()
    assert result.status == "succeeded", result.error
    return time.perf_counter() - wall, cpu() - used


def main() -> None:
    folder = Path(os.environ["BENCH_FOLDER"])
    wall = time.perf_counter()
    store = open_store(f"sqlite:///{folder}/store.db", artifacts=str(folder / "artifacts"))
    executors = {"worker": WorkerExecutor(1), "isolated": IsolatedExecutor(1)} if KIND != "inline" else {}
    using = {"store": store, "project": "bench", "root": Path(__file__).parent, "executors": executors}
    one.using(**using).run(-1)
    numbers = {"first_run_s": time.perf_counter() - wall}
    before = files(folder)
    for name in ("step", "cached"):
        seconds, used = timed(lambda: many.using(**using).run(STEPS))
        numbers[f"{name}_ms"], numbers[f"{name}_cpu_ms"] = seconds / STEPS * 1e3, used / STEPS * 1e3
    numbers["files_per_step"] = (files(folder) - before) / STEPS
    for executor in executors.values():
        executor.close()
    store.close()
    print(json.dumps(numbers))


def files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


if __name__ == "__main__":
    main()
