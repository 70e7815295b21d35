"""Findings between two columns of numbers: a stretch of rows in which they hold each other's values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding
from tidemill.data.findings.stretches import Flags, Floats, Stretch, best_stretch, ranks
from tidemill.measures.distances import ks

_FEWEST, _FEWEST_DISTINCT, _MOST_COLUMNS, _SCREEN = 12, 10, 40, 5_000
_APART, _CROSSED, _ALIKE, _SAME = 0.6, 0.6, 0.3, 0.9
#: Of two columns of which one is always the greater: it is the other in a stretch, and nearer to the other's values.
_RARELY, _TURNED, _NEARER = 0.02, 0.97, 0.4
#: Columns with more missing values are passed over; ends are known to so many rows, and judged by so many beside.
_MISSING, _OFF, _BESIDE = 0.05, 3, 5


def find_swapped(sample: pl.DataFrame, scale: float) -> Iterator[Finding]:
    """Two columns that hold each other's values in a stretch of rows.

    Either both columns change in the same stretch, each to the distribution that the other has elsewhere; or one is the
    greater in every row, except in a stretch in which it is the lesser in every row and has the other's size.
    """
    numbers: dict[str, Floats] = {}
    for column in sample.iter_columns():
        few = column.null_count() <= _MISSING * column.len()
        if column.dtype.is_numeric() and not column.dtype.is_decimal() and few:
            # A missing value belongs to the stretch that it is in.
            values = column.cast(pl.Float64).fill_null(strategy="forward").fill_null(strategy="backward").to_numpy()
            if np.isfinite(values).all() and len(np.unique(values)) >= _FEWEST_DISTINCT:
                numbers[column.name] = values
    names = list(numbers)[:_MOST_COLUMNS]
    moved = {name: found for name in names if (found := _moved(numbers[name]))}
    for one, two in itertools.combinations(names, 2):
        found = None
        if one in moved and two in moved and _jaccard(moved[one], moved[two]) >= _SAME:
            inside = moved[one].inside
            is_swap = _crossed(numbers[one], numbers[two], inside)
            is_swap = is_swap and _jumps(numbers[one], inside) and _jumps(numbers[two], inside)
            found = moved[one] if is_swap else None
        found = found or _turned(numbers[one], numbers[two])
        if found is not None:
            yield _swap(sample, one, two, found, scale)
            yield _swap(sample, two, one, found, scale)


def _moved(values: Floats) -> Stretch | None:
    found = best_stretch(ranks(values))
    inside = found.inside
    if min(inside.sum(), (~inside).sum()) < _FEWEST:
        return None
    return found if ks(values[inside], values[~inside]).statistic >= _APART else None


def _jaccard(one: Stretch, two: Stretch) -> float:
    common = max(0, min(one.stop, two.stop) - max(one.start, two.start))
    return common / ((one.stop - one.start) + (two.stop - two.start) - common)


def _crossed(one: Floats, two: Floats, inside: Flags) -> bool:
    noise = 1.6 * math.sqrt(1 / inside.sum() + 1 / (~inside).sum())
    crossed = max(ks(one[inside], two[~inside]).statistic, ks(two[inside], one[~inside]).statistic)
    apart = min(ks(one[inside], one[~inside]).statistic, ks(two[inside], two[~inside]).statistic)
    return crossed <= min(max(_ALIKE, noise), _CROSSED * apart)


def _turned(one: Floats, two: Floats) -> Stretch | None:
    """The stretch in which the order of two columns turns, if they have one."""
    greater = one > two
    share = float(greater[:: -(-len(one) // _SCREEN)].mean())
    if not _RARELY < share < 1 - _RARELY:
        return None
    found = best_stretch(greater.astype(np.float64))
    inside = found.inside
    if min(inside.sum(), (~inside).sum()) < _FEWEST:
        return None
    here, there = float(greater[inside].mean()), float(greater[~inside].mean())
    if min(max(here, there), 1 - min(here, there)) < _TURNED:
        return None
    middle = [float(np.median(side)) for side in (one[inside], two[inside], one[~inside], two[~inside])]
    swapped = _is_nearer(middle[0], middle[3], middle[2]) and _is_nearer(middle[1], middle[2], middle[3])
    return found if swapped and _jumps(one, inside) and _jumps(two, inside) else None


def _jumps(values: Floats, inside: Flags) -> bool:
    """Whether the rows next to each end of a stretch are at least half as far apart as the stretch is from the others.

    Of two curves that cross, one is the greater on one side of the crossing, too.
    """
    far = float(np.median(values[inside]) - np.median(values[~inside]))
    for edge in (np.flatnonzero(inside[1:] != inside[:-1]) + 1).tolist():
        sign = 1.0 if inside[edge] else -1.0
        near = range(max(_BESIDE, edge - _OFF), min(len(values) - _BESIDE, edge + _OFF) + 1)
        steps = [
            sign * float(np.median(values[place : place + _BESIDE]) - np.median(values[place - _BESIDE : place]))
            for place in near
        ]
        if max((step * far for step in steps), default=0.0) < far * far / 2:
            return False
    return True


def _is_nearer(value: float, one: float, other: float) -> bool:
    """Whether a value is far nearer to the first than to the second: by difference, or by ratio if all are positive."""
    if abs(value - one) <= _NEARER * abs(value - other):
        return True
    if min(value, one, other) <= 0:
        return False
    return abs(math.log(value / one)) <= _NEARER * abs(math.log(value / other))


def _swap(sample: pl.DataFrame, one: str, two: str, found: Stretch, scale: float) -> Finding:
    count = round((found.stop - found.start) * scale)
    row = sample[found.start].select(one, two).rows()[0]
    return Finding(
        "swapped_columns", one, "error", count, count / (sample.height * scale), (str(row),),
        f"{one} and {two} hold each other's values in a stretch of rows ({found.where}).",
        "Ask the source which order it changed, and rename the columns of that stretch.",
    )  # fmt: skip
