"""Findings in clock times without a zone: the hour that spring skips, and the one that autumn has twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding
from tidemill.data.profile import MeasuredColumn
from tidemill.data.types import time_zone_of

_HOURS = 24
_PER_HOUR = {"ms": 3_600 * 10**3, "us": 3_600 * 10**6, "ns": 3_600 * 10**9}
#: The clock changes within the first hours of a Sunday.
_NIGHT = 4
_TWICE = 1.8


def find_daylight_saving(column: MeasuredColumn) -> Iterator[Finding]:
    """Times without a zone that follow a local clock, told by the nights in which it changes.

    Spring: one hour of the night has no row, and every other hour of that day and of the days around it has some.
    Autumn: one hour has twice as many rows as the others. Both only on Sundays of March, or of late October and early
    November.
    """
    dtype = column.series.dtype
    if not isinstance(dtype, pl.Datetime) or time_zone_of(dtype) is not None or len(column.values) < 7 * _HOURS:
        return
    hours = column.values // _PER_HOUR[dtype.time_unit]
    first = int(hours[0])
    rows = np.bincount(hours - first, weights=column.counts, minlength=int(hours[-1]) - first + 1)
    if len(rows) > 100 * len(hours):
        return
    lead = first % _HOURS
    days = np.concatenate([np.zeros(lead), rows, np.zeros(-(lead + len(rows)) % _HOURS)]).reshape(-1, _HOURS)
    start = np.datetime64((first - lead) * 3_600, "s")
    skipped, doubled = [], []
    for place in range(1, len(days) - 1):
        day: Any = (start + np.timedelta64(place, "D")).astype(datetime)
        if day.weekday() == 6 and _is_whole(days[place - 1]) and _is_whole(days[place + 1]):
            skipped += [day.replace(hour=hour) for hour in _skipped(days[place]) if day.month == 3]
            doubled += [day.replace(hour=hour) for hour in _doubled(days[place]) if _is_autumn(day)]
    if not skipped and not doubled:
        return
    count = int(sum(days[(day - start.astype(datetime)).days][day.hour] for day in doubled))
    words = [f"{moment:%Y-%m-%d %H:00} is skipped" for moment in skipped[:2]]
    words += [f"{moment:%Y-%m-%d %H:00} comes twice" for moment in doubled[:2]]
    yield Finding(
        "daylight_saving", column.profile.name, "warning", count, count / column.profile.rows,
        tuple(f"{moment:%Y-%m-%d %H:%M}" for moment in (*skipped, *doubled)[:5]),
        f"{column.profile.name} has no zone and follows a clock with daylight saving time: {', '.join(words)}. "
        "Differences over these nights are an hour wrong, and rows of the doubled hour cannot be told apart.",
        f"Say which clock wrote it: ToTimezone({column.profile.name!r}, \"UTC\", assume=…).",
    )  # fmt: skip


def _is_whole(day: Any) -> bool:
    """Whether every hour has rows, and none many more than the others."""
    return bool((day > 0).all() and day.max() < _TWICE * np.median(day))


def _skipped(day: Any) -> list[int]:
    empty = np.flatnonzero(day == 0)
    return [int(empty[0])] if len(empty) == 1 and empty[0] < _NIGHT else []


def _doubled(day: Any) -> list[int]:
    more = np.flatnonzero(day >= _TWICE * np.median(day))
    return [int(more[0])] if len(more) == 1 and more[0] < _NIGHT and (day > 0).all() else []


def _is_autumn(day: datetime) -> bool:
    return (day.month == 10 and day.day >= 25) or (day.month == 11 and day.day <= 7)
