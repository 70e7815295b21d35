"""The stretch of rows that differs most from the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

BLOCKS = 64


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows from `start` up to `stop`, of `rows`; the smaller side is what is different."""

    start: int
    stop: int
    rows: int

    @property
    def inside(self) -> Flags:
        """Which rows are in it."""
        places = np.arange(self.rows)
        return (places >= self.start) & (places < self.stop)

    @property
    def share(self) -> float:
        """Its share of all rows."""
        return (self.stop - self.start) / self.rows

    @property
    def where(self) -> str:
        """In words: how long it is and where it begins."""
        return f"about {self.share:.0%} of rows, from {self.start / self.rows:.0%} of the way"


def best_stretch(signal: Floats, blocks: int = BLOCKS) -> Stretch:
    """The stretch whose mean differs most from the others', weighed by its length; exact to a row at both ends.

    The greatest sum of squares between a stretch of whole blocks and the rest, each end then moved to the row within a
    block of it at which the sum of deviations turns.

    >>> best_stretch(np.array([0.0] * 300 + [1.0] * 50 + [0.0] * 150))
    Stretch(start=300, stop=350, rows=500)
    """
    rows = len(signal)
    count = min(blocks, rows)
    edges = np.linspace(0, rows, count + 1).astype(np.int64)
    sums = np.concatenate([[0.0], np.cumsum(signal - signal.mean())])
    start, stop = np.triu_indices(count + 1, k=1)
    length = (edges[stop] - edges[start]) / rows
    gain = np.where(
        length < 1, (sums[edges[stop]] - sums[edges[start]]) ** 2 / np.maximum(length * (1 - length), 1e-9), 0.0
    )
    best = int(gain.argmax())
    low, high = int(edges[start[best]]), int(edges[stop[best]])
    step = -(-rows // count)
    sign = 1.0 if sums[high] >= sums[low] else -1.0
    low = _turn(-sign * sums, low, step) if low else 0
    high = _turn(sign * sums, high, step) if high < rows else rows
    if low >= high:
        return Stretch(0, rows, rows)
    # Of a table cut in two, either side is the stretch: the smaller one is meant.
    if high - low > rows / 2 and (low == 0) != (high == rows):
        low, high = (high, rows) if low == 0 else (0, low)
    return Stretch(low, high, rows)


def _turn(sums: Floats, place: int, step: int) -> int:
    first = max(0, place - step)
    return first + int(sums[first : place + step + 1].argmax())


def odds(seen: float, rows: float, share: float) -> float:
    """The logarithm of how rarely chance gives `rows` rows the share `seen` of something that has `share` elsewhere.

    >>> round(odds(0.5, 10, 0.5), 1), round(odds(1.0, 10, 0.5), 1)
    (0.0, 6.9)
    """
    if rows <= 0 or seen <= share:
        return 0.0
    share = min(max(share, 1e-9), 1 - 1e-9)
    rest = (1 - seen) * math.log((1 - seen) / (1 - share)) if seen < 1 else 0.0
    return rows * (seen * math.log(seen / share) + rest)


def ranks(values: Floats) -> Floats:
    """The rank of each value, so that extremes do not weigh more than others."""
    out: Floats = pl.Series(values).rank("average").cast(pl.Float64).to_numpy()
    return out
