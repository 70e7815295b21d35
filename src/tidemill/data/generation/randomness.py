"""Random numbers that are the same on every machine: one stream of bits per name, and plain formulas on it."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Indices: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def uniforms(rows: int, *stream: object) -> Floats:
    """Numbers between 0 and 1, neither included; a stream is named, so that others may come and go beside it.

    >>> uniforms(2, 7, "flights", "miles").tolist() == uniforms(3, 7, "flights", "miles").tolist()[:2]
    True
    """
    name = "\x1f".join(map(str, stream)).encode()
    seed = int.from_bytes(hashlib.sha256(name).digest()[:16], "little")
    bits = np.random.PCG64(seed).random_raw(rows)
    return ((np.asarray(bits, dtype=np.uint64) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normals(rows: int, *stream: object) -> Floats:
    """Standard normal numbers, by the formula of Box and Muller.

    >>> z = normals(10_000, 0, "z")
    >>> bool(abs(z.mean()) < 0.05), bool(abs(z.std() - 1) < 0.05)
    (True, True)
    """
    pairs = uniforms(2 * rows, *stream).reshape(rows, 2)
    out: Floats = np.sqrt(-2.0 * np.log(pairs[:, 0])) * np.cos(2.0 * np.pi * pairs[:, 1])
    return out


def normal_cdf(z: Floats) -> Floats:
    """The share of a standard normal population below each value, to about 14 digits.

    Source: J. F. Hart et al., Computer Approximations (1968), in the form of G. West, Better Approximations to
    Cumulative Normal Functions (2005).

    >>> normal_cdf(np.array([0.0, 1.96])).round(4).tolist()
    [0.5, 0.975]
    """
    size = np.minimum(np.abs(z), 37.0)
    above = np.polyval(_NUMERATOR, size) / np.polyval(_DENOMINATOR, size)
    far = size + 1 / (size + 2 / (size + 3 / (size + 4 / (size + 0.65))))
    tail = np.exp(-size * size / 2) * np.where(size < 7.07106781186547, above, 1 / (far * 2.506628274631))
    out: Floats = np.where(z > 0, 1 - tail, tail)
    return out


_NUMERATOR = (
    3.52624965998911e-02, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871, 221.213596169931,
    220.206867912376,
)  # fmt: skip
_DENOMINATOR = (
    8.83883476483184e-02, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674, 637.333633378831,
    793.826512519948, 440.413735824752,
)  # fmt: skip


def drawn_rows(rows: int, count: int, *stream: object) -> Indices:
    """`count` different row numbers below `rows`, in order.

    >>> len(set(drawn_rows(10, 4, 0, "rows").tolist()))
    4
    """
    chosen = np.argsort(uniforms(rows, *stream), kind="stable")[: max(0, min(count, rows))]
    return np.sort(chosen).astype(np.int64)
