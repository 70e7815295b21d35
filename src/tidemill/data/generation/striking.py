"""Which rows of a table a disturbance strikes, and how their values are replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.generation.randomness import drawn_rows, uniforms
from tidemill.data.types import physical_type

#: The flag column that a disturbance leaves in its table.
STRUCK = "__struck"


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers of one disturbance."""

    seed: int
    index: int

    def uniforms(self, rows: int, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Numbers between 0 and 1 from the stream `name`."""
        return uniforms(rows, self.seed, "disturb", self.index, name)

    def rows(self, rows: int, count: int, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Different row numbers."""
        return drawn_rows(rows, count, self.seed, "disturb", self.index, name)


def first_row(rows: int, since: float) -> int:
    """The row in which a disturbance begins."""
    if not 0 <= since <= 1:
        raise ConfigError("since is a share of the rows, from 0 to 1", value=since)
    return round(rows * since)


def struck_rows(frame: pl.DataFrame, since: float, share: float, draws: Draws) -> pl.Series:
    """Which rows are struck: about `share` of those from `since` on."""
    if not 0 <= share <= 1:
        raise ConfigError("share is a share of the rows, from 0 to 1", value=share)
    flags = np.zeros(frame.height, dtype=np.bool_)
    start = first_row(frame.height, since)
    flags[start:] = draws.uniforms(frame.height - start, "rows") < share
    return pl.Series(STRUCK, flags)


def replaced(frame: pl.DataFrame, column: str, struck: pl.Series, values: pl.Expr) -> pl.DataFrame:
    """Replace values where struck; a row whose value stays the same, or is missing, is not struck."""
    dtype = frame.schema[column]
    new = values.round().cast(dtype) if dtype.is_integer() else values.cast(dtype)
    old = frame[column]
    table = frame.with_columns(
        pl.when(pl.lit(struck) & pl.col(column).is_not_null()).then(new).otherwise(column).alias(column)
    )
    return table.with_columns(old.ne_missing(table[column]).alias(STRUCK))


def number(frame: pl.DataFrame, column: str, kind: str) -> pl.Expr:
    """The column as fractional numbers; an error that names the disturbance if it holds something else."""
    if not frame.schema[column].is_numeric():
        raise ConfigError(f"{kind} needs a column of numbers; {column!r} is {physical_type(frame.schema[column])}")
    return pl.col(column).cast(pl.Float64)
