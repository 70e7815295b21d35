"""What tuning found: the trials, and the study that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tidemill.core.errors import NotFoundError
from tidemill.measures.intervals import Estimate
from tidemill.training.tuning.faces import as_html

TrialState = Literal["complete", "pruned", "failed"]
#: Why no further trial began: the budget of trials or seconds was used, the grid was tried, or somebody stopped it.
Ended = Literal["trials", "timeout", "grid", "interrupted"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One try: its parameters and how it went. `value` is None where it did not end well, and `error` says why.

    `seconds` and `run_id` differ from run to run and are no part of what the trial found: comparisons leave them out.

    Parameters
    ----------
    number, params
        Its place in the study, from 0, and all its parameters, the fixed ones included.
    value
        What it reached in the study's first metric.
    state
        ``"complete"``, ``"pruned"`` (stopped early since it did worse than others) or ``"failed"``.
    seconds
        How long it took.
    iterations
        How many rounds or epochs early stopping kept; the median over folds.
    values
        What it reached in each metric.
    reported
        Intermediate values: ``(step, value)``.
    run_id
        Its run in the store, if the study is kept.
    """

    number: int
    params: Mapping[str, Any]
    value: float | None
    state: TrialState
    seconds: float = field(compare=False)
    error: str = ""
    iterations: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    reported: tuple[tuple[int, float], ...] = ()
    run_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Study:
    """What tuning found.

    Parameters
    ----------
    name, metric, greater_is_better
        What it is called, and what it looked for (of several metrics, the first).
    best
        All parameters of the best trial, the fixed ones included: what `train` takes. Of several metrics: of the trial
        on the front that costs least under the canvas, else of the one that is best in the first metric; see `choose`.
    value
        Its value on validation rows; optimistic, since the best of many was picked.
    trials
        All trials, in the order of their numbers.
    importance
        By parameter, the share of the trials' variance that it explains; empty when there are too few trials.
    seed, rows
        The seed, and how many training rows each trial was fitted on (on folds: in the first one).
    metrics
        Each metric, and whether greater is better.
    front
        Of several metrics, the numbers of the trials that no other trial beats in all of them.
    sampler, pruner, space
        How it looked, what stopped trials early, and where it looked, as text.
    question
        What it was told of the question, and `train` must be told as well to fit what was searched:
        ``train(build, study.best, data, **study.question)``. Cleaning is not in it.
    ended
        Why no further trial began.
    notes
        What a reader should know: what was left out of a warm start, that it went on from an interrupted study, ….
    outer
        With nested cross-validation, the metric of the whole procedure on rows that no trial saw, with its interval:
        the number to expect, beside the optimistic `value`.
    number
        Which of the studies of this name in the store it is; 0 if it is not kept.
    """

    name: str
    metric: str
    greater_is_better: bool
    best: Mapping[str, Any]
    value: float
    trials: tuple[Trial, ...]
    importance: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    rows: int = 0
    metrics: Mapping[str, bool] = field(default_factory=dict)
    front: tuple[int, ...] = ()
    sampler: str = "tpe"
    pruner: str = ""
    space: Mapping[str, str] = field(default_factory=dict)
    question: Mapping[str, Any] = field(default_factory=dict)
    ended: Ended = "trials"
    notes: tuple[str, ...] = field(default=(), compare=False)
    outer: Estimate | None = None
    number: int = field(default=0, compare=False)

    def trial(self, number: int) -> Trial:
        """The trial of this number."""
        for found in self.trials:
            if found.number == number:
                return found
        raise NotFoundError(
            f"study {self.name!r} has no trial of this number", value=number, hint=f"It has {len(self.trials)} trials."
        )

    def choose(self, prefer: Callable[[Trial], float]) -> Mapping[str, Any]:
        """The parameters of the trial that a function likes best: of those on the front, or of all that completed.

        Parameters
        ----------
        prefer
            Takes a trial and returns a number; the greatest wins, and of equal ones the first.

        Examples
        --------
        >>> fast = Trial(0, {"depth": 2}, 0.81, "complete", 0.1, values={"roc_auc": 0.81, "latency_p99_ms": 0.2})
        >>> good = Trial(1, {"depth": 9}, 0.84, "complete", 0.1, values={"roc_auc": 0.84, "latency_p99_ms": 2.9})
        >>> study = Study("late", "roc_auc", True, good.params, 0.84, (fast, good), front=(0, 1))
        >>> study.choose(lambda trial: trial.values["roc_auc"] - 0.1 * trial.values["latency_p99_ms"])
        {'depth': 2}
        """
        complete = [trial for trial in self.trials if trial.state == "complete"]
        among = [trial for trial in complete if trial.number in self.front] or complete
        return max(among, key=prefer).params

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return asdict(self)

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {self.metric}={self.value:.6g}, trials={len(self.trials)}, best={self.best!r})"

    def _repr_html_(self) -> str:
        return as_html(self)
