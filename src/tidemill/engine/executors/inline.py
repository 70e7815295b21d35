"""Steps in this process: the cheapest executor, for steps that need no isolation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

from tidemill.engine.executors.base import cancelled, refuse_process_limits
from tidemill.engine.logs import StepLog, uncaptured
from tidemill.engine.tasks import StepResult, StepTask, execute
from tidemill.store.artifacts import ArtifactStore


class InlineExecutor:
    """Runs steps in the calling thread (`run`) or in a small pool of threads (`submit`).

    Parameters
    ----------
    threads
        How many submitted steps run at the same time; the threads start when they are needed.
    on_line
        Called with the task and each line that it prints, as it is printed, in the step's thread.
    tee
        Whether what steps print also goes to the terminal.
    """

    name = "inline"

    def __init__(
        self, threads: int = 1, *, on_line: Callable[[StepTask, str], None] | None = None, tee: bool = False
    ) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="tidemill-step")
        self._on_line = on_line
        self._tee = tee
        self._lock = threading.Lock()
        self._waiting: dict[str, Future[StepResult]] = {}

    def run(self, task: StepTask, artifacts: ArtifactStore) -> StepResult:
        """Run a step in this thread."""
        refuse_process_limits(task)
        return execute(task, artifacts, self._log(task), tee=self._tee)

    def submit(self, task: StepTask, artifacts: ArtifactStore) -> Future[StepResult]:
        """Run a step in the pool, with the caller's context variables (clock, project)."""
        refuse_process_limits(task)
        future: Future[StepResult] = Future()
        with self._lock:
            self._waiting[task.execution_id] = future
        self._pool.submit(copy_context().run, self._run_submitted, task, artifacts, future)
        return future

    def cancel(self, execution_id: str) -> None:
        """Take a waiting step out of the queue. One that runs cannot be stopped in process: it finishes."""
        with self._lock:
            future = self._waiting.pop(execution_id, None)
        if future is not None and future.set_running_or_notify_cancel():
            future.set_result(cancelled())

    def close(self) -> None:
        """Cancel what waits, and wait for what runs."""
        for execution_id in list(self._waiting):
            self.cancel(execution_id)
        self._pool.shutdown(wait=True)

    def _run_submitted(self, task: StepTask, artifacts: ArtifactStore, future: Future[StepResult]) -> None:
        with self._lock:
            mine = self._waiting.pop(task.execution_id, None)
        if mine is None or not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(execute(task, artifacts, self._log(task), tee=self._tee))
        except BaseException as error:  # KeyboardInterrupt and the like belong to whoever waits
            future.set_exception(error)

    def _log(self, task: StepTask) -> StepLog:
        on_line = self._on_line
        if on_line is None:
            return StepLog()

        def report(line: str) -> None:
            with uncaptured():
                on_line(task, line)

        return StepLog(on_line=report)
