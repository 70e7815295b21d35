"""What an estimator is fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidemill.core.tasks import Task

Matrix = NDArray[np.float32]
Numbers = NDArray[np.float64]


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
