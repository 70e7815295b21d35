"""Findings in the order of rows: values that stop coming, stand still, lose decimals, change sides or come late."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.findings.stretches import BLOCKS, Floats, Stretch, best_stretch, odds
from tidemill.data.findings.swaps import find_swapped
from tidemill.data.types import plain
from tidemill.measures.distances import ks

_FEWEST_ROWS = 50
_FEWEST = 12
#: The logarithm of how rarely chance may make a finding, in one of 64 * 65 / 2 stretches of a column.
_SURE = 14.0 + math.log(64 * 65 / 2)
_GONE, _THERE, _SAME = 0.5, 0.1, 0.95
_PLACES = tuple(range(-3, 7))
#: A rounded stretch is rounded in all rows but few, and is not nearly all of the column.
_ALL, _ROUNDED = 0.97, 0.95
_FEWEST_DISTINCT, _LONGER = 20, 4.0
#: A column of groups stays in so many rows, and another column stays in so many of those.
_GROUPED, _TOGETHER = 0.5, 0.9
_ALIKE, _TURNED = 0.3, 0.97
_LATE, _LATENESS = 0.25, 0.05
_JUMPS = 3
_FEW_SIGNS = 0.02
_SORTED = 0.25


def find_in_sequence(sample: pl.DataFrame, rows: int) -> Iterator[Finding]:
    """What is wrong with a stretch of rows; `sample` is in the order of rows, and stands for so many.

    Each finding must be too rare for chance and large: a stretch in which most values are missing and few elsewhere; a
    value repeated much longer than any other; fewer decimals than the others' digits allow; two columns that hold each
    other's values; a sign that all values of the stretch have and no other; times that go back.
    """
    if sample.height < _FEWEST_ROWS:
        return
    scale = rows / sample.height
    yield from _bursts(sample, scale)
    for column in sample.iter_columns():
        if column.dtype.is_numeric() and not column.dtype.is_decimal():
            yield from _in_numbers(column, sample, scale)
        elif isinstance(column.dtype, pl.Datetime) or column.dtype == pl.Date:
            yield from _late(column, scale)
    yield from find_swapped(sample, scale)


def _bursts(sample: pl.DataFrame, scale: float) -> Iterator[Finding]:
    """Columns that are missing in a stretch; those that are missing in the same stretch are one finding."""
    found: list[tuple[Stretch, list[pl.Series]]] = []
    for column in sample.iter_columns():
        burst = _burst(column)
        if burst is None:
            continue
        same = next((columns for other, columns in found if _is_same(burst, other)), None)
        if same is None:
            found.append((burst, [column]))
        else:
            same.append(column)
    for stretch, columns in found:
        missing, inside = columns[0].is_null().to_numpy(), stretch.inside
        count, others = int(missing[inside].sum()), ", ".join(column.name for column in columns[1:])
        yield Finding(
            "missing_burst", columns[0].name, "warning", round(count * scale), count / len(missing), (),
            f"{columns[0].name} is missing in {missing[inside].mean():.0%} of a stretch of rows ({stretch.where}) and "
            f"in {missing[~inside].mean():.1%} of others{f'; so are {others}' if others else ''}.",
            "Ask the source what failed there; a model learns the stretch and not the value.",
        )  # fmt: skip


def _is_same(one: Stretch, other: Stretch) -> bool:
    common = min(one.stop, other.stop) - max(one.start, other.start)
    return common >= _SAME * (max(one.stop, other.stop) - min(one.start, other.start))


def _burst(column: pl.Series) -> Stretch | None:
    missing = column.is_null().to_numpy()
    if not _FEWEST <= missing.sum() < len(missing):
        return None
    found = best_stretch(missing.astype(np.float64))
    if missing[found.inside].mean() < missing.mean():
        found = _other_side(found)
    inside = found.inside
    if inside.all() or not inside.any():
        return None
    here, there = float(missing[inside].mean()), float(missing[~inside].mean())
    if here < _GONE or there > _THERE or odds(here, float(inside.sum()), there) < _SURE:
        return None
    # Else values stop coming again and again, as at the end of each day.
    return found if missing[inside].sum() >= _LONGER * _longest_run(missing[~inside]) else None


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _other_side(found: Stretch) -> Stretch:
    """The longer side beyond a stretch, when it is the stretch that is as usual."""
    left, right = Stretch(0, found.start, found.rows), Stretch(found.stop, found.rows, found.rows)
    return max(left, right, key=lambda side: side.share)


def _in_numbers(column: pl.Series, sample: pl.DataFrame, scale: float) -> Iterator[Finding]:
    known = column.drop_nulls().cast(pl.Float64).to_numpy()
    known = known[np.isfinite(known)]
    if len(known) < _FEWEST_ROWS:
        return
    distinct = len(np.unique(known))
    if distinct < _FEWEST_DISTINCT:
        return
    rows = column.len() * scale
    stuck = list(_stuck(column, known, sample, scale))
    yield from stuck
    if not stuck:
        yield from _coarser(column.name, known, scale, rows)
    yield from _sign(column.name, known, scale, rows)


def _is_of_groups(column: pl.Series, sample: pl.DataFrame, value: float) -> bool:
    """Whether the value is that of a group of rows: where the column stays, there and elsewhere, another one does."""
    stays, there = _stays(column), (column == value).fill_null(value=False)[1:].to_numpy()
    if stays.mean() < _GROUPED:
        return False
    for other in sample.iter_columns():
        if other.name != column.name and not other.dtype.is_nested():
            same = _stays(other)
            if not same.all() and same[stays].mean() >= _TOGETHER and same[stays & there].all():
                return True
    return False


def _stays(column: pl.Series) -> npt.NDArray[np.bool_]:
    return column.eq_missing(column.shift(1))[1:].to_numpy()


def _stuck(column: pl.Series, values: Floats, sample: pl.DataFrame, scale: float) -> Iterator[Finding]:
    """One value repeated in a run that is several times as long as any other run of the column."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    lengths = np.diff(np.append(starts, len(values)))
    order = np.argsort(-lengths, kind="stable")
    longest = int(lengths[order[0]])
    value = float(values[starts[order[0]]])
    others = np.ones(len(values) - longest) if longest == len(values) else np.delete(
        values, np.s_[starts[order[0]] : starts[order[0]] + longest]
    )  # fmt: skip
    if value in (values.min(), values.max()) and longest >= _SORTED * len(values):
        return  # most values are at an end, and the table is in their order
    usual = max(1, int(lengths[order[1]]) if len(lengths) > 1 else 1)
    again = float((np.diff(others) == 0).mean()) if len(others) > 1 else 0.0
    # A value that is common anyway makes runs of its own.
    again = max(again, float((others == value).mean()), 1 / len(values))
    if longest < max(5, _LONGER * usual) or longest * -math.log(min(again, 1 - 1e-9)) < 10 + math.log(len(values)):
        return
    if _is_of_groups(column, sample, value):
        return
    first, name = int(starts[order[0]]), column.name
    count = round(longest * scale)
    yield Finding(
        "stuck_values", name, "warning", count, count / (column.len() * scale), (plain(value),),
        f"{name} is {value:,.6g} in {count:,} rows on end, from {first / len(values):.0%} of the way; no other value "
        f"stays longer than {usual:,} rows.",
        "Ask whether the source stood still there; if it did, make the stretch missing.",
    )  # fmt: skip


def _decimals(values: Floats) -> Floats:
    """With how many decimals each value is written: 2 for 0.25, 0 for 25, -2 for 2,500; at most 6."""
    out = np.full(len(values), float(_PLACES[-1]))
    for place in reversed(_PLACES):
        scaled = values * 10.0**place
        out[np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1.0, np.abs(scaled))] = place
    out[values == 0] = np.nan
    return out


def _coarser(name: str, values: Floats, scale: float, rows: float) -> Iterator[Finding]:
    """A stretch that is rounded to fewer decimals than the others' last digits allow."""
    places = _decimals(values)
    known = np.isfinite(places)
    if known.sum() < _FEWEST_ROWS or places[known].min() == places[known].max():
        return
    # Rows that repeat the one before them, such as those of one person, are one piece of evidence.
    fresh = np.concatenate([[True], values[1:] != values[:-1]])
    for most in np.unique(places[known])[:-1].tolist():
        finer = (known & (places > most)).astype(np.float64)
        if not _FEWEST <= len(finer) - finer.sum() <= _ROUNDED * len(finer):
            continue
        found = best_stretch(finer)
        inside, inner = found.inside, known & ~_near_ends(found)
        for side, where in ((inside, found.where), (~inside, _other_side(found).where)):
            here, there = side & inner, ~side & inner
            if min(here.sum(), there.sum()) < _FEWEST:
                continue
            hits, elsewhere = 1 - float(finer[here].mean()), 1 - float(finer[there].mean())
            evidence = float(here.sum()) * float(fresh[there].mean()) * (values[here].min() < values[here].max())
            if hits >= _ALL and elsewhere <= 0.5 and odds(hits, evidence, elsewhere) >= _SURE:
                yield _rounded(name, values[here], most, where, scale, rows)
                return


def _near_ends(found: Stretch) -> npt.NDArray[np.bool_]:
    """Rows within a block of an end: chance may have moved it so far."""
    near, block = np.zeros(found.rows, dtype=np.bool_), -(-found.rows // BLOCKS)
    for end in (found.start, found.stop):
        if 0 < end < found.rows:
            near[max(0, end - block) : end + block] = True
    return near


def _rounded(name: str, values: Floats, most: float, where: str, scale: float, rows: float) -> Finding:
    count, step = round(len(values) * scale), 10.0**-most
    steps = "whole numbers" if step == 1 else f"steps of {step:g}"
    return Finding(
        "precision_change", name, "warning", count, count / rows, tuple(plain(value) for value in values[:3].tolist()),
        f"{name} is rounded to {steps} in a stretch of rows ({where}), and the others are not.",
        "Ask the source what changed; round all rows alike if a model could learn the stretch from the digits.",
    )  # fmt: skip


def _sign(name: str, values: Floats, scale: float, rows: float) -> Iterator[Finding]:
    """A stretch in which all values have the sign that no other has, and sizes like theirs."""
    negative = values < 0
    share = float(negative.mean())
    if min(share, 1 - share) <= _FEW_SIGNS:
        return
    minority = negative if share <= 0.5 else ~negative
    found = best_stretch(minority.astype(np.float64))
    inside = found.inside
    if minority[inside].mean() < 1 / 2:
        found = _other_side(found)
        inside = found.inside
    if (
        not _FEWEST <= inside.sum() < len(inside)
        or minority[inside].mean() < _TURNED
        or minority[~inside].mean() > 0.01
    ):
        return
    if ks(np.abs(values[inside]), np.abs(values[~inside])).statistic > _ALIKE:
        return
    count = round(int(minority.sum()) * scale)
    wrong = "negative" if share <= 0.5 else "positive"
    yield Finding(
        "sign_flip", name, "error", count, count / rows, tuple(plain(v) for v in values[inside][:3].tolist()),
        f"{name} is {wrong} in a stretch of rows ({found.where}) and nowhere else, with sizes like the others'.",
        f"Ask the source; where the sign is wrong, ConvertUnit({name!r}, factor=-1, where=…).",
        {"kind": "convert_unit", "column": name, "factor": -1.0,
         "where": f'"{name}" {"<" if share <= 0.5 else ">"} 0'},
    )  # fmt: skip


def _late(column: pl.Series, scale: float) -> Iterator[Finding]:
    """Rows that come after younger ones in a table that is otherwise in the order of a time column."""
    times = column.drop_nulls().to_physical().cast(pl.Float64).to_numpy()
    if len(times) < _FEWEST_ROWS:
        return
    latest = np.maximum.accumulate(times)
    behind = latest > times
    share, span = float(behind.mean()), float(times.max() - times.min())
    if not 0 < share <= _LATE or float(np.median((latest - times)[behind])) > _LATENESS * span:
        return
    jumps = np.flatnonzero(np.diff(times) < 0) + 1
    count = round(int(behind.sum()) * scale)
    if len(jumps) <= _JUMPS:
        place = int(jumps[0])
        before, after = column.drop_nulls()[place - 1], column.drop_nulls()[place]
        yield Finding(
            "clock_shift", column.name, "warning", count, count / (column.len() * scale), (plain(before), plain(after)),
            f"{column.name} goes back by {before - after} at {place / len(times):.0%} of the way and then on: another "
            "clock, or a batch that came again.",
            "Ask which clock wrote these rows: ToTimezone, or ConvertUnit of the hours.",
        )  # fmt: skip
        return
    yield Finding(
        "late_rows", column.name, "warning", count, count / (column.len() * scale),
        tuple(plain(value) for value in column.drop_nulls().filter(pl.Series(behind)).head(3)),
        f"{number_of(count, 'row comes', 'rows come')} after younger ones in a table that is "
        f"otherwise in the order of {column.name}.",
        f"Sort by {column.name}, and take the time of arrival, not of the event, for what was known when.",
    )  # fmt: skip
