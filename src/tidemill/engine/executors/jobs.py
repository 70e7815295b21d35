"""A task made ready for another process: its bytes, what it shall see around it, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from tidemill.core import clock
from tidemill.core.errors import PipelineError
from tidemill.engine.executors import wire
from tidemill.engine.executors.base import process_limits
from tidemill.engine.executors.resources import refuse_missing_resources
from tidemill.engine.executors.surroundings import Surroundings, surroundings_of
from tidemill.engine.logs import StepLog
from tidemill.engine.references import FunctionRef, reference
from tidemill.engine.tasks import StepResult, StepTask
from tidemill.store.artifacts import ArtifactStore

OnLine = Callable[[StepTask, str], None]


@dataclass(eq=False)
class Job:
    """A task on its way.

    Parameters
    ----------
    task, function, encoded, future
        What to run, where its function is, its bytes, and whom to tell.
    surroundings
        The environment variables, folder and import path that the step shall see.
    log
        What its worker prints.
    is_fresh
        Whether it needs a process that has run nothing before.
    devices, started, deadline, peak
        What it was given, and what is known of it while it runs.
    """

    task: StepTask
    function: FunctionRef
    encoded: bytes
    future: Future[StepResult]
    surroundings: Surroundings
    log: StepLog
    is_fresh: bool
    devices: tuple[str, ...] = ()
    started: float = 0.0
    deadline: float | None = None
    peak: int = 0

    def start_clock(self) -> None:
        """It begins to run now."""
        self.started = clock.elapsed()
        self.deadline = None if self.task.timeout is None else self.started + self.task.timeout

    def claim(self) -> bool:
        """Take it on; False if whoever waited for it has cancelled the future."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def resolve(self, result: StepResult) -> None:
        """Tell whoever waits."""
        self.log.close()
        self.future.set_result(replace(result, log=self.log.text()))


def make_job(task: StepTask, artifacts: ArtifactStore, *, is_fresh: bool, on_line: OnLine | None) -> Job:
    """Make a task ready.

    Raises
    ------
    PipelineError
        It cannot travel, or declares what this machine has not.
    """
    refuse_missing_resources(task)
    url = task.artifacts_url or artifacts.url
    if url.startswith("memory:"):
        raise PipelineError(
            f"step {task.node!r} cannot run in another process: its artifact store is in this one's memory",
            value=url,
            hint="Use a folder or a remote file system, or executor='inline'.",
        )
    function = _reference(task)
    sent = replace(task, artifacts_url=url, artifacts_options=artifacts.options, function=function)
    log = StepLog() if on_line is None else StepLog(on_line=lambda line: on_line(task, line))
    is_fresh = is_fresh or task.memory is not None or task.gpu > 0
    return Job(sent, function, wire.encode_task(sent), Future(), surroundings_of(task), log, is_fresh)


def _reference(task: StepTask) -> FunctionRef:
    if isinstance(task.function, FunctionRef):
        return task.function
    try:
        return reference(task.function)
    except PipelineError as error:
        limits = " and ".join(process_limits(task))
        if not limits:
            raise
        raise PipelineError(  # running it in this process, as the error suggests, would not help
            f"{error.what}, and a step that declares {limits} runs in one",
            value=error.value,
            hint="Move it to the top level of a module.",
        ) from error
