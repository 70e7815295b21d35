"""Findings in the scale of numbers: a stretch of rows or a group that is in another unit than the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tidemill.data.findings.beside import Conditions, conditions_of, step_beside_others
from tidemill.data.findings.finding import Finding
from tidemill.data.findings.stretches import Flags, Floats, best_stretch, ranks

#: Rows on each side of a group, and of a stretch that other columns speak for.
_FEWEST, _FEWEST_STRETCH, _FEWEST_FRESH = 200, 25, 12
_FEWEST_DISTINCT, _FEWEST_WHOLE, _ROW_NUMBERS = 20, 32, 0.9
_MOST_GROUPS = 30
_CELSIUS = (-60.0, 60.0)
#: The two sides must differ as they are, and be alike when one is converted.
_APART, _ALIKE, _SHARE, _MOVED = 0.15, 0.04, 0.35, 0.05
_NOISE = 1.6
#: A stretch this many widths away, and this far in logarithms, is of another magnitude whatever its values are like.
_MAGNITUDE, _MAGNITUDE_FACTOR = 8.0, 3.0
#: Of jumps that are wide beside the values' own spread: how wide, and how far the sides may differ then.
_LEAST_JUMP, _JUMP, _WIDEST, _PER_WIDTH = 0.75, 1.5, 0.3, 0.05
#: How far other columns of a stretch may be from their other rows, besides chance, before it is the rows that differ.
_TOGETHER, _TOGETHER_NOISE = 0.3, 1.6
#: The best of all stretches of even rows is at most this many standard errors away, that of uneven ones this many.
_EVEN, _UNEVEN = 4.0, 7.0
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
    jump: float
    strict: bool


def find_unit_breaks(sample: pl.DataFrame, rows: int) -> Iterator[Finding]:
    """Stretches and groups of rows whose numbers are like the others' only after the conversion of a unit.

    Looks at a sample in the order of rows, in the order of each unordered time column, and by each column of at most
    30 categories; and, where the numbers of a row go together, at what the other columns leave unexplained.
    """
    columns = [column for column in sample.iter_columns() if _may_have_a_unit(column)]
    orders = [(None, None)] + [
        (name, sample[name].arg_sort().to_numpy())
        for name, kind in sample.schema.items()
        if kind in (pl.Date, pl.Datetime) and not sample[name].null_count() and not sample[name].is_sorted()
    ]
    groups = [(name, levels) for name in sample.columns if (levels := _levels(sample[name]))]
    numbers = {column.name: column.cast(pl.Float64).to_numpy() for column in columns}
    conditions = conditions_of(sample)
    for name, values in numbers.items():
        others = [other for key, other in numbers.items() if key != name]
        found = next((item for by, order in orders if (item := _stretch(name, values, by, order, others, rows))), None)
        found = found or next(
            (item for by, levels in groups if (item := _group(name, values, by, levels, others, rows))), None
        )
        if found is not None:
            yield found
            conditions = None
    if conditions is not None:
        yield from _unexplained(conditions, list(numbers), rows)


def _may_have_a_unit(column: pl.Series) -> bool:
    """Days, hours and the like are never in another unit, and neither are row numbers."""
    if not column.dtype.is_numeric() or column.dtype.is_decimal():
        return False
    distinct = column.drop_nulls().drop_nans().n_unique() if column.dtype.is_float() else column.n_unique()
    if not column.dtype.is_integer():
        return distinct >= _FEWEST_DISTINCT
    return distinct >= _FEWEST_WHOLE and not (distinct > _ROW_NUMBERS * column.len() and _counts_rows(column))


def _counts_rows(column: pl.Series) -> bool:
    """Whether whole numbers that hardly repeat are numbers of rows: in order, or with few left out."""
    low, high = column.min(), column.max()
    return column.is_sorted() or int(high) - int(low) < 2 * column.len()  # type: ignore[arg-type]


def _levels(column: pl.Series) -> list[tuple[str, Flags]]:
    """Each group of a column of few categories that is large enough to be compared with the others, and its rows."""
    text = column.dtype == pl.String or column.dtype.base_type() in (pl.Categorical, pl.Enum)
    if not text or not 2 <= column.n_unique() <= _MOST_GROUPS:
        return []
    words = column.cast(pl.String)
    sizes = words.drop_nulls().value_counts(name="rows")
    groups = sizes.filter(pl.col("rows") >= _FEWEST)[column.name].sort().to_list()
    return [(group, (words == group).fill_null(value=False).to_numpy()) for group in groups]


def _stretch(
    name: str, values: Floats, by: str | None, order: Any, others: Sequence[Floats], rows: int
) -> Finding | None:
    places = np.arange(len(values)) if order is None else order
    places = places[np.isfinite(values[places])]
    numbers = values[places]
    if len(numbers) < 2 * _FEWEST_STRETCH:
        return None
    fit, inside = None, np.zeros(len(numbers), dtype=np.bool_)
    # Ranks find a moderate change among extremes; logarithms one of magnitude among groups that differ.
    for signal in (ranks(numbers), np.log(numbers) if numbers.min() > 0 else None):
        if fit is not None or signal is None:
            break
        inside = best_stretch(signal).inside
        inside = ~inside if inside.mean() > 1 / 2 else inside
        fit = _of_stretch(numbers, places, inside, others)
    if fit is None:
        return None
    share = float(inside.mean())
    first = int(np.flatnonzero(inside)[0]) / len(numbers)
    where = f"about {share:.0%} of rows, from {first:.0%} of the way" + (f" by {by}" if by else "")
    return _finding(name, fit, round(share * rows), share, where)


def _of_stretch(numbers: Floats, places: Any, inside: Flags, others: Sequence[Floats]) -> _Fit | None:
    """The conversion of a stretch, if it is sure.

    Where rows come in groups, one stretch or another differs by about some factor. A conversion is believed where the
    numbers jump at the ends of the stretch, and for many rows, a great step, or a change that is the only one: no other
    column changes with it and, if it is moderate, no stretch of the converted column is left that differs.
    """
    # Rows that repeat the one before them, such as those of one month, are one piece of evidence.
    fresh = np.concatenate([[True], numbers[1:] != numbers[:-1]])
    if min(fresh[inside].sum(), fresh[~inside].sum()) < _FEWEST_FRESH:
        return None
    fit = _converted(numbers[inside], numbers[~inside], fewest=_FEWEST_STRETCH)
    if fit is None or not fit.strict:
        fit = _scale(numbers[inside], numbers[~inside]) or fit
    if fit is None or not _jumps(numbers, inside, fit):
        return None
    if fit.strict:
        return fit
    if fit.jump < _JUMP:
        converted = np.where(inside, numbers * fit.factor + fit.offset, numbers)
        if _unevenness(numbers) < _UNEVEN or _unevenness(converted) > _EVEN:
            return None
    return None if _moved_together(places, inside, others, moderate=fit.jump < _JUMP) else fit


def _jumps(numbers: Floats, inside: Flags, fit: _Fit) -> bool:
    """Whether the rows next to each end of a stretch are as far apart as its factor says, or at least half as far."""
    if fit.offset:
        return True
    for edge in (np.flatnonzero(inside[1:] != inside[:-1]) + 1).tolist():
        sides = numbers[max(0, edge - _FEWEST_STRETCH) : edge], numbers[edge : edge + _FEWEST_STRETCH]
        before, after = (float(np.median(np.abs(side))) for side in sides)
        step = math.log(after / before) if before > 0 and after > 0 else 0.0
        if (step if inside[edge] else -step) * -math.log(fit.factor) < math.log(fit.factor) ** 2 / 2:
            return False
    return True


def _unevenness(numbers: Floats) -> float:
    """How many standard errors the ranks of the best of all stretches are from those of the other rows."""
    signal = ranks(numbers)
    inside = best_stretch(signal).inside
    if inside.all() or not inside.any():
        return 0.0
    noise = float(signal.std()) * math.sqrt(1 / inside.sum() + 1 / (~inside).sum())
    return abs(float(signal[inside].mean() - signal[~inside].mean())) / max(noise, 1e-12)


def _scale(inside: Floats, outside: Floats) -> _Fit | None:
    """A stretch of another order of magnitude: so many widths away that whatever else differs does not matter."""
    if min(len(inside), len(outside)) < _FEWEST_STRETCH or min(inside.min(), outside.min()) <= 0:
        return None
    middle, other = float(np.median(inside)), float(np.median(outside))
    times = other / middle
    width = _width(inside, outside)
    jump = abs(math.log(times)) / width
    if jump < _MAGNITUDE or abs(math.log(times)) < _MAGNITUDE_FACTOR:
        return None
    near = [
        (abs(math.log(times / there)), there, words)
        for factor, offset, words in _CONVERSIONS
        if not offset
        for there in (factor, 1 / factor)
    ]
    off, factor, words = min(near)
    if off > 2 * width:
        factor, words = times, f"a factor of about {max(times, 1 / times):.3g}"
    return _Fit(words, other, middle, factor, 0.0, jump, strict=True)


def _moved_together(places: Any, inside: Flags, others: Sequence[Floats], *, moderate: bool) -> bool:
    """Whether other columns are otherwise there too: then the rows differ, and not the unit.

    Beside a great step, a quarter of the other columns may be otherwise; beside a moderate one, none.
    """
    apart = []
    for other in others:
        here, there = other[places][inside], other[places][~inside]
        here, there = here[np.isfinite(here)], there[np.isfinite(there)]
        if len(here) and len(there):
            noise = _TOGETHER_NOISE * math.sqrt(1 / len(here) + 1 / len(there))
            apart.append(_gap(np.sort(there), np.sort(here)) >= max(_TOGETHER, noise))
    return sum(apart) > (0 if moderate else len(apart) / 4)


def _unexplained(conditions: Conditions, names: Sequence[str], rows: int) -> Iterator[Finding]:
    """The column that is farthest from what the other columns of the row say, if a conversion would bring it back.

    Only the farthest: what others say of the columns beside it is wrong, too.
    """
    steps = {name: step for name in names if (step := step_beside_others(conditions, name))}
    if not steps:
        return
    name, found = max(steps.items(), key=lambda item: abs(item[1].step) / item[1].spread)
    near = [
        (abs(found.step + math.log(there)), there, words)
        for factor, offset, words in _CONVERSIONS
        if not offset
        for there in (factor, 1 / factor)
    ]
    off, factor, words = min(near)
    if off > _MIDDLE + 3 * found.error:
        return
    share = found.stretch.share
    fit = _Fit(words, found.outside, found.inside, factor, 0.0, abs(found.step) / found.spread, strict=True)
    yield _finding(name, fit, round(share * rows), share, found.stretch.where)


def _group(
    name: str, values: Floats, by: str, levels: list[tuple[str, Flags]], others: Sequence[Floats], rows: int
) -> Finding | None:
    known = np.isfinite(values)
    places = np.full(len(values), np.nan)
    places[known] = ranks(values[known]) / max(1, int(known.sum()))
    for group, there in levels:
        inside = there & known
        # A factor moves all values of a group one way.
        if not inside.any() or abs(float(places[inside].mean()) - 0.5) < _MOVED:
            continue
        outside = ~inside & known
        if not _FEWEST <= inside.sum() <= outside.sum():
            continue
        fit = _converted(values[inside], values[outside], fewest=_FEWEST)
        if fit is not None and not _moved_together(
            np.flatnonzero(known), inside[known], others, moderate=fit.jump < _JUMP
        ):
            share = float(inside.sum() / len(values))
            return _finding(
                name, fit, round(share * rows), share, f"the rows where {by} is {group!r}", _where(by, group)
            )
    return None


def _converted(inside: Floats, outside: Floats, *, fewest: int) -> _Fit | None:
    if min(len(inside), len(outside)) < fewest:
        return None
    inside, outside = np.sort(inside), np.sort(outside)
    apart = _gap(outside, inside)
    if apart < _APART:
        return None
    noise = math.sqrt(1 / len(inside) + 1 / len(outside))
    limit = min(max(_ALIKE, _NOISE * noise), _SHARE * apart)
    width = _width(inside, outside)
    best: tuple[float, _Fit] | None = None
    for factor, offset, words in _conversions(inside, outside):
        jump = _LEAST_JUMP if offset else abs(math.log(factor)) / width
        if jump < _LEAST_JUMP or not _keeps_whole(inside, outside, factor):
            continue  # among numbers that spread so far, any two groups are some factor apart
        alike = _gap(outside, inside * factor + offset)
        # A jump of many widths that a factor undoes is one, even where the two sides differ a little besides.
        wide = min(_WIDEST, _SHARE * apart, _ALIKE + _PER_WIDTH * max(0.0, jump - 2))
        strict = min(len(inside), len(outside)) >= _FEWEST and alike <= limit
        if alike <= (max(limit, wide) if jump >= _JUMP else limit) and (best is None or alike < best[0]):
            ends = float(np.median(outside)), float(np.median(inside))
            best = alike, _Fit(words, *ends, factor, offset, jump, strict)
    return best[1] if best else None


def _gap(left: Floats, right: Floats) -> float:
    """The largest gap between the distributions of two sorted samples (Kolmogorov and Smirnov's)."""
    points = np.concatenate([left, right])
    gaps = np.searchsorted(left, points, side="right") / len(left)
    return float(np.abs(gaps - np.searchsorted(right, points, side="right") / len(right)).max())


def _keeps_whole(inside: Floats, outside: Floats, factor: float) -> bool:
    """Whether a conversion can have made what is there: of few whole numbers, only a whole factor makes whole ones."""
    times = max(factor, 1 / factor)
    if abs(times - round(times)) < 1e-9 or float(np.median(np.abs(outside))) >= _FEWEST_WHOLE:
        return True
    return not ((inside == np.rint(inside)).all() and (outside == np.rint(outside)).all())


def _width(inside: Floats, outside: Floats) -> float:
    """The width of the values' logarithms, as a standard deviation: the wider one of the two sides'."""
    sizes = [np.log(np.abs(side[side != 0])) for side in (inside, outside)]
    width = max(float(np.subtract(*np.quantile(side, [0.75, 0.25]))) / 1.349 if len(side) else 0.0 for side in sizes)
    return max(width, 1e-6)


def _conversions(inside: Floats, outside: Floats) -> Iterator[tuple[float, float, str]]:
    """Factor and offset of every conversion that the middles of the two sides allow."""
    middle, other = float(np.median(np.abs(inside))), float(np.median(np.abs(outside)))
    if middle <= 0 or other <= 0:
        return
    tolerance = _MIDDLE + 4 * math.sqrt(1 / len(inside) + 1 / len(outside))
    is_weather = _is_weather(inside, outside)
    for factor, offset, words in _CONVERSIONS:
        if offset and not is_weather:
            continue
        for there, shift in ((factor, offset), (1 / factor, -offset / factor)):
            if offset or abs(math.log(other / middle / there)) <= tolerance:
                yield there, shift, words


def _is_weather(inside: Floats, outside: Floats) -> bool:
    """Whether one side could be degrees Celsius outdoors: an offset between other numbers is no change of unit.

    Both sides are sorted.
    """
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
