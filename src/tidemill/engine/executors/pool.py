"""A pool of forked workers: callers in any thread wait for futures, one thread of its own does the rest."""

from __future__ import annotations

import atexit
import os
import socket
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from tidemill.core.errors import UsageError
from tidemill.engine.executors.base import cancelled
from tidemill.engine.executors.dispatch import Dispatcher
from tidemill.engine.executors.jobs import Job, OnLine, make_job
from tidemill.engine.tasks import StepResult, StepTask
from tidemill.store.artifacts import ArtifactStore


class ForkPool:
    """Runs tasks in worker processes.

    Parameters
    ----------
    workers
        How many tasks run at the same time.
    is_reused
        Whether a worker takes another task when it has finished one.
    preload
        Modules to import in the zygote, besides those that the steps are in.
    on_line
        Called with the task and each line that it prints, in the pool's thread: it must be quick.
    """

    def __init__(
        self, workers: int, *, is_reused: bool, preload: Sequence[str] = (), on_line: OnLine | None = None
    ) -> None:
        self._dispatcher = Dispatcher(workers, preload)
        self._is_reused = is_reused
        self._on_line = on_line
        self._inbox: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.settimeout(0)
        self._wake_out.settimeout(0)
        self._dispatcher.listen(self._wake_in, lambda _: self._awake())
        _pools.add(self)

    def submit(self, task: StepTask, artifacts: ArtifactStore) -> Future[StepResult]:
        """Queue a task; PipelineError if it cannot travel or declares what this machine has not."""
        on_line = None if self._on_line is None else self._report
        job = make_job(task, artifacts, is_fresh=not self._is_reused, on_line=on_line)
        with self._lock:
            if self._is_closing:
                raise UsageError("this executor is closed", value=task.node, hint="Make a new one for a new run.")
            self._start()
            self._tell(lambda: self._dispatcher.enqueue(job))
        return job.future

    def cancel(self, execution_id: str) -> None:
        """Stop a task wherever it is; one that is finished or unknown stays as it is."""
        with self._lock:
            if self._thread is not None and not self._is_closing:
                self._tell(lambda: self._dispatcher.cancel(execution_id))

    def close(self) -> None:
        """Cancel everything, end every process and wait until they are gone."""
        with self._lock:
            is_first, self._is_closing = not self._is_closing, True
            thread = self._thread
            if is_first and thread is not None:
                self._wake()
        if is_first:
            atexit.unregister(self.close)
        if thread is None:
            if is_first:
                self._release(None)
        elif thread is not threading.current_thread():
            thread.join()

    def abandon(self) -> None:
        """In a forked child of this process: the workers are the parent's."""
        self._lock = threading.Lock()
        self._is_closing = True
        self._dispatcher.abandon()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="tidemill-workers", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def _tell(self, action: Callable[[], None]) -> None:
        self._inbox.append(action)
        self._wake()

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"\0")
        except BlockingIOError:
            return  # it has been woken many times and has not come round yet

    def _awake(self) -> None:
        self._wake_in.recv(4096)

    def _act(self) -> None:
        while self._inbox:
            self._inbox.popleft()()

    def _serve(self) -> None:
        failure: BaseException | None = None
        try:
            while not self._is_closing:
                self._act()
                self._dispatcher.turn()
        except BaseException as error:
            failure = error  # a bug here must reach those who wait, or they would wait for ever
            raise
        finally:
            with self._lock:
                self._is_closing = True
            self._release(failure)

    def _release(self, failure: BaseException | None) -> None:
        self._act()
        jobs: list[Job] = self._dispatcher.close()
        self._wake_in.close()
        self._wake_out.close()
        for job in jobs:
            if not job.claim():
                continue
            if failure is None:
                job.resolve(cancelled())
            else:
                job.future.set_exception(failure)

    def _report(self, task: StepTask, line: str) -> None:
        if self._on_line is None:
            return
        try:
            self._on_line(task, line)
        except Exception:
            # A broken display must not take the steps with it: it is shown once, then left alone.
            self._on_line = None
            traceback.print_exc()


_pools: weakref.WeakSet[ForkPool] = weakref.WeakSet()


def _abandon_all() -> None:
    for pool in list(_pools):
        pool.abandon()


os.register_at_fork(after_in_child=_abandon_all)
