"""Findings in how time is written: clock times as numbers, clocks of different zones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.profile import MeasuredColumn
from tidemill.data.types import plain, time_zone_of

_MIDNIGHT = 2400
_HOURS = 24
_MIN_CLOCKS = 50
_MIN_HOURS = 12
_AGREED = 0.98


def find_in_times(columns: Sequence[MeasuredColumn]) -> Iterator[Finding]:
    """Clock times written as numbers, ``2400``, and an hour column that disagrees with a time column."""
    for column in columns:
        yield from _clock_numbers(column)
    hours = [column for column in columns if _is_hour(column)]
    times = [column for column in columns if isinstance(column.series.dtype, pl.Datetime)]
    for time in times:
        for hour in hours:
            yield from _disagreement(time.series, hour.series)


def _clock_numbers(column: MeasuredColumn) -> Iterator[Finding]:
    values, counts, name = column.values, column.counts, column.profile.name
    if not column.series.dtype.is_integer() or len(values) < _MIN_CLOCKS:
        return
    if values[0] < 0 or values[-1] > _MIDNIGHT or values[-1] < 1000 or (values % 100 >= 60).any():
        return
    count = int(counts.sum())
    examples = tuple(plain(value) for value in values[:: max(1, len(values) // 3)][:3].tolist())
    yield Finding(
        "clock_as_number", name, "warning", count, count / column.profile.rows, examples,
        f"{name} writes clock times as numbers: 1259 and 1300 are one minute apart, and not 41.",
        f"Turn it into a moment: ParseHhmm({name!r}, date=…, into=…).",
    )  # fmt: skip
    if values[-1] == _MIDNIGHT:
        midnight = int(counts[-1])
        yield Finding(
            "clock_2400", name, "error", midnight, midnight / column.profile.rows, (_MIDNIGHT,),
            f"{name} is 2400 in {number_of(midnight, 'row')}: the midnight that ends a day, which parsers refuse "
            "or misplace.",
            f"ParseHhmm({name!r}, …) reads it as the next day's 00:00.",
        )  # fmt: skip


def _is_hour(column: MeasuredColumn) -> bool:
    values = column.values
    whole = column.series.dtype.is_integer()
    return bool(
        whole and len(values) >= _MIN_HOURS and values[0] >= 0 and values[-1] <= _HOURS and len(values) <= _HOURS + 1
    )


def _disagreement(time: pl.Series, hour: pl.Series) -> Iterator[Finding]:
    """An hour column that differs from a time's hour by one or two neighbouring numbers of hours throughout."""
    both = pl.DataFrame({"time": time, "hour": hour}).drop_nulls()
    if both.is_empty():
        return
    gap = (both["time"].dt.hour().cast(pl.Int64) - both["hour"]) % _HOURS
    tally = np.bincount(gap.to_numpy(), minlength=_HOURS)
    first, second = (int(index) for index in np.argsort(-tally, kind="stable")[:2])
    neighbours = (first - second) % _HOURS in (1, _HOURS - 1)
    agreed = tally[first] + (tally[second] if neighbours else 0)
    if agreed < _AGREED * both.height or (first == 0 and not (neighbours and tally[second] > 0.05 * both.height)):
        return
    shifts = sorted({_signed(first), _signed(second)} if neighbours and tally[second] else {_signed(first)})
    count = both.height - int(tally[0])
    zone = time_zone_of(time.dtype)
    summer = len(shifts) > 1
    yield Finding(
        "hour_mismatch", time.name, "error", count, count / time.len(),
        tuple(plain(row) for row in both.filter(gap != 0).head(3).rows()),
        f"The hour of {time.name} ({zone or 'no zone'}) is {' or '.join(f'{shift:+d}' for shift in shifts)} h from "
        f"{hour.name}: the two are on different clocks"
        + (", and the difference changes with daylight saving time." if summer else "."),
        f"Join and compare on {time.name}, and take the local hour from it: ToTimezone({time.name!r}, zone).",
    )  # fmt: skip


def _signed(hours: int) -> int:
    return hours if hours <= _HOURS // 2 else hours - _HOURS
