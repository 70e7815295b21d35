"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import os
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_RANDOM_BITS = 80
_SHIFTS = tuple(range(120, -1, -10))
_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A 26-character identifier: 48 bits of milliseconds, 80 random bits (the ULID layout), in lower case.

    Identifiers made by one process increase strictly, also within a millisecond; a forked child cannot repeat its
    parent's, since the random part is drawn anew in each millisecond and in each process.

    >>> new_id() < new_id()
    True
    """
    global _last
    candidate = (time.time_ns() // 1_000_000) << _RANDOM_BITS | int.from_bytes(os.urandom(_RANDOM_BITS // 8))
    with _lock:
        if candidate <= _last or candidate >> _RANDOM_BITS == _last >> _RANDOM_BITS:
            candidate = max(candidate, _last + 1 + (candidate & 0xFFFFFFFF))
        _last = candidate
    return _encode(candidate)


def _encode(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def _after_fork() -> None:
    global _last, _lock
    _lock = threading.Lock()
    _last = 0


os.register_at_fork(after_in_child=_after_fork)
