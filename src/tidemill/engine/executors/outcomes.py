"""What to say of a step whose process did not get to say it itself."""

from __future__ import annotations

import os
import signal

from tidemill.core import clock
from tidemill.engine.executors.jobs import Job
from tidemill.engine.executors.resources import gibibytes
from tidemill.engine.tasks import FailureKind, StepFailure, StepResult


def timed_out(job: Job) -> StepResult:
    """It ran longer than it declared."""
    return _failed(
        job, "StepTimeoutError", f"the step ran longer than its timeout of {job.task.timeout:g} s", "timeout"
    )


def out_of_memory(job: Job) -> StepResult:
    """It used more memory than it declared."""
    declared = gibibytes(job.task.memory or 0)
    return _failed(
        job, "MemoryError", f"the step used {gibibytes(job.peak)} of memory and declares memory of {declared}", "died"
    )


def died(job: Job, status: int) -> StepResult:
    """Its process is gone; `status` is what the system said of its end, as `os.wait` encodes it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        what = f"the worker process exited with code {code} in the middle of the step"
    else:
        what = f"the worker process was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            what += " (the system does this when memory runs out)"
    return _failed(job, "WorkerDiedError", what, "died")


def not_started(job: Job, errors: str) -> StepResult:
    """No process could be started for it."""
    what = "no worker process could be started"
    return _failed(
        job, "WorkerDiedError", f"{what}; its starter said:\n{errors.strip()}" if errors else what, "tidemill"
    )


def _failed(job: Job, type_name: str, what: str, kind: FailureKind) -> StepResult:
    seconds = clock.elapsed() - job.started if job.started else 0.0
    return StepResult(
        "failed", error=StepFailure(type_name, what, kind=kind), seconds=seconds, max_rss=job.peak
    )  # fmt: skip
