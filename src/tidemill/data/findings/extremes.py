"""Findings at the ends of a column of numbers or times: codes for missing values, impossible values, wrong signs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from tidemill.data.findings.domains import find_outside_domain
from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.profile import MeasuredColumn
from tidemill.data.types import plain

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_MIN_DISTINCT = 10
_EXAMPLES = 5
#: Outliers are at most this share of the values, or this many, lie this many times as far from the median as the
#: farthest of the others and this many widths of the middle half, and chance puts them there this rarely.
_RARE, _FEW, _TIMES, _WIDTHS, _CHANCE = 0.01, 3, 2.5, 5.0, 2e-4
#: Of logarithms: how many times smaller than the next value is far, how many values tell a distribution, and how much
#: wider it may be at its end than at its upper quartile.
_TIMES_SMALLER, _FEWEST_NORMAL, _GROWING, _NORMAL_CHANCE = 25.0, 30, 1.2, 2e-5
_TAILS, _TAIL = (10, 14, 20, 28, 40, 56, 80, 112, 160), 0.25
_SHORTEST, _SHORT, _WIDE = 5, 40, 5.0
_MOST_CODED, _CROWD = 0.6, 10.0
_CODES = frozenset(
    sign * float(digit * size)
    for sign in (1, -1)
    for digit in "89"
    for size in range(2, 10)
) | {32767.0, 65535.0, 2147483647.0, -32768.0, -2147483648.0}  # fmt: skip
_CODED_TIMES = frozenset(
    {"0001-01-01", "1753-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "1970-01-01", "2099-12-31",
     "2999-12-31", "9999-12-31"}
)  # fmt: skip
_FLIPPED, _NEAR_ZERO = 0.05, 0.1


def find_at_the_ends(column: MeasuredColumn) -> Iterator[Finding]:
    """Codes that stand for a missing value, values that cannot be, and numbers with the wrong sign.

    A *code* is a value such as -999 or 1900-01-01 alone at an end, farther from the others than they are from each
    other. An *impossible value* lies beyond a gap that a tail as long as the column's own does not explain, or outside
    the range of what the column's name says it holds. A *wrong sign* is that of a few values whose sizes are those of
    the others.

    Source of the gap's chance: in a tail that falls like a power, and more so in a shorter one, the logarithms of the
    ratios of neighbouring extremes, each times its rank, are independent and exponential (A. Rényi, On the theory of
    order statistics, Acta Math. Hung. 4, 1953); the gap is judged against those below it.
    """
    values, counts = column.values.astype(np.float64), column.counts
    if len(values) < _MIN_DISTINCT or not np.isfinite(values).all():
        return
    coded = _codes(column, values, counts)
    if coded.any():
        yield _coded(column, values[coded], counts[coded])
        values, counts = values[~coded], counts[~coded]
        if len(values) < _MIN_DISTINCT:
            return
    flipped = column.is_number and _wrong_sign(values, counts)
    if flipped:
        negative = values < 0 if flipped > 0 else values > 0
        yield _sign(column, values[negative], counts[negative])
        values, counts = values[~negative], counts[~negative]
    outside = list(find_outside_domain(column, values, counts)) if column.is_number else []
    yield from outside or _beyond_gaps(column, values, counts)


def _codes(column: MeasuredColumn, values: Floats, counts: Any) -> Any:
    """Which values are codes: at most two at each end."""
    out = np.zeros(len(values), dtype=np.bool_)
    for places in ((0, 1), (-1, -2)):
        for place in places:
            if not _is_code(column, values, counts, place, out):
                break
            out[place] = True
    return out


def _is_code(column: MeasuredColumn, values: Floats, counts: Any, place: int, known: Any) -> bool:
    rest = np.ones(len(values), dtype=np.bool_)
    rest[place] = False
    rest &= ~known
    others = values[rest]
    if len(others) < _MIN_DISTINCT or counts[place] > _MOST_CODED * counts.sum():
        return False
    value, span = float(values[place]), float(others[-1] - others[0])
    gap = float(max(others[0] - value, value - others[-1]))
    many = counts[place] >= _FEW and counts[place] > _RARE * counts.sum()
    if not column.is_number:
        return gap > span / 2 and _is_coded_time(column, place)
    if value == -1 and others[0] >= 0 and column.series.dtype.is_integer() and others[-1] >= _MIN_DISTINCT:
        return bool(many)
    # A crowd at one very far value is a code whatever its digits; a code of nines may be nearer, or alone.
    if value in _CODES:
        close = np.diff(others[:_MIN_DISTINCT] if value < others[0] else others[-_MIN_DISTINCT:])
        wide = min(_width(others, counts[rest]), _CROWD * float(np.median(close)))
        return gap > span or bool(many and counts[place] > _FEW * counts[rest].mean() and gap > wide)
    crowd = many and counts[place] >= 2 * _MIN_DISTINCT and value not in (0, 1)
    return bool(crowd) and gap > _CROWD * span


def _width(others: Floats, counts: Any) -> float:
    """The width of the middle half of the other values."""
    low, _, high = _quartiles(others, counts)
    return high - low


def _is_coded_time(column: MeasuredColumn, place: int) -> bool:
    return str(pl.Series(column.values[[place]]).cast(column.series.dtype).dt.to_string("%Y-%m-%d")[0]) in _CODED_TIMES


def _coded(column: MeasuredColumn, values: Floats, counts: Any) -> Finding:
    name, count = column.profile.name, int(counts.sum())
    shown = tuple(map(_number, values.tolist())) if column.is_number else tuple(times_in(column, values))
    words = " and ".join(f"{value:,}" if isinstance(value, int | float) else str(value) for value in shown)
    return Finding(
        "sentinel", name, "error", count, count / column.profile.rows, shown,
        f"{name} is {words} in {number_of(count, 'row')}, far from every other value: a code for a missing value, "
        "which a model takes for a number.",
        f"Make it missing: NullValues(({name!r},), {shown!r}).",
        {"kind": "null_values", "columns": [name], "values": list(shown)},
    )  # fmt: skip


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)


def _wrong_sign(values: Floats, counts: Any) -> int:
    """1 where a few negative values have the sizes of the positive ones, -1 the other way round, else 0."""
    total = counts.sum()
    below, above = int(counts[values < 0].sum()), int(counts[values > 0].sum())
    for sign, few, many in ((1, below, above), (-1, above, below)):
        if not 0 < few <= _FLIPPED * total or many < 2 * _MIN_DISTINCT:
            continue
        usual, others = np.repeat(values * sign, counts), None
        others, usual = -usual[usual < 0], usual[usual > 0]
        usual.sort()
        # Values that reach down to zero may well cross it.
        floor = usual[0] if few < _MIN_DISTINCT else usual[int(0.05 * len(usual))]
        if floor <= _NEAR_ZERO * usual[len(usual) // 2]:
            continue
        ranks = np.searchsorted(usual, others) / len(usual)
        inside = (others >= usual[0]) & (others <= usual[-1])
        if inside.mean() >= 0.9 and abs(ranks.mean() - 0.5) <= 3 / math.sqrt(12 * few):
            return sign
    return 0


def _sign(column: MeasuredColumn, values: Floats, counts: Any) -> Finding:
    name, count = column.profile.name, int(counts.sum())
    wrong, right = ("negative", "positive") if values[0] < 0 else ("positive", "negative")
    condition = f'"{name}" < 0' if values[0] < 0 else f'"{name}" > 0'
    return Finding(
        "sign_flip", name, "error", count, count / column.profile.rows,
        tuple(_number(value) for value in values[:_EXAMPLES]),
        f"{name} is {wrong} in {number_of(count, 'row')}, in which its size is like that of the {right} values "
        "of all others.",
        f"Ask the source; where the sign is wrong, ConvertUnit({name!r}, factor=-1, where={condition!r}).",
        {"kind": "convert_unit", "column": name, "factor": -1.0, "where": condition},
    )  # fmt: skip


def _quartiles(values: Floats, counts: Any) -> tuple[float, float, float]:
    total = np.cumsum(counts)
    low, middle, high = (float(values[np.searchsorted(total, share * total[-1])]) for share in (0.25, 0.5, 0.75))
    return low, middle, high


def _beyond_gaps(column: MeasuredColumn, values: Floats, counts: Any) -> Iterator[Finding]:
    """Rare values that lie far beyond a gap in which nothing is."""
    quarter, median, three = _quartiles(values, counts)
    for sign in (1, -1):
        original, number = values[::sign], counts[::sign]
        distance = (original - median) * sign
        first = _first_beyond(distance, number, width=three - quarter)
        if first is None and column.is_number:
            first = _beyond_in_logarithms(values, counts, sign)
        if first is not None:
            count = int(number[first:].sum())
            yield _far(column, original[first:][::-1], float(original[first - 1]), median, count, sign)


def _beyond_in_logarithms(values: Floats, counts: Any, sign: int) -> int | None:
    """Index of the first value that is too far for logarithms that fall like a normal distribution's, or faster.

    The distribution is the widest of those that pass through one of the column's quantiles or its last value. Where
    they grow wider the farther out, the tail is longer than that, and nothing is said; nor is it of small values of a
    column that has zeros.
    """
    order = np.log(values[values > 0])[::sign] * sign
    number = counts[values > 0][::sign]
    if len(order) < _MIN_DISTINCT or (sign < 0 and len(order) < len(values)):
        return None
    beyond = np.cumsum(number[::-1])[::-1]
    step = math.log(_TIMES if sign > 0 else _TIMES_SMALLER)
    rare = beyond[1:] <= max(_FEW, _RARE * beyond[0])
    for place in (np.flatnonzero(rare & (np.diff(order) >= step)) + 1).tolist():
        usual, far = np.repeat(order[:place], number[:place]), float(order[place])
        # Small values near zero are as usual: there, logarithms fall like an exponential.
        chance = _NORMAL_CHANCE if sign > 0 else _power_chance(usual[::-1], min(_FEW, int(beyond[place])), far)
        if chance <= _CHANCE and _normal_chance(usual, far) < _NORMAL_CHANCE:
            return place + len(values) - len(order)
    return None


def _normal_chance(usual: Floats, far: float) -> float:
    """How rarely the largest of so many normal numbers is that far, if the usual ones are like a normal's at most."""
    rows = len(usual)
    if rows < _FEWEST_NORMAL:
        return 1.0
    middle = float(np.median(usual))
    shares = [share for share in (0.75, 0.9, 0.95, 0.99) if rows * (1 - share) >= 1] + [rows / (rows + 1)]
    widths = [
        (float(np.quantile(usual, share)) - middle) / NormalDist().inv_cdf(share) for share in shares
    ]  # fmt: skip
    if widths[0] <= 0 or max(widths) > _GROWING * widths[0]:
        return 1.0
    return rows * NormalDist().cdf(-(far - middle) / max(widths))


def _first_beyond(distance: Floats, counts: Any, width: float) -> int | None:
    """Index of the first value beyond the gap, in values ordered by their distance from the median; None if no gap."""
    beyond = np.cumsum(counts[::-1])[::-1]
    rare = beyond <= max(_FEW, _RARE * beyond[0])
    places = np.flatnonzero(rare[1:] & (distance[:-1] > 0) & (np.arange(1, len(distance)) >= _MIN_DISTINCT // 2)) + 1
    for place in places.tolist():
        times = distance[place] / distance[place - 1]
        if times < _TIMES or distance[place] <= _WIDTHS * width:
            continue
        below = distance[:place]
        positive = below > 0
        tail = np.repeat(below[positive], counts[:place][positive])[::-1]
        if _chance(tail, min(_FEW, int(beyond[place])), float(distance[place])) < _CHANCE:
            return int(place)
    return None


def _chance(tail: Floats, beyond: int, far: float) -> float:
    """How rarely chance puts the `beyond` farthest values so far from a tail with these values (the farthest first).

    A long tail falls like a power and is judged by the logarithms of its values, as one that falls faster does so more
    the farther out. A tail whose excesses spread no more than an
    exponential's is also judged by the values themselves, if the gap is wide.
    """
    chance = _power_chance(np.log(tail), beyond, math.log(far))
    k = min(_SHORT, len(tail) // 2)
    if k >= _SHORTEST and far >= _WIDE * tail[0]:
        excess = tail[:k] - tail[k]
        if excess.std() <= excess.mean():
            chance = min(chance, _gap_chance(tail[: k + 1], beyond, far))
    return chance


def _power_chance(logarithms: Floats, beyond: int, far: float) -> float:
    """The least that tails of several lengths say of values that fall like a power; logarithms, the farthest first."""
    chance = 1.0
    for length in _TAILS:
        k = min(length, len(logarithms) - 1)
        if k < 2 or (length > _TAILS[0] and k > _TAIL * len(logarithms)):
            break
        chance = min(chance, _gap_chance(logarithms[: k + 1], beyond, far))
    return chance


def _gap_chance(tail: Floats, beyond: int, far: float) -> float:
    k = len(tail) - 1
    steps = (tail[:-1] - tail[1:]) * (np.arange(1, k + 1) + beyond)
    return float((1 + beyond * (far - tail[0]) / max(float(steps.sum()), 1e-9)) ** -k)


def _far(column: MeasuredColumn, far: Floats, last: float, median: float, count: int, sign: int) -> Finding:
    """The finding about values beyond a gap, the farthest first; `last` is the end of the others."""
    name = column.profile.name
    if column.is_number:
        shown = [plain(value) for value in far.tolist()]
        ends = f"{shown[0]:,.6g}", f"{median:,.6g}", f"{last:,.6g}"
        bound = "maximum" if sign > 0 else "minimum"
        suggestion = f"Make it missing: NullOutside({name!r}, {bound}={exact(last)})."
        remedy: dict[str, Any] = {"kind": "null_outside", "column": name, bound: plain(last)}
    else:
        shown = times_in(column, far)
        ends = shown[0], times_in(column, np.array([median]))[0], times_in(column, np.array([last]))[0]
        suggestion = f"Make it missing: NullValues(({name!r},), ({shown[0]!r}, …))."
        remedy = {"kind": "null_values", "columns": [name], "values": shown}
    times = abs(far[-1] - median) / abs(last - median)
    how = f"lies {times:.0f} times as far from the median ({ends[1]}) as the next value ({ends[2]})"
    if times < _TIMES:
        how = f"is {last / far[-1]:,.0f} times smaller than the next value ({ends[2]}; the median is {ends[1]})"
    return Finding(
        "impossible_value", name, "error", count, count / column.profile.rows, tuple(shown[:_EXAMPLES]),
        f"{name} = {ends[0]} {how}, with nothing between.",
        suggestion, remedy,
    )  # fmt: skip


def times_in(column: MeasuredColumn, values: Floats) -> list[Any]:
    """The times of a column that these numbers stand for, as ISO text."""
    places = [int(np.abs(column.values - value).argmin()) for value in values]
    return [plain(value) for value in pl.Series(column.values[places]).cast(column.series.dtype).to_list()]


def exact(value: float) -> str:
    """A number as code writes it, so that a bound made of it keeps it.

    >>> exact(3.0), exact(0.1)
    ('3', '0.1')
    """
    return repr(int(value)) if float(value).is_integer() else repr(float(value))
