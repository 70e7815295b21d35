"""Which time a table covers, and where it has holes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding
from tidemill.data.profile import MeasuredColumn, Numbers
from tidemill.data.types import plain

_REGULAR = 0.6
_FULL = 20
_MOST_GAPS = 20
#: So many holes are a rhythm; one that is so much longer than they are is not.
_RHYTHM, _LONGER = 5, 1.5
_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_UNITS = (("day", 86_400), ("week", 604_800), ("month", 30 * 86_400))
_NAMES = {60: "minute", 3_600: "hour", 86_400: "day", 604_800: "week"}


@dataclass(frozen=True, slots=True)
class TimeGap:
    """A stretch without rows: the last time before it, the first after it, and how many periods long it is."""

    after: str
    before: str
    periods: int


@dataclass(frozen=True, slots=True)
class TimeCoverage:
    """The span of a time column and its holes.

    Parameters
    ----------
    column, first, last
        The column and its span.
    unit
        The period that was counted: the step of a regular series (``"hour"``, ``"900 s"``), else the shortest of day,
        week and month (30 days) that holds 20 rows in the mean.
    periods, empty
        Periods of the span, and those without a row.
    gaps
        The longest stretches that are no part of a rhythm (such as weekends), the longest first.
    """

    column: str
    first: str
    last: str
    unit: str
    periods: int
    empty: int
    gaps: tuple[TimeGap, ...] = ()


def time_coverage(column: MeasuredColumn) -> TimeCoverage | None:
    """The coverage of a date or time column; None for others, and for fewer than three distinct times.

    >>> from tidemill.data.profile import measure_column
    >>> hours = pl.Series("at", [0, 1, 2, 3, 7, 8, 9]) * 3_600_000
    >>> found = time_coverage(measure_column(hours.cast(pl.Datetime("ms"))))
    >>> found.unit, found.empty, found.gaps[0].periods
    ('hour', 3, 3)
    """
    dtype = column.series.dtype
    if dtype not in (pl.Date, pl.Datetime) or len(column.values) < 3:
        return None
    seconds = column.values * 86_400 if dtype == pl.Date else column.values / _PER_SECOND[dtype.time_unit]  # type: ignore[attr-defined]
    steps = np.diff(seconds)
    sizes, counts = np.unique(steps, return_counts=True)
    size = float(sizes[counts.argmax()])
    regular = counts.max() >= _REGULAR * len(steps)
    if regular:
        name = _NAMES.get(int(size), f"{size:g} s") if size.is_integer() else f"{size:g} s"
        missing = np.maximum(np.rint(steps / size).astype(np.int64) - 1, 0)
        periods = len(seconds) + int(missing.sum())
    else:
        rows = int(column.counts.sum())
        span = float(seconds[-1] - seconds[0])
        name, size = next(((name, unit) for name, unit in _UNITS if rows * unit >= _FULL * span), _UNITS[-1])
        place = np.floor(seconds / size).astype(np.int64)
        missing = np.maximum(np.diff(place) - 1, 0)
        periods = int(place[-1] - place[0]) + 1
    gaps = tuple(_gap(column, int(index), missing) for index in _unusual(missing))
    profile = column.profile
    return TimeCoverage(profile.name, profile.minimum, profile.maximum, name, periods, int(missing.sum()), gaps)


def _unusual(missing: Numbers) -> Numbers:
    """Where stretches without rows begin that are longer than the rhythm of such stretches explains."""
    holes = missing[missing > 0]
    usual = _LONGER * float(np.quantile(holes, 0.9)) if len(holes) >= _RHYTHM else 0.0
    order = np.argsort(-missing, kind="stable")[:_MOST_GAPS]
    out: Numbers = order[missing[order] > usual]
    return out


def _gap(column: MeasuredColumn, index: int, missing: Numbers) -> TimeGap:
    ends: list[Any] = [plain(value) for value in pl.Series(column.values[[index, index + 1]]).cast(column.series.dtype)]
    return TimeGap(ends[0], ends[1], int(missing[index]))


def find_in_coverage(coverage: TimeCoverage) -> Iterator[Finding]:
    """Stretches of time without rows."""
    if not coverage.gaps:
        return
    worst, others = coverage.gaps[0], len(coverage.gaps) - 1
    lost = sum(gap.periods for gap in coverage.gaps)
    examples = tuple(f"{gap.after} … {gap.before}" for gap in coverage.gaps[:5])
    yield Finding(
        "time_gap", coverage.column, "warning", 0, lost / coverage.periods, examples,
        f"{coverage.column} has no row for {worst.periods:,} {coverage.unit}s after {worst.after}"
        + (f", and {others:,} more such gaps." if others else "."),
        "Ask the source for the missing stretch; windows over it count too little.",
    )  # fmt: skip
