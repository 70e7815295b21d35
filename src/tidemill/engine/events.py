"""What a run tells its listeners while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal["run_started", "step_started", "step_retry", "step_finished", "log", "run_finished"]


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One thing that happened in a run.

    Parameters
    ----------
    kind
        ``run_started``; per step ``step_started`` (not for cached ones), ``step_retry`` after a failed attempt that
        will be repeated, and ``step_finished``; ``log`` with one or more lines that a step has printed, while it goes
        on (the whole log of an attempt is in the store); ``run_finished``.
    run_id, pipeline, project
        Of the run.
    at
        Domain time in microseconds since the epoch.
    step, node, stage, execution_id, attempt
        Of the step, for step events. `stage` is the label for summaries.
    status
        Of the step or run that finished: ``succeeded``, ``cached``, ``failed``, ``skipped``, ``cancelled``.
    seconds
        How long the step or the run took; for ``step_retry`` the pause before the next attempt.
    reasons
        Why a started step was not taken from the cache, one sentence each.
    message
        The error of what failed, or the lines.
    rows_in, rows_out
        Rows of the tables that the step read and wrote, where known.
    details
        For ``run_started``: the arguments.
    """

    kind: EventKind
    run_id: str
    pipeline: str
    project: str
    at: int
    step: str = ""
    node: str = ""
    stage: str = ""
    execution_id: str = ""
    attempt: int = 1
    status: str = ""
    seconds: float = 0.0
    reasons: tuple[str, ...] = ()
    message: str = ""
    rows_in: int | None = None
    rows_out: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


#: Listeners are called in the thread that coordinates the run, one after another: they should be quick. One that raises
#: is not called again, and the run fails with what it raised once the steps that are being executed have ended.
Listener = Callable[[RunEvent], None]
