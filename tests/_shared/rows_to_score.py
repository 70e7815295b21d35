"""Rows as a night's scoring meets them: a key, columns that no model takes, and some that cannot be scored."""

from __future__ import annotations

import polars as pl
from sample_models import flights


def to_score(rows: int = 1000, seed: int = 5) -> pl.DataFrame:
    """Flights with a number each; the temperatures of 3 and 501 are infinite."""
    table = flights(seed, rows).drop("late").with_row_index("flight")
    return table.with_columns(
        pl.when(pl.col("flight").is_in([3, 501])).then(float("inf")).otherwise("temp").alias("temp"),
        pl.lit("left out").alias("remark"),
    )
