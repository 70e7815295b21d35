"""Findings in the scale of numbers: a stretch of rows or a group that is in another unit than the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding
from tidemill.measures.distances import ks

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

_BLOCKS = 64
_FEWEST = 200
_FEWEST_DISTINCT, _FEWEST_WHOLE = 20, 100
_MOST_GROUPS = 30
_CELSIUS = (-60.0, 60.0)
#: The two sides must differ as they are, and be alike when one is converted.
_APART, _ALIKE, _SHARE = 0.15, 0.04, 0.35
_NOISE = 1.6
#: How far, in logarithms, the ratio of the two medians may be from the factor, besides chance.
_MIDDLE = 0.03
_CONVERSIONS: tuple[tuple[float, float, str], ...] = (
    (1.609344, 0.0, "miles and kilometres"), (2.2046226, 0.0, "kilograms and pounds"),
    (3.2808399, 0.0, "metres and feet"), (2.54, 0.0, "inches and centimetres"), (25.4, 0.0, "inches and millimetres"),
    (1.852, 0.0, "nautical miles and kilometres"), (1.943844, 0.0, "metres per second and knots"),
    (2.2369363, 0.0, "metres per second and miles per hour"), (3.6, 0.0, "metres per second and kilometres per hour"),
    (28.349523, 0.0, "ounces and grams"), (3.7854118, 0.0, "gallons and litres"), (33.863887, 0.0, "inHg and hPa"),
    (4.184, 0.0, "calories and joules"), (12.0, 0.0, "feet and inches, or years and months"),
    (24.0, 0.0, "days and hours"), (7.0, 0.0, "weeks and days"), (60.0, 0.0, "a factor of 60"),
    (1440.0, 0.0, "days and minutes"), (3600.0, 0.0, "hours and seconds"), (10.0, 0.0, "a factor of 10"),
    (100.0, 0.0, "a factor of 100, such as shares and per cent"), (1000.0, 0.0, "a factor of 1,000"),
    (1e6, 0.0, "a factor of a million"), (1.8, 32.0, "degrees Celsius and Fahrenheit"),
    (1.0, 273.15, "degrees Celsius and kelvin"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fit:
    """A conversion that makes two sides alike."""

    words: str
    before: float
    after: float
    factor: float
    offset: float


def find_unit_breaks(sample: pl.DataFrame, rows: int) -> Iterator[Finding]:
    """Stretches and groups of rows whose numbers are like the others' only after the conversion of a unit.

    Looks at a sample in the order of rows, in the order of each unordered time column, and by each column of at most
    30 categories.
    """
    columns = [
        column for column in sample.iter_columns() if column.dtype.is_numeric() and not column.dtype.is_decimal()
    ]
    orders = [(None, None)] + [
        (name, sample[name].arg_sort().to_numpy())
        for name, kind in sample.schema.items()
        if kind in (pl.Date, pl.Datetime) and not sample[name].null_count() and not sample[name].is_sorted()
    ]
    groups = [(name, levels) for name in sample.columns if (levels := _levels(sample[name]))]
    for column in columns:
        values = column.cast(pl.Float64).to_numpy()
        known = np.isfinite(values)
        distinct = len(np.unique(values[known]))
        whole = column.dtype.is_integer()
        # Days, hours and the like are never in another unit, and neither are row numbers.
        if distinct < (_FEWEST_WHOLE if whole else _FEWEST_DISTINCT) or (whole and distinct == len(values)):
            continue
        found = next((item for by, order in orders if (item := _stretch(column.name, values, by, order, rows))), None)
        found = found or next(
            (item for by, levels in groups if (item := _group(column.name, values, by, levels, rows))), None
        )
        if found is not None:
            yield found


def _levels(column: pl.Series) -> list[tuple[str, Flags]]:
    """Each group of a column of few categories that is large enough to be compared with the others, and its rows."""
    text = column.dtype == pl.String or column.dtype.base_type() in (pl.Categorical, pl.Enum)
    if not text or not 2 <= column.n_unique() <= _MOST_GROUPS:
        return []
    words = column.cast(pl.String)
    sizes = words.drop_nulls().value_counts(name="rows")
    groups = sizes.filter(pl.col("rows") >= _FEWEST)[column.name].sort().to_list()
    return [(group, (words == group).fill_null(value=False).to_numpy()) for group in groups]


def _stretch(name: str, values: Floats, by: str | None, order: Any, rows: int) -> Finding | None:
    places = np.arange(len(values)) if order is None else order
    places = places[np.isfinite(values[places])]
    numbers = values[places]
    ranks = np.empty(len(numbers))
    ranks[np.argsort(numbers, kind="stable")] = np.arange(len(numbers))
    edges = np.linspace(0, len(numbers), _BLOCKS + 1).astype(np.int64)
    sums = np.concatenate([[0.0], np.cumsum(ranks - ranks.mean())])[edges]
    start, stop = _interval(sums)
    # A block at an edge may hold rows of both sides.
    block = np.clip(np.searchsorted(edges, np.arange(len(numbers)), side="right") - 1, 0, _BLOCKS - 1)
    inside = (block >= start) & (block < stop)
    border = np.isin(block, [start - 1, start, stop - 1, stop])
    inner = inside & ~(border & ((block != 0) | (start > 0)) & ((block != _BLOCKS - 1) | (stop < _BLOCKS)))
    outer = ~inside & ~border
    if inside.sum() > len(numbers) / 2:
        inside, inner, outer = ~inside, outer, inner
    fit = _converted(numbers[inner], numbers[outer])
    if fit is None:
        return None
    share = float(inside.mean())
    first = int(np.flatnonzero(inside)[0]) / len(numbers)
    where = f"about {share:.0%} of rows, from {first:.0%} of the way" + (f" by {by}" if by else "")
    return _finding(name, fit, round(share * rows), share, where)


def _interval(sums: Floats) -> tuple[int, int]:
    """The stretch of blocks that differs most from the others: it holds the greatest sum of squares between the two."""
    start, stop = np.triu_indices(_BLOCKS + 1, k=1)
    length = (stop - start) / _BLOCKS
    gain = np.where(length < 1, (sums[stop] - sums[start]) ** 2 / np.maximum(length * (1 - length), 1e-9), 0.0)
    best = int(gain.argmax())
    return int(start[best]), int(stop[best])


def _group(name: str, values: Floats, by: str, levels: list[tuple[str, Flags]], rows: int) -> Finding | None:
    known = np.isfinite(values)
    for group, there in levels:
        inside = there & known
        outside = ~inside & known
        if _FEWEST <= inside.sum() <= outside.sum() and (fit := _converted(values[inside], values[outside])):
            share = float(inside.sum() / len(values))
            return _finding(
                name, fit, round(share * rows), share, f"the rows where {by} is {group!r}", _where(by, group)
            )
    return None


def _converted(inside: Floats, outside: Floats) -> _Fit | None:
    if min(len(inside), len(outside)) < _FEWEST:
        return None
    apart = ks(outside, inside).statistic
    if apart < _APART:
        return None
    noise = math.sqrt(1 / len(inside) + 1 / len(outside))
    limit = min(max(_ALIKE, _NOISE * noise), _SHARE * apart)
    best: tuple[float, _Fit] | None = None
    for factor, offset, words in _conversions(inside, outside):
        alike = ks(outside, inside * factor + offset).statistic
        if alike <= limit and (best is None or alike < best[0]):
            best = alike, _Fit(words, float(np.median(outside)), float(np.median(inside)), factor, offset)
    return best[1] if best else None


def _conversions(inside: Floats, outside: Floats) -> Iterator[tuple[float, float, str]]:
    """Factor and offset of every conversion that the middles of the two sides allow."""
    middle, other = float(np.median(np.abs(inside))), float(np.median(np.abs(outside)))
    if middle <= 0 or other <= 0:
        return
    tolerance = _MIDDLE + 4 * math.sqrt(1 / len(inside) + 1 / len(outside))
    for factor, offset, words in _CONVERSIONS:
        if offset and not _is_weather(inside, outside):
            continue
        for there, shift in ((factor, offset), (1 / factor, -offset / factor)):
            if offset or abs(math.log(other / middle / there)) <= tolerance:
                yield there, shift, words


def _is_weather(inside: Floats, outside: Floats) -> bool:
    """Whether one side could be degrees Celsius outdoors: an offset between other numbers is no change of unit."""
    cold, warm = _CELSIUS
    return any(cold <= np.quantile(side, 0.01) and np.quantile(side, 0.99) <= warm for side in (inside, outside))


def _finding(name: str, fit: _Fit, count: int, share: float, where: str, condition: str = "") -> Finding:
    remedy: dict[str, Any] = {"kind": "convert_unit", "column": name, "factor": fit.factor, "offset": fit.offset}
    return Finding(
        "unit_break", name, "error", count, share, (fit.before, fit.after),
        f"{name} is in another unit in {where}: its median there is {fit.after:,.4g} instead of {fit.before:,.4g}, and "
        f"converted ({fit.words}) the values are distributed like the others.",
        f"Ask the source, and convert these rows: ConvertUnit({name!r}, factor={fit.factor:.7g}, where=…).",
        remedy | {"where": condition} if condition else {},
    )  # fmt: skip


def _where(by: str, group: str) -> str:
    """A SQL condition for the rows of a group."""
    column, value = by.replace('"', '""'), group.replace("'", "''")
    return f"\"{column}\" = '{value}'"
