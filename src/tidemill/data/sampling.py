"""Rows that stand for a table, spread evenly over it and in its order."""

from __future__ import annotations

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
