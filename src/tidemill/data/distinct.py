"""How many distinct values a stream of them holds, within a per cent, in 16 KiB."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

Hashes: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]

_BITS = 14
_REGISTERS = 1 << _BITS
_REST = 64 - _BITS


class DistinctSketch:
    """A HyperLogLog of 16,384 registers: its standard error is 0.8 %.

    Source: O. Ertl, New cardinality estimation algorithms for HyperLogLog sketches, arXiv:1702.01284 (2017).

    >>> sketch = DistinctSketch()
    >>> sketch.add(np.random.default_rng(0).integers(0, 2**63, 100_000).astype(np.uint64))
    >>> abs(sketch.estimate() / 100_000 - 1) < 0.03
    True
    """

    __slots__ = ("_registers",)

    def __init__(self) -> None:
        self._registers = np.zeros(_REGISTERS, np.int8)

    def add(self, hashes: Hashes) -> None:
        """Take in hashes of 64 well-mixed bits; the same hash twice counts once."""
        mixed = _mixed(hashes)
        rest = mixed & np.uint64((1 << _REST) - 1)
        # The exponent of a float tells where the first bit is; of 50 bits it is exact.
        rank = (_REST + 1 - np.frexp(rest.astype(np.float64))[1]).astype(np.int8)
        np.maximum.at(self._registers, (mixed >> np.uint64(_REST)).astype(np.int64), rank)

    def estimate(self) -> int:
        """How many different hashes there were."""
        counts = np.bincount(self._registers, minlength=_REST + 2).astype(float)
        z = _REGISTERS * _tau(1 - counts[_REST + 1] / _REGISTERS)
        for count in counts[_REST:0:-1]:
            z = 0.5 * (z + count)
        z += _REGISTERS * _sigma(counts[0] / _REGISTERS)
        return 0 if math.isinf(z) else round(_REGISTERS**2 / (2 * math.log(2) * z))


def _mixed(hashes: Hashes) -> Hashes:
    """Hashes whose high bits depend on all bits (the finaliser of MurmurHash3)."""
    out: Hashes = hashes ^ (hashes >> np.uint64(33))
    out *= np.uint64(0xFF51AFD7ED558CCD)
    out ^= out >> np.uint64(33)
    out *= np.uint64(0xC4CEB9FE1A85EC53)
    out ^= out >> np.uint64(33)
    return out


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before, z, y = z, z + x * y, y * 2
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        y *= 0.5
        before, z = z, z - (1 - x) ** 2 * y
    return z / 3
