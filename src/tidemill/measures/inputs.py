"""The checks that every measure makes on its arrays, with messages that say what and where."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidemill.core.errors import DataError

Floats = NDArray[np.float64]


def numbers(values: ArrayLike, what: str, *, dimensions: int = 1) -> Floats:
    """A float64 array without NaN, of the given number of dimensions.

    >>> numbers([0.1, float("nan")], "scores")
    Traceback (most recent call last):
    tidemill.core.errors.DataError: scores hold 1 NaN, the first in row 1. Fill or drop these rows before measuring.
    """
    array = _as_float(values, what)
    if array.ndim != dimensions:
        raise DataError(
            f"{what} should have {dimensions} dimension{'s' if dimensions > 1 else ''}",
            value=array.shape,
            hint="Pass one number per row." if dimensions == 1 else "Pass one row of numbers per row.",
        )
    bad = np.isnan(array)
    if bad.any():
        first = int(np.argmax(bad.any(axis=1) if dimensions > 1 else bad))
        raise DataError(
            f"{what} hold {int(bad.sum())} NaN, the first in row {first}",
            hint="Fill or drop these rows before measuring.",
        )
    return array


def paired(truth: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Truth and predictions as float64 arrays of one length."""
    left, right = numbers(truth, "the truth"), numbers(predicted, "the predictions")
    same_length(left, right)
    return left, right


def binary(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Labels of 0 and 1, and scores, as float64 arrays of one length."""
    truth, predicted = paired(labels, scores)
    bad = (truth != 0) & (truth != 1)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"labels should be 0 or 1, and row {first} is not",
            value=float(truth[first]),
            hint="Turn the positive class into 1 and the other into 0.",
        )
    return truth, predicted


def probabilities(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Labels of 0 and 1, and probabilities, as float64 arrays of one length."""
    truth, predicted = binary(labels, scores)
    bad = (predicted < 0) | (predicted > 1)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"probabilities lie between 0 and 1, and row {first} does not",
            value=float(predicted[first]),
            hint="Use a ranking metric such as roc_auc for raw scores, or calibrate them.",
        )
    return truth, predicted


def classes(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], Floats]:
    """Class codes 0…k-1 of shape (rows,) and probabilities of shape (rows, k)."""
    truth, predicted = numbers(labels, "the truth"), numbers(scores, "the predictions", dimensions=2)
    same_length(truth, predicted)
    codes = truth.astype(np.int64)
    bad = (codes != truth) | (codes < 0) | (codes >= predicted.shape[1])
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"class codes go from 0 to {predicted.shape[1] - 1}, and row {first} does not",
            value=float(truth[first]),
            hint="Number the classes in the order of the probability columns.",
        )
    return codes, predicted


def same_length(left: NDArray[Any], right: NDArray[Any]) -> None:
    """Raise when two arrays have different numbers of rows."""
    if len(left) != len(right):
        raise DataError(
            f"truth has {len(left)} rows and predictions have {len(right)}", hint="Measure on the same rows."
        )


def row_weights(weights: ArrayLike | None, rows: int) -> Floats:
    """Weights of shape (rows,); ones when there are none."""
    if weights is None:
        return np.ones(rows)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (rows,):
        raise DataError("weights should have one number per row", value=array.shape, hint=f"Pass {rows} weights.")
    return array


def _as_float(values: ArrayLike, what: str) -> Floats:
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US":
            raise ValueError(array.dtype)
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        first = np.asarray(values, dtype=object).ravel()[:1].tolist()
        raise DataError(f"{what} should be numbers", value=first, hint="Convert them to numbers first.") from None
