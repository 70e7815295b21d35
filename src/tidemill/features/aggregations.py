"""Windowed aggregations as records: what is computed, of which column, over how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tidemill.core.errors import UsageError
from tidemill.data.moments import duration

AggregationKind = Literal["count", "sum", "mean", "share", "min", "max", "last"]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One number from the events of an entity that are known at a moment.

    Missing values (null and NaN) are left out. Over no values a count is 0, a sum is 0, and everything else is missing.

    Parameters
    ----------
    kind
        ``count`` (of events, or of values of `column`), ``sum``, ``mean``, ``share`` (of a flag that is true),
        ``min``, ``max``, or ``last`` (the value of the latest event).
    column
        The column of the events; None to count events.
    over
        How long an event counts after it happened (``"7d"``); None: for ever, or the `ttl` of the join.
    """

    kind: AggregationKind
    column: str | None = None
    over: str | None = None

    def __post_init__(self) -> None:
        if self.over is not None and not duration(self.over):
            raise UsageError("a window must be longer than nothing", value=self.over, hint='Write over="7d".')


def count(column: str | None = None, *, over: str | None = None) -> Aggregation:
    """How many events, or how many of them have a value in `column`."""
    return Aggregation("count", column, over)


def total(column: str, *, over: str | None = None) -> Aggregation:
    """The sum of a column; 0 over no events."""
    return Aggregation("sum", column, over)


def mean(column: str, *, over: str | None = None) -> Aggregation:
    """The mean of a column; a flag counts as 0 and 1."""
    return Aggregation("mean", column, over)


def share(column: str, *, over: str | None = None) -> Aggregation:
    """The share of events whose flag `column` is true."""
    return Aggregation("share", column, over)


def minimum(column: str, *, over: str | None = None) -> Aggregation:
    """The smallest value of a column."""
    return Aggregation("min", column, over)


def maximum(column: str, *, over: str | None = None) -> Aggregation:
    """The largest value of a column."""
    return Aggregation("max", column, over)


def last(column: str, *, over: str | None = None) -> Aggregation:
    """The value of the latest event that has one; of events at the same time the one known last, then the later row."""
    return Aggregation("last", column, over)
