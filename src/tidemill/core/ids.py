"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import os
import random
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_HALF = (1 << 40) - 1
_lock = threading.Lock()
_millisecond, _begun, _low = -1, "", 0
#: Random bytes that are not used up yet: the system is asked for those of many identifiers at once.
_drawn, _used = b"", 0
_BYTES, _AT_ONCE = 10, 1280


def new_id() -> str:
    """A 26-character identifier: 48 bits of milliseconds, 80 random bits (the ULID layout), in lower case.

    Identifiers made by one process increase strictly, also within a millisecond; a forked child cannot repeat its
    parent's, since the random part is drawn anew in each millisecond and in each process.

    >>> new_id() < new_id()
    True
    """
    global _low
    now = time.time_ns() // 1_000_000
    with _lock:
        if now > _millisecond:
            _begin(now)
        else:  # or the clock was set back
            _low += 1 + random.getrandbits(24)
            if _low > _HALF:
                _begin(_millisecond + 1)
        return _begun + _eight(_low)


def _begin(millisecond: int) -> None:
    """Draw what the identifiers of a millisecond have in common, and where their last 40 bits begin."""
    global _millisecond, _begun, _low, _drawn, _used
    if _used == len(_drawn):
        _drawn, _used = os.urandom(_AT_ONCE), 0
    drawn = int.from_bytes(_drawn[_used : _used + _BYTES])
    _used += _BYTES
    _millisecond, _low = millisecond, drawn & _HALF
    _begun = f"{_PAIRS[millisecond >> 40]}{_eight(millisecond & _HALF)}{_eight(drawn >> 40)}"


def _eight(number: int) -> str:
    """40 bits as eight characters."""
    return f"{_PAIRS[number >> 30]}{_PAIRS[number >> 20 & 1023]}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"


def _after_fork() -> None:
    global _lock, _millisecond, _drawn, _used
    _lock = threading.Lock()
    _millisecond, _drawn, _used = -1, b"", 0


os.register_at_fork(after_in_child=_after_fork)
