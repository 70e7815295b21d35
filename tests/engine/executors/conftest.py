from __future__ import annotations

import faulthandler
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tidemill.engine.executors import Executor, IsolatedExecutor, WorkerExecutor
from tidemill.engine.references import load_module
from tidemill.engine.tasks import StepTask
from tidemill.store.artifacts import ArtifactStore, open_artifacts

#: Seconds after which a test of executors counts as hanging: the process ends with every thread's stack.
PATIENCE = 120


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def steps() -> ModuleType:
    return load_module("tidemill_sample_steps", str(Path(__file__).with_name("sample_steps.py")))


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return open_artifacts(tmp_path / "artifacts")


_numbers = itertools.count(1)


@pytest.fixture
def task() -> Callable[..., StepTask]:
    """Make a task: limits as `timeout_`, `memory_`, …; the rest are arguments."""

    def make(function: Callable[..., Any], returns: Any = None, **arguments: Any) -> StepTask:
        limits = {name[:-1]: arguments.pop(name) for name in list(arguments) if name.endswith("_")}
        name = getattr(function, "__name__", "step")
        return StepTask(
            f"e{next(_numbers)}", "run", "p", "train", name, name, 1, function, arguments, returns, **limits
        )

    return make


@pytest.fixture(scope="module", params=[WorkerExecutor, IsolatedExecutor], ids=["worker", "isolated"])
def forking(request: pytest.FixtureRequest) -> Iterator[Executor]:
    executor = request.param(2)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerExecutor]:
    executor = WorkerExecutor(2)
    yield executor
    executor.close()
