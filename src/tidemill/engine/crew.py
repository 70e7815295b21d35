"""The executors of a run: in process for its own use, worker processes shared by all runs of this process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

from tidemill.core.errors import PipelineError
from tidemill.engine.executors import Executor, InlineExecutor, IsolatedExecutor, WorkerExecutor
from tidemill.engine.executors.jobs import OnLine
from tidemill.engine.tasks import StepResult, StepTask
from tidemill.store.artifacts import ArtifactStore

#: Who hears what the steps print that shared executors run, by execution.
_ears: dict[str, OnLine] = {}


def _hear(task: StepTask, line: str) -> None:
    ear = _ears.get(task.execution_id)
    if ear is not None:
        ear(task, line)


_MAKERS: Mapping[str, Callable[[], Executor]] = {
    "worker": lambda: WorkerExecutor(on_line=_hear),
    "isolated": lambda: IsolatedExecutor(on_line=_hear),
}
_shared: dict[str, Executor] = {}
_lock = threading.Lock()


class Crew:
    """Executors by name.

    Parameters
    ----------
    artifacts
        The store that steps read from and write to.
    threads
        How many inline steps may run at the same time; one per core up to eight, at least two, by default.
    executors
        Executors to use instead of the usual ones; one may say in an attribute `capacity` how many tasks it takes.
    on_line
        Called, in any thread, with the task and each line that it prints in one of the usual executors.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        threads: int | None = None,
        executors: Mapping[str, Executor] | None = None,
        on_line: OnLine | None = None,
    ) -> None:
        self._artifacts = artifacts
        self._threads = threads or min(8, max(2, os.cpu_count() or 2))
        self._inline = InlineExecutor(self._threads, on_line=on_line)
        self._on_line = on_line
        self._own = executors or {}
        self._used: dict[str, Executor] = {}

    def capacity(self, name: str) -> int:
        """How many tasks an executor should have at a time: twice what it works on, so that it need not wait for us."""
        given = getattr(self._own.get(name), "capacity", None)
        return int(given) if given is not None else 2 * (self._threads if name == "inline" else os.cpu_count() or 2)

    def run(self, task: StepTask) -> StepResult:
        """Run a step in this thread."""
        return self._inline.run(task, self._artifacts)

    def submit(self, name: str, task: StepTask) -> Future[StepResult]:
        """Start a step in the executor of this name."""
        executor = self._executor(name)
        self._used[task.execution_id] = executor
        if self._on_line is None or name in self._own or name == "inline":
            return executor.submit(task, self._artifacts)
        _ears[task.execution_id] = self._on_line
        try:
            future = executor.submit(task, self._artifacts)
        except BaseException:
            del _ears[task.execution_id]
            raise
        future.add_done_callback(lambda _: _ears.pop(task.execution_id, None))
        return future

    def cancel(self, execution_ids: Iterable[str]) -> None:
        """Tell steps to stop."""
        for execution_id in execution_ids:
            if execution_id in self._used:
                self._used[execution_id].cancel(execution_id)

    def close(self) -> None:
        """Wait for the steps in this process; shared worker processes stay for the next run."""
        self._inline.close()

    def _executor(self, name: str) -> Executor:
        if name in self._own:
            return self._own[name]
        if name == "inline":
            return self._inline
        if name not in _MAKERS:
            known = ", ".join(["inline", *_MAKERS, *self._own])
            raise PipelineError("there is no such executor", value=name, hint=f"Use one of: {known}.")
        with _lock:
            if name not in _shared:
                _shared[name] = _MAKERS[name]()
            return _shared[name]


@atexit.register
def close_shared() -> None:
    """Stop the worker processes that runs of this process share; the next run starts new ones."""
    with _lock:
        executors = list(_shared.values())
        _shared.clear()
    for executor in executors:
        executor.close()


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _shared.clear()
    _ears.clear()


os.register_at_fork(after_in_child=_forget)
