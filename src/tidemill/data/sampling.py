"""Rows that stand for a table, spread evenly over it and in its order."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from tidemill.data.generation.randomness import uniforms

#: How many rows the costlier statistics look at.
SAMPLE = 50_000


def sampled(frame: pl.DataFrame, rows: int = SAMPLE) -> pl.DataFrame:
    """At most `rows` rows in order: one from each of as many equal stretches, at random within it.

    >>> sampled(pl.DataFrame({"row": range(100)}), 4)["row"].to_list()
    [12, 45, 70, 90]
    """
    if frame.height <= rows:
        return frame
    places = (np.arange(rows) + uniforms(rows, "sampled")) * (frame.height / rows)
    return frame[places.astype(np.int64)]


class RowSample:
    """At most so many rows of a table whose length is not known beforehand, each as likely as any other, in order.

    >>> sample = RowSample(3)
    >>> for start in (0, 50):
    ...     sample.add(pl.DataFrame({"row": range(start, start + 50)}))
    >>> sample.rows().height, sample.rows()["row"].is_sorted()
    (3, True)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = 1.0
        self._kept: list[tuple[pl.DataFrame, np.ndarray[Any, np.dtype[np.float64]]]] = []
        self._batches = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Take in the next rows."""
        # Every row draws a number; those below a share that shrinks as rows come in are kept.
        draws = uniforms(batch.height, "row sample", self._batches)
        self._batches += 1
        self._keep([(batch, draws)])
        while sum(frame.height for frame, _ in self._kept) > 2 * self._most:
            self._share /= 2
            kept, self._kept = self._kept, []
            self._keep(kept)

    def _keep(self, parts: list[tuple[pl.DataFrame, np.ndarray[Any, np.dtype[np.float64]]]]) -> None:
        for frame, draws in parts:
            chosen = draws < self._share
            self._kept.append((frame.filter(pl.Series(chosen)), draws[chosen]))

    def rows(self) -> pl.DataFrame:
        """The sample."""
        frame = pl.concat([part for part, _ in self._kept])
        draws = np.concatenate([drawn for _, drawn in self._kept])
        if frame.height <= self._most:
            return frame
        return frame[np.sort(np.argsort(draws, kind="stable")[: self._most])]
