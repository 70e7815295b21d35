"""ZenML: 200 no-op steps in a pipeline on the local stack, cached by its defaults."""

import json
import os
import time

from zenml import pipeline, step

STEPS = 200


@step
def noop(number: int) -> int:
    return number


@pipeline(enable_cache=True)
def many(count: int) -> None:
    for number in range(count):
        noop(number)


@pipeline(enable_cache=True)
def one() -> None:
    noop(-1)


def cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    wall = time.perf_counter()
    one()
    numbers = {"first_run_s": time.perf_counter() - wall}
    for name in ("step", "cached"):
        wall, used = time.perf_counter(), cpu()
        many(STEPS)
        numbers[f"{name}_ms"] = (time.perf_counter() - wall) / STEPS * 1e3
        numbers[f"{name}_cpu_ms"] = (cpu() - used) / STEPS * 1e3
    print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
