"""Measures of forecasts without a unit: relative to the size of the truth, or to the last value that was known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tidemill.measures.classification import mean
from tidemill.measures.inputs import Floats, numbers, paired, row_weights, same_length
from tidemill.measures.metric import ratio_of_sums
from tidemill.measures.resampling import Weighted


def actual_of(truth: ArrayLike) -> Floats:
    """What happened: the truth itself, or its first column where the last known value stands beside it."""
    array = np.asarray(truth, dtype=np.float64)
    return array[:, 0] if array.ndim == 2 else array


def smape_rows(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    """The absolute error over the mean size of truth and forecast, of each row; 0 where both are 0."""
    left, right = paired(actual_of(truth), predicted)
    size = (np.abs(left) + np.abs(right)) / 2
    return np.divide(np.abs(left - right), size, out=np.zeros(len(left)), where=size > 0)


def smape(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The symmetric mean absolute percentage error as a share, from 0 to 2 (Makridakis, 1993).

    >>> smape([100.0], [50.0])
    0.6666666666666666
    """
    return mean(smape_rows(truth, predicted), weights)


def prepare_wape(truth: ArrayLike, predicted: ArrayLike, _threshold: float = 0.5) -> Weighted:
    """`wape` of these rows as a function of weights."""
    left, right = paired(actual_of(truth), predicted)
    return ratio_of_sums(np.abs(left - right), np.abs(left))


def wape(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The sum of absolute errors over the sum of absolute truths. NaN when the latter is 0.

    >>> wape([100.0, 0.0], [90.0, 10.0])
    0.2
    """
    return prepare_wape(truth, predicted)(None if weights is None else row_weights(weights, len(np.asarray(predicted))))


def prepare_mase(truth: ArrayLike, predicted: ArrayLike, _threshold: float = 0.5) -> Weighted:
    """`mase` of these rows as a function of weights."""
    both, right = np.asarray(truth, dtype=np.float64), numbers(predicted, "the predictions")
    if both.ndim != 2:
        return lambda _: math.nan
    same_length(both, right)
    actual, last = numbers(both[:, 0], "the truth"), both[:, 1]
    known = ~np.isnan(last)
    error, naive = (np.where(known, np.abs(actual - other), 0.0) for other in (right, np.nan_to_num(last)))
    return ratio_of_sums(error, naive)


def mase(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The absolute error over that of the last known value, on the rows that have one; below 1 is better than it.

    Hyndman & Koehler (2006) scale by the one-step error within the training rows; here the scale is the error of the
    same forecast horizon on the same rows, so that 1 means no better than repeating what was known.

    Parameters
    ----------
    truth
        What happened and the last value that was known, shape (rows, 2); the latter NaN where none was.
    predicted
        Forecasts, shape (rows,).
    weights
        How often each row counts.

    Examples
    --------
    >>> mase([[100.0, 80.0], [60.0, 80.0]], [90.0, 70.0])
    0.5
    """
    return prepare_mase(truth, predicted)(None if weights is None else row_weights(weights, len(np.asarray(predicted))))
