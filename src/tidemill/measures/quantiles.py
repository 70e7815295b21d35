"""Measures of predicted quantiles: truth of shape (rows,), predictions of shape (rows, levels), levels rising."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError, UsageError
from tidemill.measures.classification import mean
from tidemill.measures.inputs import Floats, numbers, same_length
from tidemill.measures.regression import pinball_rows


def checked_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """The levels as numbers between 0 and 1 that rise; anything else is an error.

    >>> checked_levels([0.1, 0.5, 0.9])
    (0.1, 0.5, 0.9)
    """
    found = tuple(float(level) for level in levels)
    if not found or not all(0 < level < 1 for level in found) or list(found) != sorted(set(found)):
        raise UsageError(
            "quantile levels lie between 0 and 1 and rise", value=tuple(levels), hint="Write levels=(0.1, 0.5, 0.9)."
        )
    return found


def quantile_pairs(truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float]) -> tuple[Floats, Floats]:
    """Truth of shape (rows,) and predictions of shape (rows, levels), checked against each other."""
    left, right = numbers(truth, "the truth"), numbers(predicted, "the predictions", dimensions=2)
    same_length(left, right)
    if right.shape[1] != len(levels):
        raise DataError(
            f"predictions have {right.shape[1]} columns for {len(levels)} quantile levels",
            value=tuple(levels),
            hint="Give one column for each level.",
        )
    return left, right


def mean_pinball_rows(truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float]) -> Floats:
    """The pinball loss of each row, averaged over the levels."""
    left, right = quantile_pairs(truth, predicted, levels)
    rows = [pinball_rows(left, right[:, place], level) for place, level in enumerate(levels)]
    return np.asarray(np.mean(rows, axis=0))


def mean_pinball(
    truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float], weights: ArrayLike | None = None
) -> float:
    """The pinball loss averaged over rows and levels, in the unit of the target.

    >>> round(mean_pinball([10.0], [[8.0, 11.0]], levels=(0.1, 0.9)), 3)
    0.15
    """
    return mean(mean_pinball_rows(truth, predicted, levels), weights)


def covered_rows(truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float]) -> Floats:
    """1 where the truth lies between the outermost predictions, bounds included, else 0."""
    left, right = quantile_pairs(truth, predicted, levels)
    return ((right[:, 0] <= left) & (left <= right[:, -1])).astype(np.float64)


def coverage(
    truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float], weights: ArrayLike | None = None
) -> float:
    """The share of rows whose truth lies between the outermost predictions; `levels` say what it should be.

    >>> coverage([10.0, 12.0], [[8.0, 11.0], [8.0, 11.0]], levels=(0.1, 0.9))
    0.5
    """
    return mean(covered_rows(truth, predicted, levels), weights)


def width_rows(truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float]) -> Floats:
    """How far apart each row's outermost predictions are."""
    _, right = quantile_pairs(truth, predicted, levels)
    return np.asarray(right[:, -1] - right[:, 0])


def crossing_rows(truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float]) -> Floats:
    """1 where a higher level has a lower prediction, else 0."""
    _, right = quantile_pairs(truth, predicted, levels)
    return np.asarray((np.diff(right, axis=1) < 0).any(axis=1), dtype=np.float64)


def crossing(
    truth: ArrayLike, predicted: ArrayLike, levels: Sequence[float], weights: ArrayLike | None = None
) -> float:
    """The share of rows in which a higher level has a lower prediction, which no distribution has."""
    return mean(crossing_rows(truth, predicted, levels), weights)
