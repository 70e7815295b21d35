"""Steps for the tests of executors, in a module that worker processes can load."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from tidemill.core import clock
from tidemill.core.errors import LeakError
from tidemill.engine.context import current, record
from tidemill.engine.step import step
from tidemill.project import current_project


@dataclass(frozen=True)
class Spec:
    name: str
    depth: int


class Pair(NamedTuple):
    left: int
    right: str


def add(a: int, b: int) -> int:
    return a + b


def nothing() -> None:
    """Do nothing."""


def depth_of(spec: Spec) -> int:
    return spec.depth


def pair(n: int) -> Pair:
    return Pair(n, str(n))


def swap(given: Pair) -> Pair:
    return Pair(int(given.right), str(given.left))


def total(tables: list[pl.DataFrame], extra: dict[str, int]) -> int:
    return sum(table["x"].sum() for table in tables) + sum(extra.values())


def doubled(table: pl.DataFrame) -> pl.DataFrame:
    return table.vstack(table)


def group(n: int) -> dict[int, int]:
    frame = pl.DataFrame({"k": [i % 7 for i in range(n)], "v": range(n)})
    grouped = frame.lazy().group_by("k").agg(pl.col("v").sum()).sort("k").collect()
    return dict(zip(grouped["k"].to_list(), grouped["v"].to_list(), strict=True))


def pid(_: int = 0) -> int:
    return os.getpid()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def folder() -> str:
    return str(Path.cwd())


def who() -> list[Any]:
    step = current()
    assert step is not None
    record("metric", {"name": "auc", "value": 0.74})
    return [step.run_id, step.execution_id, step.node, step.attempt]


def broken(n: int) -> None:
    print("before it broke")
    _deeper(n)


def _deeper(n: int) -> None:
    try:
        raise KeyError(n)
    except KeyError as error:
        raise ValueError(f"no row {n}") from error


def leak() -> None:
    raise LeakError("a column is not available at prediction time", value="dep_delay", hint="Leave it out.")


def unstorable() -> object:
    return threading.Lock()


def talk() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    ctypes.CDLL(None).puts(b"from C")
    subprocess.run(["echo", "from a child"], check=True)
    logging.getLogger("mine").warning("logged")
    warnings.warn("careful", UserWarning, stacklevel=1)


def sleep(seconds: float, note: str = "") -> int:
    print("asleep", flush=True)
    if note:
        Path(note).write_text(str(os.getpid()))
    time.sleep(seconds)
    return os.getpid()


def spawn_and_sleep(note: str) -> None:
    process = subprocess.Popen(["sleep", "300"])
    Path(note).write_text(f"{os.getpid()} {process.pid}")
    time.sleep(300)


def kill_self(number: int) -> None:
    print("last words", flush=True)
    os.kill(os.getpid(), number)
    signal.pause()


def exit_now(code: int) -> None:
    os._exit(code)


def leave(code: int) -> None:
    sys.exit(code)


def close_everything() -> None:
    os.closerange(3, 64)
    time.sleep(300)


def grow(size: int) -> int:
    data = bytearray(size)
    for at in range(0, size, 4096):
        data[at] = 1
    time.sleep(0.3)
    return len(data)


def threads_of_polars() -> int:
    return pl.thread_pool_size()


def record_frame() -> None:
    record("note", pl.DataFrame({"x": [1]}))


def print_much(size: int) -> None:
    print("first line")
    print("x" * size)
    print("last line")


def print_in_threads(word: str, times: int) -> None:
    def shout() -> None:
        for _ in range(times):
            print(word)

    others = [threading.Thread(target=shout) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()


def twice(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> int:
        return 2 * function(*args, **kwargs)

    return wrapper


@step
@twice
def decorated(n: int) -> int:
    return n


def project_and_time() -> list[str]:
    return [current_project().name, str(current_project().profile), clock.now().isoformat()]
