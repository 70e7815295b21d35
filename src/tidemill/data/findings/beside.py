"""What the other columns of a row say about a number: where a stretch of rows departs from it by a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from tidemill.data.findings.stretches import BLOCKS, Floats, Stretch
from tidemill.data.sampling import sampled

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_ROWS, _MOST_COLUMNS, _MOST_LEVELS = 4_000, 60, 12
_FEWEST_ROWS, _FEWEST = 60, 12
#: A step is this large, this many times the spread of what is left unexplained, and this sure.
_STEP, _SPREADS, _SURE = 0.4, 3.0, 10.0
#: At least this share of the stretch is not what the other columns say, too.
_OWN = 0.1
_RIDGE = 1e-6
_MOST_AGAIN = 0.99
_NORMAL_MAD = 1.4826


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """The columns of a sample of rows without missing values: logarithms of positive numbers, others as they are.

    `design` holds them scaled, in order, and a flag for each level of a category; `gram` its products with itself,
    `edges` the blocks of rows that stretches are made of, and `sums` the sums of `design` over each block.
    """

    values: dict[str, Floats]
    positive: frozenset[str]
    design: Floats
    gram: Floats
    edges: Integers
    sums: Floats

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.design)


@dataclass(frozen=True, slots=True)
class Step:
    """By how much, in logarithms, a column is above what the others say in a stretch, and the medians of both sides."""

    stretch: Stretch
    step: float
    error: float
    spread: float
    inside: float
    outside: float


def conditions_of(sample: pl.DataFrame) -> Conditions | None:
    """The columns that may speak for each other; None if the rows or columns are too few."""
    names = [name for name, kind in sample.schema.items() if kind.is_numeric() and not kind.is_decimal()][
        :_MOST_COLUMNS
    ]
    full = [name for name in names if sample[name].null_count() <= sample.height / 10]
    rows = sampled(sample, _ROWS).drop_nulls(full) if full else sample.clear()
    if rows.height < _FEWEST_ROWS:
        return None
    values: dict[str, Floats] = {}
    levels: list[Floats] = []
    positive = set()
    for name in full:
        numbers = rows[name].cast(pl.Float64).to_numpy()
        if not np.isfinite(numbers).all():
            continue
        if rows[name].n_unique() <= _MOST_LEVELS:
            levels += [(numbers == level).astype(np.float64) for level in np.unique(numbers)[1:]]
            continue
        if (numbers > 0).all():
            positive.add(name)
            numbers = np.log(numbers)
        values[name] = numbers
    for name, kind in sample.schema.items():
        if kind == pl.String and 2 <= rows[name].n_unique() <= _MOST_LEVELS:
            levels += [(rows[name] == word).fill_null(value=False).to_numpy().astype(np.float64)
                       for word in rows[name].drop_nulls().unique().sort()[1:]]  # fmt: skip
    if len(values) < 2:
        return None
    design = np.column_stack([_scaled(column) for column in (*values.values(), *levels)])
    edges = np.linspace(0, rows.height, min(BLOCKS, rows.height) + 1).astype(np.int64)
    sums = np.add.reduceat(design, edges[:-1], axis=0)
    return Conditions(values, frozenset(positive), design, design.T @ design, edges, sums)


def step_beside_others(given: Conditions, name: str) -> Step | None:
    """A stretch in which a positive column is a large and sure step away from a linear model of the other columns.

    Of every stretch of whole blocks, its step is measured beside the other columns and the categories, by least
    squares, so that rows that differ in everything have no step; the best stretch is then made exact to a row.
    """
    if name not in given.positive:
        return None
    place = list(given.values).index(name)
    kept = np.delete(np.arange(given.design.shape[1]), place)
    if len(kept) > given.rows / 4:
        return None
    # The columns are scaled: a ridge this small only keeps columns that repeat each other apart.
    inverse = np.linalg.inv(given.gram[np.ix_(kept, kept)] + _RIDGE * np.eye(len(kept)))
    found = _best_beside(given, place, kept, inverse)
    if found is None:
        return None
    design, target = given.design[:, kept], given.design[:, place]
    inside = _flags(found, given.rows)
    step, _, left = _fitted(design, inverse, target, inside)
    found = _exact(found, left + step * inside - step * inside.mean(), step, int(given.edges[1]))
    inside = _flags(found, given.rows)
    if min(inside.sum(), given.rows - inside.sum()) < _FEWEST:
        return None
    if inside.mean() > 1 / 2:
        sides = Stretch(0, found.start, found.rows), Stretch(found.stop, found.rows, found.rows)
        found, inside = max(sides, key=_length), 1 - inside
    step, own, rest = _fitted(design, inverse, target, inside)
    return _sure(given, name, found, inside, step, own, rest)


def _best_beside(given: Conditions, place: int, kept: Integers, inverse: Floats) -> Stretch | None:
    """The stretch of whole blocks that explains most of what the other columns do not; None if none may be sure."""
    rows, sizes = given.rows, np.diff(given.edges).astype(np.float64)
    known = given.gram[kept, place]
    weights = inverse @ known
    left = given.sums[:, place] - given.sums[:, kept] @ weights
    products = np.diag(sizes) - np.outer(sizes, sizes) / rows
    products -= given.sums[:, kept] @ inverse @ given.sums[:, kept].T
    sums = np.concatenate([[0.0], np.cumsum(left)])
    square = np.zeros((len(sizes) + 1, len(sizes) + 1))
    square[1:, 1:] = np.cumsum(np.cumsum(products, axis=0), axis=1)
    start, stop = np.triu_indices(len(sizes) + 1, k=1)
    own = square[stop, stop] - square[start, stop] - square[stop, start] + square[start, start]
    share = (given.edges[stop] - given.edges[start]) / rows
    usual = rows * share * (1 - share)
    is_own = (usual > 0) & (own >= _OWN * usual)
    gain = np.where(is_own, (sums[stop] - sums[start]) ** 2 / np.where(is_own, own, 1.0), 0.0)
    best = int(gain.argmax())
    unexplained = float(given.gram[place, place] - known @ weights) - float(gain[best])
    if gain[best] < _SURE**2 * max(unexplained, 0.0) / (rows - len(kept) - 2):
        return None
    return Stretch(int(given.edges[start[best]]), int(given.edges[stop[best]]), rows)


def _flags(found: Stretch, rows: int) -> Floats:
    flags = np.zeros(rows)
    flags[found.start : found.stop] = 1.0
    return flags


def _fitted(design: Floats, inverse: Floats, target: Floats, inside: Floats) -> tuple[float, float, Floats]:
    """The step of the rows inside beside the other columns, how much of it is their own, and what is left of both."""
    centred = inside - inside.mean()
    alone = centred - design @ (inverse @ (design.T @ centred))
    own = float((alone**2).sum())
    left = target - design @ (inverse @ (design.T @ target))
    step = float((alone * left).sum()) / max(own, 1e-12)
    return step, own, left - step * alone


def _exact(found: Stretch, left: Floats, step: float, block: int) -> Stretch:
    """The ends moved to the rows, within a block, at which what is left turns from one level to the other."""
    sums = np.concatenate([[0.0], np.cumsum(np.sign(step) * (left - left.mean() - step * (0.5 - found.share)))])
    ends = []
    for end, sign in ((found.start, -1.0), (found.stop, 1.0)):
        first = max(0, end - block)
        ends.append(end if end in (0, found.rows) else first + int((sign * sums[first : end + block + 1]).argmax()))
    return Stretch(ends[0], ends[1], found.rows) if ends[0] < ends[1] else found


def _sure(
    given: Conditions, name: str, found: Stretch, inside: Floats, step: float, own: float, rest: Floats
) -> Step | None:
    """The step in the column's own logarithms, if it is large beside what is left, and sure."""
    if own < _OWN * float(((inside - inside.mean()) ** 2).sum()):
        return None
    target, flags = given.values[name], inside > 0
    scale = float(target.std())
    deviation = float(np.sqrt((rest**2).sum() / (given.rows - given.design.shape[1] - 1)))
    # Rows elsewhere that no model explains do not hide a step; those of the stretch do, as they may be what makes it.
    usual = _NORMAL_MAD * float(np.median(np.abs(rest - np.median(rest))))
    spread = max(usual, float(rest[flags].std()))
    again = min(max(float(np.corrcoef(rest[1:], rest[:-1])[0, 1]), 0.0), _MOST_AGAIN)
    # Neighbouring rows that depart alike are less evidence than as many rows by themselves.
    error = deviation / np.sqrt(own) * np.sqrt((1 + again) / (1 - again))
    if abs(step) * scale < _STEP or abs(step) < max(_SPREADS * spread, _SURE * error):
        return None
    middle, other = (float(np.exp(np.median(side))) for side in (target[flags], target[~flags]))
    return Step(found, step * scale, float(error) * scale, max(spread, 1e-9) * scale, middle, other)


def _length(side: Stretch) -> int:
    return side.stop - side.start


def _scaled(values: Floats) -> Floats:
    out: Floats = (values - values.mean()) / (values.std() or 1.0)
    return out
