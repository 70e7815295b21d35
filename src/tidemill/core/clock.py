"""The only place that asks what time it is.

*Domain time* (`now`) is when things happen in the life of a model; a `VirtualClock` can replay it. *Lease time*
(`lease_now`) decides whether a process is still alive and is always real, whatever clock is in use.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tidemill.core.errors import UsageError


class Clock(Protocol):
    """Anything that can say what time it is."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch, as the machine has it."""
        return time.time_ns() // 1000


class VirtualClock:
    """A clock that stands still until it is moved, and never goes back.

    >>> clock = VirtualClock(datetime(2013, 1, 1, tzinfo=UTC))
    >>> with use_clock(clock):
    ...     clock.advance(timedelta(hours=2))
    ...     print(now())
    2013-01-01 02:00:00+00:00
    """

    def __init__(self, start: datetime) -> None:
        self._now_us = to_us(start)

    def now_us(self) -> int:
        """Microseconds since the epoch, as set."""
        return self._now_us

    def advance(self, by: timedelta) -> None:
        """Move forward by a duration of zero or more."""
        if by < timedelta(0):
            raise UsageError("a virtual clock cannot go back", value=by, hint="Advance it by zero or more.")
        self._now_us += by // timedelta(microseconds=1)

    def set(self, moment: datetime) -> None:
        """Move forward to a moment that is not in this clock's past."""
        self.advance(from_us(to_us(moment)) - from_us(self._now_us))


_clock: ContextVar[Clock | None] = ContextVar("tidemill_clock", default=None)
_system = SystemClock()


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Use `clock` for domain time in this context."""
    token = _clock.set(clock)
    try:
        yield clock
    finally:
        _clock.reset(token)


def now_us() -> int:
    """Domain time in microseconds since the epoch (UTC)."""
    return (_clock.get() or _system).now_us()


def now() -> datetime:
    """Domain time as an aware UTC datetime."""
    return from_us(now_us())


def lease_now() -> float:
    """Real time in seconds since the epoch, for leases and heartbeats only."""
    return time.time()


def elapsed() -> float:
    """Seconds of a monotonic clock, for measuring durations."""
    return time.perf_counter()


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    if moment.tzinfo is None:
        raise UsageError(
            "a datetime without a time zone is ambiguous", value=moment, hint="Give it one, such as datetime.UTC."
        )
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """The aware UTC datetime of microseconds since the epoch."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
