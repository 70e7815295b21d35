"""Measures of predicted numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError
from tidemill.measures.classification import mean
from tidemill.measures.inputs import Floats, paired, row_weights


def squared_rows(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    """The squared error of each row."""
    left, right = paired(truth, predicted)
    return np.asarray((left - right) ** 2)


def absolute_rows(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    """The absolute error of each row."""
    left, right = paired(truth, predicted)
    return np.abs(left - right)


def rmse(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The root of the mean squared error, in the unit of the target.

    >>> rmse([0.0, 0.0], [3.0, -3.0])
    3.0
    """
    return math.sqrt(mean(squared_rows(truth, predicted), weights))


def mae(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean absolute error, in the unit of the target.

    >>> mae([0.0, 0.0], [3.0, -4.0])
    3.5
    """
    return mean(absolute_rows(truth, predicted), weights)


def r2(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The share of the target's variance that is explained; NaN when the target does not vary.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    """
    left, right = paired(truth, predicted)
    weight = row_weights(weights, len(left))
    if weight.sum() <= 0:
        return float("nan")
    spread = float(weight @ (left - np.average(left, weights=weight)) ** 2)
    return 1 - float(weight @ (left - right) ** 2) / spread if spread > 0 else float("nan")


def pinball_rows(truth: ArrayLike, predicted: ArrayLike, quantile: float = 0.5) -> Floats:
    """The pinball loss of each row."""
    if not 0 < quantile < 1:
        raise DataError("a quantile lies between 0 and 1", value=quantile, hint="Use 0.9 for the 90 % quantile.")
    left, right = paired(truth, predicted)
    return np.asarray(np.maximum(quantile * (left - right), (quantile - 1) * (left - right)))


def pinball(truth: ArrayLike, predicted: ArrayLike, quantile: float = 0.5, weights: ArrayLike | None = None) -> float:
    """The mean pinball loss of a predicted quantile, in the unit of the target.

    >>> pinball([10.0], [8.0], quantile=0.9)
    1.8
    """
    return mean(pinball_rows(truth, predicted, quantile), weights)
