"""Many resamples of the same rows at once: what a measure must be for that, and the weights that it is drawn under."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidemill.measures.inputs import Floats

#: A measure of fixed rows under weights of shape (rows,); None weighs every row once.
Weighted = Callable[[Floats | None], float]

#: From this many rows on, rows are drawn independently (Poisson) instead of exactly as many as there are.
POISSON_ROWS = 20_000
#: A ranking of more groups of equal scores than this is resampled in about as many groups of neighbours.
GROUPS = 32_768
# Resamples and rows that are worked on together: their weights stay in the processor's cache, and the products are so
# small that the linear algebra library does not start threads, which cost more than they bring.
_TOGETHER = 50
_ROWS = 8192
_TILE = 128
_SUMMED = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class OfSums:
    """A measure that depends on weights only through weighted sums of some numbers per row, such as a mean.

    Parameters
    ----------
    rows
        How many rows there are.
    columns
        The numbers of some consecutive rows, shape (sums, rows in the slice).
    value
        The measure from the sums, shape (sums,).

    Examples
    --------
    >>> heads = np.array([1.0, 0.0, 1.0, 1.0])
    >>> share = of_sums(lambda sums: sums[0] / sums[1], heads, np.ones(4))
    >>> share(None), share(np.array([1.0, 1.0, 0.0, 0.0]))
    (0.75, 0.5)
    """

    rows: int
    columns: Callable[[slice], Floats]
    value: Callable[[Floats], float]

    def __call__(self, weights: Floats | None) -> float:
        """The measure under some weights."""
        total = np.zeros(len(self.columns(slice(0, 0))))
        for start in range(0, self.rows, _SUMMED):
            part = slice(start, start + _SUMMED)
            found = self.columns(part)
            total += found.sum(axis=1) if weights is None else (found * weights[part]).sum(axis=1)
        return float(self.value(total))


@dataclass(frozen=True, slots=True, eq=False)
class OfRanking:
    """A measure of a ranking, which depends on weights through those of the positives and negatives at each score.

    Parameters
    ----------
    positive, scores
        1.0 for a positive and 0.0 for a negative, and the scores, both in ascending order of scores.
    exact
        The measure under weights of rows in this order.
    value
        The measure from the weights of positives and of negatives in each group of equal scores, ascending.
    """

    positive: Floats
    scores: Floats
    exact: Weighted
    value: Callable[[Floats, Floats], float]

    def __call__(self, weights: Floats | None) -> float:
        """The measure under some weights."""
        return self.exact(weights)


def of_sums(value: Callable[[Floats], float], *columns: Floats) -> OfSums:
    """`OfSums` of arrays of shape (rows,)."""
    return OfSums(len(columns[0]), lambda part: np.stack([column[part] for column in columns]), value)


def difference_of(mine: Weighted, theirs: Weighted) -> Weighted:
    """One measure minus another on the same rows in the same order, quick to resample if both are."""
    return combined(mine, theirs, lambda left, right: left - right)


def combined(mine: Weighted, theirs: Weighted, of: Callable[[float, float], float]) -> Weighted:
    """A number made of two measures on the same rows in the same order, quick to resample if both are."""
    if isinstance(mine, OfSums) and isinstance(theirs, OfSums):
        left, right, many = mine, theirs, len(mine.columns(slice(0, 0)))
        return OfSums(
            left.rows,
            lambda part: np.concatenate([left.columns(part), right.columns(part)]),
            lambda sums: of(left.value(sums[:many]), right.value(sums[many:])),
        )
    return lambda weights: of(mine(weights), theirs(weights))


def draw(measures: Sequence[Weighted], rows: int, resamples: int, seed: int) -> Floats:
    """Each measure in each resample, shape (measures, resamples); NaN where it is not defined.

    Notes
    -----
    A resample is a vector of row counts, see `resampled_counts`. Sums are drawn for every row. A ranking of more than
    `GROUPS` groups is drawn in about `GROUPS` groups of neighbouring scores, which count as equal, and the draws are
    moved by what this changes under equal weights: with G groups of P positives and N negatives in all, it changes
    an area under the ROC curve by at most the sum of p n / (2 P N) over groups, about 1 / (2 G), or 0.000015.
    """
    drawn = np.full((len(measures), resamples), np.nan)
    sums = {place: found for place, found in enumerate(measures) if isinstance(found, OfSums)}
    ranked = {place: found for place, found in enumerate(measures) if isinstance(found, OfRanking)}
    if sums or ranked:
        generator = np.random.default_rng(seed)
        for start in range(0, resamples, _TOGETHER):
            many = min(_TOGETHER, resamples - start)
            _draw_together(drawn[:, start : start + many], sums, ranked, _weights(generator, rows, many))
        for place, found in ranked.items():
            drawn[place] += found.exact(None) - _Grouping.of(found).value(found)
    others = [place for place in range(len(measures)) if place not in sums and place not in ranked]
    if others:
        for column, weights in enumerate(resampled_counts(rows, resamples, seed)):
            for place in others:
                drawn[place, column] = measures[place](weights)
    return drawn


def resampled_counts(rows: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each row is drawn, in each resample; arrays of float64 of shape (rows,).

    Below `POISSON_ROWS` rows each resample has as many rows as there are (multinomial); above, rows are drawn
    independently (Poisson), where the two cannot be told apart.
    """
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.concatenate([weights[0] for _, weights in _weights(generator, rows, 1)] or [np.empty(0)])


def _weights(generator: np.random.Generator, rows: int, many: int) -> Iterator[tuple[slice, Floats]]:
    """Stretches of rows with their counts in each of `many` resamples, shape (many, rows of the stretch)."""
    if rows < POISSON_ROWS:
        drawn = generator.integers(0, rows, (many, rows)) + rows * np.arange(many)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=many * rows).reshape(many, rows)
        yield slice(0, rows), counts.astype(np.float64)
        return
    limits = _poisson_limits()
    for start in range(0, rows, _ROWS):
        width = min(_ROWS, rows - start)
        size = many * width
        random = generator.integers(0, 1 << 64, -(-size // 4), dtype=np.uint64, endpoint=False).view(np.uint16)[:size]
        counts = (random >= limits[0]).view(np.uint8)
        for limit in limits[1:]:
            counts += (random >= limit).view(np.uint8)
        yield slice(start, start + width), counts.astype(np.float64).reshape(many, width)


def _poisson_limits() -> list[np.uint16]:
    """From which of the 65,536 two-byte draws on a count is at least 1, 2, …: Poisson's distribution at mean 1."""
    chances = [math.exp(-1) / math.factorial(count) for count in range(9)]
    counts = np.searchsorted(np.cumsum(chances), (np.arange(65_536) + 0.5) / 65_536)
    return [np.uint16(np.argmax(counts >= count)) for count in range(1, int(counts.max()) + 1)]


def _draw_together(
    drawn: Floats, sums: dict[int, OfSums], ranked: dict[int, OfRanking], stretches: Iterator[tuple[slice, Floats]]
) -> None:
    """Fill in the lines of `drawn` of these measures from the weights of all stretches of rows."""
    many = drawn.shape[1]
    totals = {place: np.zeros((many, len(found.columns(slice(0, 0))))) for place, found in sums.items()}
    keys = {place: (id(found.positive), id(found.scores)) for place, found in ranked.items()}
    groupings = {keys[place]: _Grouping.of(found) for place, found in ranked.items()}
    masses = {key: np.zeros((2, many, len(grouping.starts))) for key, grouping in groupings.items()}
    for part, weights in stretches:
        if sums:
            stacked = _products(weights, np.concatenate([found.columns(part) for found in sums.values()]))
            done = 0
            for total in totals.values():
                total += stacked[:, done : done + total.shape[1]]
                done += total.shape[1]
        for key, grouping in groupings.items():
            grouping.add(masses[key], part, weights)
    for place, found in sums.items():
        drawn[place] = [found.value(line) for line in totals[place]]
    for place, ranking in ranked.items():
        positive, negative = masses[keys[place]]
        drawn[place] = [ranking.value(*pair) for pair in zip(positive, negative, strict=True)]


def _products(weights: Floats, columns: Floats) -> Floats:
    """Weighted sums of each column under each line of weights, in small tiles."""
    tiles = -(-weights.shape[1] // _TILE)
    missing = tiles * _TILE - weights.shape[1]
    if missing:
        weights, columns = (np.pad(array, ((0, 0), (0, missing))) for array in (weights, columns))
    left = weights.reshape(len(weights), tiles, _TILE).transpose(1, 0, 2)
    right = columns.reshape(len(columns), tiles, _TILE).transpose(1, 2, 0)
    return np.asarray((left @ right).sum(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class _Grouping:
    """A ranking cut into groups: where each begins, never between two equal scores."""

    positive: Floats
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, ranking: OfRanking) -> _Grouping:
        scores = ranking.scores
        fresh = np.ones(len(scores), dtype=bool)
        np.not_equal(scores[1:], scores[:-1], out=fresh[1:])
        starts = np.flatnonzero(fresh)
        if len(starts) > GROUPS:
            width = -(-len(scores) // GROUPS)
            first = np.searchsorted(starts, np.arange(0, len(scores), width))
            first = first[first < len(starts)]
            # A score that many rows share is a group of its own, which takes no neighbours in.
            ends = np.append(starts[1:], len(scores))
            large = np.flatnonzero(ends - starts >= width)
            starts = starts[np.unique(np.concatenate([first, large, large[large + 1 < len(starts)] + 1]))]
        return cls(ranking.positive, starts)

    def value(self, ranking: OfRanking) -> float:
        masses = np.zeros((2, 1, len(self.starts)))
        rows = len(self.positive)
        self.add(masses, slice(0, rows), np.ones((1, rows)))
        return float(ranking.value(masses[0, 0], masses[1, 0]))

    def add(self, masses: Floats, part: slice, weights: Floats) -> None:
        """Add the weights of a stretch of rows to the groups that they are in."""
        first = int(np.searchsorted(self.starts, part.start, side="right")) - 1
        last = int(np.searchsorted(self.starts, part.stop, side="left"))
        inside = np.maximum(self.starts[first:last], part.start) - part.start
        positive = weights * self.positive[part]
        masses[0, :, first:last] += np.add.reduceat(positive, inside, axis=1)
        masses[1, :, first:last] += np.add.reduceat(weights - positive, inside, axis=1)
