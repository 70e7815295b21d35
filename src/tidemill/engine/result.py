"""What a run leaves in the hands of its caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.records import RunStatus, StepStatus

_UNSET: Any = object()


@dataclass(frozen=True, slots=True)
class StepSummary:
    """What became of one step of a run.

    Parameters
    ----------
    node, step, stage
        Its place in the run, its name, and the label for summaries.
    status
        How it ended.
    seconds
        Wall time of its last attempt; for a cached step, zero.
    execution_id, attempt
        Its last execution.
    rows_in, rows_out
        Rows of the tables that it read and wrote, where known.
    outputs
        Its artifact ids by output name.
    error
        Why it failed or was skipped.
    """

    node: str
    step: str
    stage: str
    status: StepStatus
    seconds: float = 0.0
    execution_id: str = ""
    attempt: int = 1
    rows_in: int | None = None
    rows_out: int | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    error: str = ""


class RunResult:
    """A finished run.

    Parameters
    ----------
    id, pipeline, project, status
        Of the run.
    steps
        One summary per step call, in the order of the calls.
    seconds
        Wall time of the whole run.
    error
        What went wrong, None for a run that succeeded.
    resumed_from
        The run that this one continued.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 — the name of the field in the store
        pipeline: str,
        project: str,
        status: RunStatus,
        steps: list[StepSummary],
        seconds: float,
        error: BaseException | None = None,
        resumed_from: str | None = None,
        load: Callable[[], Any] | None = None,
    ) -> None:
        self.id = id
        self.pipeline = pipeline
        self.project = project
        self.status = status
        self.steps = steps
        self.seconds = seconds
        self.error = error
        self.resumed_from = resumed_from
        self._load = load
        self._result = _UNSET

    @property
    def result(self) -> Any:
        """What the pipeline returned, loaded when it is first asked for; None if the run did not succeed."""
        if self._result is _UNSET:
            self._result = self._load() if self._load is not None else None
        return self._result

    def step(self, name: str) -> StepSummary:
        """The summary of one node, by node name or (the first) by step name."""
        for summary in self.steps:
            if name in (summary.node, summary.step):
                return summary
        raise KeyError(name)

    def count(self, status: StepStatus) -> int:
        """How many steps ended so."""
        return sum(summary.status == status for summary in self.steps)

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.pipeline}: {self.status}, {len(self.steps)} steps, {self.seconds:.2f} s>"
