"""What an executor is, and what it must refuse."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from tidemill.core.errors import PipelineError
from tidemill.engine.tasks import StepFailure, StepResult, StepTask
from tidemill.store.artifacts import ArtifactStore


class Executor(Protocol):
    """Runs steps somewhere, and tells what became of them."""

    @property
    def name(self) -> str:
        """What a step's declaration calls it: ``"inline"``, ``"worker"``, ``"isolated"``."""
        ...

    def submit(self, task: StepTask, artifacts: ArtifactStore) -> Future[StepResult]:
        """Start a step, now or when there is room; the future never raises for what the step does.

        Raises
        ------
        PipelineError
            The task declares something that this executor cannot honour.
        """
        ...

    def cancel(self, execution_id: str) -> None:
        """Stop a step that was submitted here: its result says ``cancelled``. One that has finished stays finished."""
        ...

    def close(self) -> None:
        """Stop everything and leave no process behind."""
        ...


#: The limits that only a process of its own can honour.
PROCESS_LIMITS = ("timeout", "memory", "cpu", "gpu")


class Limits(Protocol):
    """What declares limits: the options of a step, or a task; None or zero stands for no limit."""

    @property
    def timeout(self) -> float | None:
        """Seconds."""
        ...

    @property
    def memory(self) -> int | None:
        """Bytes of resident memory."""
        ...

    @property
    def cpu(self) -> float | None:
        """Threads of numeric libraries."""
        ...

    @property
    def gpu(self) -> int:
        """Devices."""
        ...


def process_limits(declared: Limits) -> tuple[str, ...]:
    """The limits declared by a step or a task that the in-process executor cannot honour."""
    return tuple(name for name in PROCESS_LIMITS if getattr(declared, name))


def refuse_process_limits(task: StepTask) -> None:
    """Raise PipelineError if the task declares a limit that cannot be honoured in process."""
    declared = process_limits(task)
    if declared:
        shown = ", ".join(f"{name}={getattr(task, name)!r}" for name in declared)
        raise PipelineError(
            f"step {task.node!r} declares {shown}, which cannot be enforced on a step that shares this process",
            hint="Give it a process: @step(executor='worker') or @step(executor='isolated').",
        )


def cancelled(seconds: float = 0.0, log: str = "") -> StepResult:
    """The result of a step that somebody stopped."""
    failure = StepFailure("CancelledError", "the step was cancelled", kind="cancelled")
    return StepResult("cancelled", error=failure, seconds=seconds, log=log)
