"""Moments and durations in writing: ``"7d"``, ``"sched_dep - 2h"``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from tidemill.core.errors import UsageError

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:w|d|h|m|s))+")
_MOMENT = re.compile(r"\s*(?P<column>.+?)\s*(?:(?P<sign>[+-])\s*(?P<duration>(?:\d+(?:w|d|h|m|s))+))?\s*")

#: A moment that is before every other: what is known from the start.
ALWAYS = "always"


def duration(text: str) -> timedelta:
    """The length of time that a text such as ``"90m"``, ``"7d"`` or ``"1d12h"`` means.

    Units are ``w``, ``d`` (24 hours), ``h``, ``m`` (minutes) and ``s``.

    Raises
    ------
    UsageError
        If the text is not a duration.

    Examples
    --------
    >>> duration("1d12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise UsageError(
            "not a duration", value=text, hint='Write numbers with units w, d, h, m or s, such as "7d" or "1h30m".'
        )
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([wdhms])", text)))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in each row: a time column, shifted by a duration that may be negative; `column` None means always."""

    column: str | None
    shift: timedelta = timedelta(0)

    def expression(self) -> pl.Expr:
        """The time as a Polars expression."""
        if self.column is None:
            raise UsageError("'always' has no time column", hint="Give a time column.")
        return pl.col(self.column) + self.shift if self.shift else pl.col(self.column)


def moment(text: str) -> Moment:
    """Read ``"column"``, ``"column - 2h"``, ``"column + 30m"`` or ``"always"``.

    >>> moment("sched_dep - 2h")
    Moment(column='sched_dep', shift=datetime.timedelta(days=-1, seconds=79200))
    >>> moment("always").column is None
    True
    """
    match = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UsageError("not a moment", value=text, hint='Write a time column, as it is or shifted: "sched_dep - 2h".')
    if match["column"] == ALWAYS:
        return Moment(None)
    if match["duration"] is None:
        return Moment(match["column"])
    shift = duration(match["duration"])
    return Moment(match["column"], -shift if match["sign"] == "-" else shift)
