"""Aggregates of the events that are known and recent at given moments: exact, in one sweep over sorted moments.

An event is *active* for a moment t from the time when it is known until it is too old: known <= t < happened + window.
Sort the moments by entity and time; then each event is active for one contiguous range of them, found by binary
search. A sum adds the event's value where its range begins and takes it away where the range ends, and runs once over
the moments. A maximum covers each range with two blocks whose length is a power of two and pushes the blocks down level
by level. Nothing depends on the order of the input, and no moment can see an event that is not known yet.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from tidemill.core.errors import DataError

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_FOREVER = np.iinfo(np.int64).max
_FIXED_POINT_BITS = 61


class Moments:
    """The moments of a table's rows in the order of entity and time.

    Parameters
    ----------
    codes, times
        Entity of each row as a number from 0, and its time; -1 as the entity of a row that has no features.
    """

    def __init__(self, codes: Ints, times: Ints) -> None:
        self.codes = codes
        self._first = int(times.min(initial=_FOREVER))
        span = int(times.max(initial=self._first)) - self._first + 1
        entities = int(codes.max(initial=0)) + 2
        # Entity and time in one number, if they fit; otherwise the rank of the time among all times stands for it.
        self._distinct = None if span < _FOREVER // 2 // entities else np.unique(times)
        self._stride = (span if self._distinct is None else len(self._distinct)) + 1  # the last: after every moment
        keys = self._combined(codes, times)
        self.order = np.argsort(keys, kind="stable")
        self._keys = keys[self.order]

    def __len__(self) -> int:
        return len(self._keys)

    def positions(self, codes: Ints, times: Ints) -> Ints:
        """For each event the first sorted moment of its entity that is at or after a time."""
        return np.searchsorted(self._keys, self._combined(codes, times))

    def _combined(self, codes: Ints, times: Ints) -> Ints:
        """Numbers that order moments and events by entity, then time."""
        if self._distinct is None:
            last = self._first + self._stride - 1
            ranks = np.clip(times, self._first, last) - self._first
        else:
            ranks = np.searchsorted(self._distinct, times)
        return (codes + 1) * self._stride + ranks

    def unsorted(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Values per sorted moment, in the order of the input rows."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


def until(happened: Ints, known: Ints, window: int | None) -> Ints:
    """The time from which an event is too old, never before the time when it is known."""
    if window is None:
        return np.full(len(happened), _FOREVER)
    ends = np.where(happened > _FOREVER - window, _FOREVER, happened + window)
    return np.maximum(ends, known)


def counts(begin: Ints, end: Ints, moments: int) -> Ints:
    """How many events are active for each sorted moment."""
    steps = np.bincount(begin, minlength=moments + 1) - np.bincount(end, minlength=moments + 1)
    return np.cumsum(steps[:moments], dtype=np.int64)


def sums(begin: Ints, end: Ints, values: Floats, moments: int) -> Floats:
    """The sum of the values of the active events for each sorted moment.

    Values are added as integers with as many binary places as fit (whole numbers are exact), so that a value which was
    added and taken away leaves nothing behind, and the order of the events does not matter.
    """
    if not np.isfinite(values).all():
        raise DataError("a column to add up holds infinite values", hint="Replace them before, for example by nulls.")
    total = float(np.abs(values).sum())
    places = _FIXED_POINT_BITS - max(0, int(np.ceil(np.log2(total)))) if total else 0
    places = min(places, 900)
    fixed = np.rint(np.ldexp(values, places)).astype(np.int64)
    steps = np.zeros(moments + 1, dtype=np.int64)
    np.add.at(steps, begin, fixed)
    np.subtract.at(steps, end, fixed)
    return np.ldexp(np.cumsum(steps[:moments]).astype(np.float64), -places)


def largest(begin: Ints, end: Ints, values: np.ndarray[Any, Any], moments: int, nothing: Any) -> np.ndarray[Any, Any]:
    """The largest value among the active events for each sorted moment; `nothing` where there is none."""
    best = np.full(moments, nothing, dtype=values.dtype)
    length = end - begin
    active = length > 0
    begin, end, values, length = begin[active], end[active], values[active], length[active]
    if not len(begin):
        return best
    level = np.frexp(length.astype(np.float64))[1] - 1  # floor of the binary logarithm
    for exponent in range(int(level.max()), -1, -1):
        size = 1 << exponent
        here = level == exponent
        np.maximum.at(best, begin[here], values[here])
        np.maximum.at(best, end[here] - size, values[here])
        if exponent:  # each block of this size stands for two blocks of half the size
            half = size >> 1
            best = np.concatenate([best[:half], np.maximum(best[half:], best[:-half])])
    return best
