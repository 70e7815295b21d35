"""What an estimator is settled with, and what it is fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tidemill.core.tasks import Task

Matrix = NDArray[np.float32]
Numbers = NDArray[np.float64]


class Report(Protocol):
    """Takes the value after each round or epoch; in a study with a pruner it may raise, to end a hopeless fit."""

    @property
    def prunes(self) -> bool:
        """Whether anybody decides by what is reported; where nobody does, what costs time need not be reported."""
        ...

    def __call__(self, value: float, step: int, *, greater_is_better: bool | None = None) -> None:
        """Report a value, and which way it goes if that is not the way of the metric that is tuned."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """What an estimator that was just built is settled with.

    Parameters
    ----------
    params
        What `build` was given.
    unread
        The names of those that `build` did not look at.
    seed, threads
        As for `tidemill.training.train`.
    """

    params: Mapping[str, Any]
    unread: frozenset[str] = frozenset()
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Fitting:
    """What fitting needs besides the estimator: encoded rows of both parts, and how to go about it.

    Parameters
    ----------
    matrix, truth, validation, validation_truth
        Encoded rows, shape (rows, columns), and targets as numbers, shape (rows,), of both parts.
    names
        The columns of the matrix.
    task, outputs
        The kind of answer, and how many numbers it has: classes, or one.
    seed, threads, early_stopping
        As for `tidemill.training.train`.
    weights
        How much each training row counts, shape (rows,); None if all count alike.
    groups, validation_groups
        Ranking only: how many rows each query has, in the order of the rows, of both parts.
    levels
        Quantiles only: the levels that the answer has a number for.
    validation_facts
        What metrics must know of the validation rows, where that is more than their targets (see
        `tidemill.training.targets.facts_of`).
    report
        Whom to tell the value after each round or epoch; None outside of tuning.
    """

    matrix: Matrix
    truth: Numbers
    validation: Matrix
    validation_truth: Numbers
    names: tuple[str, ...]
    task: Task = "binary"
    outputs: int = 1
    seed: int = 0
    threads: int = 1
    early_stopping: int = 30
    weights: Numbers | None = None
    groups: tuple[int, ...] | None = None
    validation_groups: tuple[int, ...] | None = None
    levels: tuple[float, ...] = ()
    validation_facts: Numbers | None = None
    report: Report | None = None

    @property
    def pruned_by(self) -> Report | None:
        """Whom a library must tell each value, since the fit may be ended by it; None where nobody judges it."""
        return self.report if self.report is not None and self.report.prunes else None
