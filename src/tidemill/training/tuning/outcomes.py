"""What becomes of one try, and what it may say on its way: plain values, since a worker process has to send them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tidemill.core.errors import ModelError

OutcomeState = Literal["complete", "pruned", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended.

    Parameters
    ----------
    state
        As of a trial; ``"stopped"`` when somebody ended the study in the middle of it: such a try is made again.
    values
        By metric; empty unless it is complete.
    seconds, error, hint, iterations, reported
        As of a trial; `hint` is what Tidemill's own error said to do.
    exception
        What was raised, where it was raised in this process.
    """

    state: OutcomeState
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    hint: str = ""
    iterations: int | None = None
    reported: tuple[tuple[int, float], ...] = ()
    exception: Exception | None = field(default=None, compare=False, repr=False)


class Pruned(Exception):
    """Raised by `Reports` in the middle of a fit that need not go on."""


class Reports:
    """What a framework or an estimator calls with its value after each round or epoch: ``report(value, step)``.

    Parameters
    ----------
    greater_is_better
        Which way the study's metric goes: values that go the other way are turned.
    judge
        Told of each value; it says whether the fit is hopeless. None where nothing is pruned.
    """

    def __init__(self, *, greater_is_better: bool, judge: Callable[[float, int], bool] | None = None) -> None:
        self.reported: dict[int, float] = {}
        self._greater_is_better = greater_is_better
        self._judge = judge

    @property
    def prunes(self) -> bool:
        """Whether anybody decides by what is reported."""
        return self._judge is not None

    def __call__(self, value: float, step: int, *, greater_is_better: bool | None = None) -> None:
        """Report a value; of a step that was reported already the first value counts.

        Parameters
        ----------
        value, step
            The value after so many rounds, epochs or folds; steps grow.
        greater_is_better
            Which way this value goes, if it is not the study's metric.

        Raises
        ------
        Pruned
            When the trial does worse than others did at this step.
        ModelError
            When the value is NaN.
        """
        number, place = float(value), int(step)
        if math.isnan(number):
            raise ModelError(
                f"the value reported at step {place} is NaN",
                hint="Lower the learning rate, scale the inputs, or look for infinite values among them.",
            )
        if greater_is_better is not None and greater_is_better != self._greater_is_better:
            number = -number
        if place in self.reported:
            return
        self.reported[place] = number
        if self._judge is not None and self._judge(number, place):
            raise Pruned(f"it did worse than others at step {place}: {number:.6g}")
