"""How sure a measured number is: bootstrap intervals, paired differences, Wilson and DeLong intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError
from tidemill.measures.inputs import Floats, binary
from tidemill.measures.resampling import Weighted, draw


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured number and the interval that would hold it in repeated samples.

    Parameters
    ----------
    value
        What was measured; None when it is not defined on these rows, and `reason` says why.
    low, high
        The interval; None when it was not asked for, or could not be had.
    rows
        How many rows it was measured on.
    level
        The coverage that the interval aims at.
    reason
        Why there is no value or no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    level: float = 0.95
    reason: str = ""


def bootstrap(
    measures: Mapping[str, Weighted],
    rows: int,
    *,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Percentile intervals of several measures from the same resamples of rows.

    Parameters
    ----------
    measures
        By name: functions of weights, prepared on the rows (see `measures.registry.Metric.prepare`).
    rows
        How many rows they were prepared on.
    resamples
        How many resamples; 0 for values without intervals.
    seed
        Equal seeds give equal intervals.
    level
        Coverage, such as 0.95.

    Returns
    -------
    dict of Estimate

    Notes
    -----
    Efron's percentile method. A resample is a vector of row counts (see `measures.resampling`); nothing is copied or
    sorted again.

    Examples
    --------
    >>> heads = np.array([1.0] * 60 + [0.0] * 40)
    >>> found = bootstrap({"rate": lambda w: float(np.average(heads, weights=w))}, rows=100)
    >>> found["rate"].value, round(found["rate"].low, 2), round(found["rate"].high, 2)
    (0.6, 0.51, 0.7)
    """
    _check(resamples, level)
    values = {name: measure(None) for name, measure in measures.items()}
    alive = [name for name, value in values.items() if not math.isnan(value)] if rows > 1 else []
    draws = draw([measures[name] for name in alive], rows, resamples, seed)
    return {
        name: estimate_of(value, draws[alive.index(name)] if name in alive else None, rows, level)
        for name, value in values.items()
    }


def wilson(hits: float, rows: int, level: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a share.

    >>> [round(side, 3) for side in wilson(3, 10)]
    [0.108, 0.603]
    """
    if rows <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = hits / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return max(0.0, centre - half), min(1.0, centre + half)


def delong(labels: ArrayLike, scores: ArrayLike, level: float = 0.95) -> Estimate:
    """The area under the ROC curve with DeLong's interval (DeLong, DeLong & Clarke-Pearson 1988; Sun & Xu 2014).

    >>> found = delong([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> found.value, round(found.low, 3)
    (0.75, 0.057)
    """
    areas, covariance, rows = _delong_parts(labels, [scores])
    if math.isnan(areas[0]):
        return Estimate(None, rows=rows, level=level, reason="only one class is present")
    value = float(areas[0])
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt(max(0.0, float(covariance[0, 0])))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), rows, level)


def delong_difference(labels: ArrayLike, scores: ArrayLike, others: ArrayLike, level: float = 0.95) -> Estimate:
    """The difference of two areas under ROC curves on the same rows, with DeLong's interval."""
    areas, covariance, rows = _delong_parts(labels, [scores, others])
    if math.isnan(areas[0]):
        return Estimate(None, rows=rows, level=level, reason="only one class is present")
    value = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt(max(0.0, variance))
    return Estimate(value, value - half, value + half, rows, level)


def _delong_parts(labels: ArrayLike, many_scores: list[ArrayLike]) -> tuple[Floats, Floats, int]:
    above, below = [], []
    truth = np.empty(0)
    for scores in many_scores:
        truth, predicted = binary(labels, scores)
        positive, negative = predicted[truth == 1], predicted[truth == 0]
        if not len(positive) or not len(negative):
            return np.array([np.nan] * len(many_scores)), np.zeros((0, 0)), len(truth)
        above.append(_placements(positive, np.sort(negative)))
        below.append(1 - _placements(negative, np.sort(positive)))
    wins, losses = np.array(above), np.array(below)
    return wins.mean(axis=1), _scatter(wins) + _scatter(losses), len(truth)


def _placements(values: Floats, among: Floats) -> Floats:
    """For each value the share of `among` (sorted) that lies below it, ties counted half."""
    order = np.argsort(values, kind="stable")  # looked up in order, neighbours are found in the processor's cache
    ordered = values[order]
    lower = np.searchsorted(among, ordered, side="left")
    upper = np.searchsorted(among, ordered, side="right")
    shares = np.empty(len(values))
    shares[order] = (lower + upper) / (2 * len(among))
    return shares


def _scatter(placements: Floats) -> Floats:
    """The covariance of the mean placements."""
    many = placements.shape[1]
    if many < 2:
        return np.zeros((len(placements), len(placements)))
    return np.asarray(np.atleast_2d(np.cov(placements)) / many)


def estimate_of(value: float, draws: Floats | None, rows: int, level: float = 0.95) -> Estimate:
    """The percentile interval of a value from its draws, shape (resamples,), of which some may be NaN."""
    if math.isnan(value):
        return Estimate(None, rows=rows, level=level, reason="not defined on these rows")
    if draws is None or not len(draws):
        reason = "one row has no spread" if draws is None else ""
        return Estimate(value, rows=rows, level=level, reason=reason)
    known = draws[~np.isnan(draws)]
    if len(known) < len(draws) / 2:
        return Estimate(value, rows=rows, level=level, reason="not defined in most resamples")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), rows, level)


def _check(resamples: int, level: float) -> None:
    if resamples < 0:
        raise DataError("the number of resamples is negative", value=resamples, hint="Use 200, or 0 for no intervals.")
    if not 0 < level < 1:
        raise DataError("a level lies between 0 and 1", value=level, hint="Use 0.95.")
