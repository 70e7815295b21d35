"""Whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError
from tidemill.measures.inputs import Floats, probabilities, row_weights
from tidemill.measures.intervals import wilson
from tidemill.measures.resampling import OfSums, Weighted


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows with similar probabilities: how many, what they said on average, what happened, with a 95 % interval."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


def calibration_curve(labels: ArrayLike, scores: ArrayLike, bins: int = 10) -> tuple[CalibrationBin, ...]:
    """Bins of about equally many rows, by rising probability; rows with equal probabilities share a bin.

    >>> calibration_curve([0, 1, 1, 1], [0.2, 0.2, 0.9, 0.9], bins=2)[1].observed
    1.0
    """
    truth, predicted = probabilities(labels, scores)
    if bins < 1:
        raise DataError("a curve needs at least one bin", value=bins, hint="Use 10.")
    if not len(truth):
        return ()
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    codes = np.searchsorted(edges, predicted, side="right")
    counts = np.bincount(codes, minlength=len(edges) + 1)
    sums = np.bincount(codes, weights=predicted, minlength=len(counts))
    hits = np.bincount(codes, weights=truth, minlength=len(counts))
    return tuple(
        CalibrationBin(int(n), float(total / n), float(hit / n), *wilson(float(hit), int(n)))
        for n, total, hit in zip(counts, sums, hits, strict=True)
        if n
    )


def ece(labels: ArrayLike, scores: ArrayLike, bins: int = 10, weights: ArrayLike | None = None) -> float:
    """Expected calibration error over bins of equal width; NaN without rows (Naeini et al., 2015).

    >>> round(ece([0, 1], [0.25, 0.75]), 4)
    0.25
    """
    measured = prepare_ece(labels, scores, bins)
    return measured(None if weights is None else row_weights(weights, len(np.asarray(labels))))


def prepare_ece(labels: ArrayLike, scores: ArrayLike, bins: int = 10) -> Weighted:
    """`ece` of these rows as a function of weights."""
    truth, predicted = probabilities(labels, scores)
    codes = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    gaps = truth - predicted

    def columns(part: slice) -> Floats:
        table = np.zeros((bins + 1, len(gaps[part])))
        table[codes[part], np.arange(table.shape[1])] = gaps[part]
        table[bins] = 1.0
        return table

    def value(sums: Floats) -> float:
        return float(np.abs(sums[:bins]).sum() / sums[bins]) if sums[bins] > 0 else float("nan")

    return OfSums(len(gaps), columns, value)
