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
_RARELY, _TURNED, _NEARER = 0.02, 0.97, 0.3


def find_swapped(sample: pl.DataFrame, scale: float) -> Iterator[Finding]:
    """Two columns that hold each other's values in a stretch of rows.

    Either both columns change in the same stretch, each to the distribution that the other has elsewhere; or one is the
    greater in every row, except in a stretch in which it is the lesser in every row and has the other's size.
    """
    numbers: dict[str, Floats] = {}
    for column in sample.iter_columns():
        if column.dtype.is_numeric() and not column.dtype.is_decimal() and not column.null_count():
            values = column.cast(pl.Float64).to_numpy()
            if np.isfinite(values).all() and len(np.unique(values)) >= _FEWEST_DISTINCT:
                numbers[column.name] = values
    names = list(numbers)[:_MOST_COLUMNS]
    moved = {name: found for name in names if (found := _moved(numbers[name]))}
    for one, two in itertools.combinations(names, 2):
        found = None
        if one in moved and two in moved and _jaccard(moved[one], moved[two]) >= _SAME:
            found = moved[one] if _crossed(numbers[one], numbers[two], moved[one].inside) else None
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
    swapped = abs(middle[0] - middle[3]) <= _NEARER * abs(middle[0] - middle[2])
    return found if swapped and abs(middle[1] - middle[2]) <= _NEARER * abs(middle[1] - middle[3]) else None


def _swap(sample: pl.DataFrame, one: str, two: str, found: Stretch, scale: float) -> Finding:
    count = round((found.stop - found.start) * scale)
    row = sample[found.start].select(one, two).rows()[0]
    return Finding(
        "swapped_columns", one, "error", count, count / (sample.height * scale), (str(row),),
        f"{one} and {two} hold each other's values in a stretch of rows ({found.where}).",
        "Ask the source which order it changed, and rename the columns of that stretch.",
    )  # fmt: skip
