"""What follows from the distinct values of a column in order and how often each is there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TOP = 20
_BINS = 50
_TAIL = 0.001
_EXACT_WHOLE = 2**62


@dataclass(frozen=True, slots=True)
class Tally:
    """Distinct values in ascending order (all comparable, none NaN), and the count of each."""

    values: Numbers
    counts: Numbers

    @property
    def total(self) -> int:
        """How many values there are, repeats included."""
        return int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean and sums of powers of deviations of finite numbers; two of them add up to those of all."""

    count: int = 0
    mean: float = 0.0
    second: float = 0.0
    third: float = 0.0
    fourth: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets together.

        Source: P. Pébay, Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
        statistical moments, Sandia report SAND2008-6212 (2008).

        >>> (moments(tally(np.array([1.0, 2.0]))) + moments(tally(np.array([3.0, 10.0])))).mean
        4.0
        """
        if not self.count or not other.count:
            return other if not self.count else self
        one, two = float(self.count), float(other.count)
        total, gap = one + two, other.mean - self.mean
        second = self.second + other.second + gap**2 * one * two / total
        third = self.third + other.third + gap**3 * one * two * (one - two) / total**2
        third += 3 * gap * (one * other.second - two * self.second) / total
        fourth = self.fourth + other.fourth + gap**4 * one * two * (one**2 - one * two + two**2) / total**3
        fourth += 6 * gap**2 * (one**2 * other.second + two**2 * self.second) / total**2
        fourth += 4 * gap * (one * other.third - two * self.third) / total
        return Moments(self.count + other.count, self.mean + gap * two / total, second, third, fourth)


def tally(values: Numbers) -> Tally:
    """Count values; where all differ, the counts take no memory.

    >>> tally(np.array([3, 1, 3]))
    Tally(values=array([1, 3]), counts=array([1, 2]))
    """
    ordered = np.sort(values)
    if not len(ordered):
        return Tally(ordered, np.zeros(0, np.int64))
    fresh = ordered[1:] != ordered[:-1]
    if fresh.all():
        return Tally(ordered, np.broadcast_to(np.int64(1), len(ordered)))
    starts = np.flatnonzero(np.concatenate([[True], fresh]))
    return Tally(ordered[starts], np.diff(np.append(starts, len(ordered))))


def merged(parts: list[Tally]) -> Tally:
    """The tally of several.

    >>> merged([tally(np.array([1, 3])), tally(np.array([3]))])
    Tally(values=array([1, 3]), counts=array([1, 2]))
    """
    values = np.concatenate([part.values for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    if not len(values):
        return Tally(values, counts)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return Tally(values[starts], np.add.reduceat(counts, starts))


def finite(given: Tally) -> Tally:
    """The tally without infinities."""
    if given.values.dtype.kind != "f" or not len(given.values) or np.isfinite(given.values[[0, -1]]).all():
        return given
    keep = np.isfinite(given.values)
    return Tally(given.values[keep], given.counts[keep])


def moments(given: Tally) -> Moments:
    """Moments of a tally of finite numbers."""
    if not len(given.values):
        return Moments()
    count = given.total
    values = given.values.astype(np.float64)
    weights = None if count == len(values) else given.counts.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float((values if weights is None else values * weights).sum() / count)
        if not math.isfinite(mean):
            mean = float(np.average(values / 2, weights=weights)) * 2
        gap = values - mean
        square = gap * gap
        sums = [float(term.sum() if weights is None else term @ weights) for term in (square, square * gap, square**2)]
    return Moments(count, mean, *sums)


def shape(given: Moments) -> dict[str, float | None]:
    """Mean, (population) standard deviation, skewness and excess kurtosis; None where a number is too large.

    >>> shape(moments(tally(np.array([1.0, 2.0, 3.0]))))["kurtosis"]
    -1.5
    """
    if not given.count:
        return {"mean": None, "std": None, "skewness": None, "kurtosis": None}
    variance = given.second / given.count
    skewness = kurtosis = None
    # A spread below what the mean can be told from is a constant.
    if math.isfinite(variance) and math.sqrt(variance) > 1e-13 * abs(given.mean):
        with np.errstate(all="ignore"):
            cubed, fourth = np.float64(variance) ** 1.5, np.float64(variance) ** 2
            skewness = _known(given.third / given.count / cubed)
            kurtosis = _known(given.fourth / given.count / fourth - 3)
    std = math.sqrt(variance) if math.isfinite(variance) else None
    return {"mean": _known(given.mean), "std": std, "skewness": skewness, "kurtosis": kurtosis}


def _known(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def total(given: Tally) -> float | None:
    """The sum of finite numbers: whole for whole numbers, None beyond the largest float."""
    if not len(given.values):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        values = given.values.astype(np.float64)
        out = float((values if given.total == len(values) else values * given.counts).sum())
        if given.values.dtype.kind in "iu" and abs(out) < _EXACT_WHOLE:
            return int((given.values * given.counts).sum())
    return _known(out)


def at_ranks(given: Tally, shares: tuple[float, ...]) -> Numbers:
    """The values at the nearest ranks of some shares of the total."""
    last = given.total - 1
    ranks = np.array([round(share * last) for share in shares], dtype=np.int64)
    if last + 1 == len(given.values):
        return given.values[ranks]
    found: Numbers = given.values[np.searchsorted(np.cumsum(given.counts), ranks, side="right")]
    return found


def deviation(given: Tally) -> float | None:
    """The median absolute deviation from the median (of the nearest ranks).

    >>> deviation(tally(np.array([1, 2, 3, 4, 100])))
    1.0
    """
    if not len(given.values):
        return None
    middle = (given.total - 1) // 2
    with np.errstate(over="ignore"):
        gap = np.abs(given.values.astype(np.float64) - float(at_ranks(given, (0.5,))[0]))
    if given.total == len(gap):
        return _known(np.partition(gap, middle)[middle])
    order = np.argsort(gap)
    return _known(gap[order][np.searchsorted(np.cumsum(given.counts[order]), middle, side="right")])


def most_frequent(given: Tally) -> Numbers:
    """Places of the most frequent values, the smaller first among equals."""
    if given.total == len(given.values):
        return np.arange(min(TOP, len(given.values)))
    least = np.partition(given.counts, -TOP)[-TOP] if len(given.counts) > TOP else 0
    places = np.flatnonzero(given.counts >= least)
    chosen: Numbers = places[np.argsort(-given.counts[places], kind="stable")][:TOP]
    return chosen


def histogram(given: Tally) -> Mapping[str, list[float]]:
    """Counts in equal bins over the middle 99.8 %; values outside are in the end bins."""
    if not len(given.values):
        return {}
    low, high = (float(value) for value in at_ranks(given, (_TAIL, 1 - _TAIL)))
    if low == high or not math.isfinite(high - low):
        return {"edges": [low, high], "counts": [float(given.total)]}
    edges = np.linspace(low, high, _BINS + 1)
    inner = np.searchsorted(given.values, edges[1:-1], side="left")
    below = np.concatenate([[0], np.cumsum(given.counts)])[inner] if given.total > len(given.values) else inner
    return {"edges": edges.tolist(), "counts": np.diff([0, *below, given.total]).astype(float).tolist()}
