"""How far apart two populations are: from counts in fixed bins, and from samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError
from tidemill.measures.inputs import Floats, numbers, same_length


@dataclass(frozen=True, slots=True)
class Significance:
    """A test statistic and the chance of one at least as large when nothing differs."""

    statistic: float
    p_value: float


def psi(reference: ArrayLike, current: ArrayLike) -> float:
    """The population stability index of two vectors of counts, in nats.

    Empty bins count as half a row, so that the result is finite. NaN when one side has no rows.

    >>> round(psi([50, 50], [80, 20]), 3)
    0.416
    """
    left, right = _shares(reference, current, floor=0.5)
    return float(((right - left) * np.log(right / left)).sum()) if len(left) else float("nan")


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> float:
    """The Jensen-Shannon distance of two vectors of counts, between 0 and 1 (the root of the divergence in bits).

    >>> jensen_shannon([10, 0], [0, 7])
    1.0
    """
    left, right = _shares(reference, current, floor=0.0)
    if not len(left):
        return float("nan")
    middle = (left + right) / 2
    divergence = 0.5 * (_relative_entropy(left, middle) + _relative_entropy(right, middle))
    return math.sqrt(min(1.0, max(0.0, divergence)))


def chi2_two_sample(reference: ArrayLike, current: ArrayLike) -> Significance:
    """Pearson's test that two vectors of counts come from one population (a contingency table, two rows).

    Unlike a goodness-of-fit test it knows that the reference is a sample too: it alarms as often as it says.
    Categories that neither has are left out. A p-value of 1 when there is nothing to compare.

    >>> found = chi2_two_sample([50, 50], [80, 20])
    >>> round(found.statistic, 2), f"{found.p_value:.1e}"
    (19.78, '8.7e-06')
    """
    left, right = _counts(reference, current)
    seen = left + right > 0
    table = np.vstack([left[seen], right[seen]])
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return Significance(0.0, 1.0)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Significance(statistic, chi2_survival(statistic, table.shape[1] - 1))


def ks(reference: ArrayLike, current: ArrayLike) -> Significance:
    """The two-sample Kolmogorov-Smirnov test on samples, with its asymptotic p-value.

    >>> round(ks([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]).statistic, 2)
    0.5
    """
    left, right = np.sort(numbers(reference, "the reference")), np.sort(numbers(current, "the current values"))
    if not len(left) or not len(right):
        return Significance(float("nan"), 1.0)
    points = np.concatenate([left, right])
    gap = np.searchsorted(left, points, side="right") / len(left)
    gap = gap - np.searchsorted(right, points, side="right") / len(right)
    statistic = float(np.abs(gap).max())
    return Significance(statistic, _ks_survival(statistic, len(left), len(right)))


def ks_from_counts(reference: ArrayLike, current: ArrayLike) -> Significance:
    """The same test on counts in ordered bins: a little blunter, since it looks at the bins' edges only."""
    left, right = _counts(reference, current)
    if not left.sum() or not right.sum():
        return Significance(float("nan"), 1.0)
    statistic = float(np.abs(np.cumsum(left) / left.sum() - np.cumsum(right) / right.sum()).max())
    return Significance(statistic, _ks_survival(statistic, float(left.sum()), float(right.sum())))


def wasserstein(reference: ArrayLike, current: ArrayLike) -> float:
    """The distance that mass must travel between two samples (earth mover's, order 1), in the values' unit.

    >>> wasserstein([0.0, 1.0], [5.0, 6.0])
    5.0
    """
    left, right = np.sort(numbers(reference, "the reference")), np.sort(numbers(current, "the current values"))
    if not len(left) or not len(right):
        return float("nan")
    points = np.sort(np.concatenate([left, right]), kind="stable")
    below_left = np.searchsorted(left, points[:-1], side="right") / len(left)
    below_right = np.searchsorted(right, points[:-1], side="right") / len(right)
    return float(np.abs(below_left - below_right) @ np.diff(points))


def chi2_survival(statistic: float, freedom: float) -> float:
    """The chance that a chi-square variable exceeds `statistic`: the upper regularised gamma function.

    Series below the mean and Lentz's continued fraction above it (Numerical Recipes, 6.2).

    >>> round(chi2_survival(3.841459, 1), 6)
    0.05
    """
    if statistic <= 0:
        return 1.0
    shape, x = freedom / 2, statistic / 2
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    return min(1.0, 1 - front * _series(shape, x) if x < shape + 1 else front * _fraction(shape, x))


def _series(shape: float, x: float) -> float:
    term = total = 1 / shape
    step = shape
    while abs(term) > abs(total) * 1e-16:
        step += 1
        term *= x / step
        total += term
    return total


def _fraction(shape: float, x: float) -> float:
    tiny = 1e-300
    b = x + 1 - shape
    c = 1 / tiny
    d = 1 / (b or tiny)
    result = d
    for step in range(1, 10_000):
        a = -step * (step - shape)
        b += 2
        d = 1 / ((a * d + b) or tiny)
        c = (b + a / c) or tiny
        change = c * d
        result *= change
        if abs(change - 1) < 1e-15:
            break
    return result


def _ks_survival(statistic: float, left: float, right: float) -> float:
    """Kolmogorov's distribution with Stephens' correction for finite samples."""
    root = math.sqrt(left * right / (left + right))
    x = (root + 0.12 + 0.11 / root) * statistic
    if x < 0.2:
        return 1.0
    last = min(100, 1 + int(20 / x))  # what comes after is too small for a float
    terms = ((2.0 if k % 2 else -2.0) * math.exp(-2 * k * k * x * x) for k in range(1, last + 1))
    return min(1.0, max(0.0, sum(terms)))


def _counts(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    left, right = numbers(reference, "the reference counts"), numbers(current, "the current counts")
    same_length(left, right)
    if (left < 0).any() or (right < 0).any():
        raise DataError("counts are negative", value=float(min(left.min(), right.min())), hint="Count rows per bin.")
    return left, right


def _shares(reference: ArrayLike, current: ArrayLike, *, floor: float) -> tuple[Floats, Floats]:
    left, right = _counts(reference, current)
    if not left.sum() or not right.sum():
        return np.empty(0), np.empty(0)
    seen = left + right > 0
    left, right = np.maximum(left[seen], floor), np.maximum(right[seen], floor)
    return np.asarray(left / left.sum()), np.asarray(right / right.sum())


def _relative_entropy(left: Floats, right: Floats) -> float:
    held = left > 0
    return float((left[held] * np.log2(left[held] / right[held])).sum())
