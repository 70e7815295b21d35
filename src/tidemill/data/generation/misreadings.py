"""How readings go wrong: codes for missing values, wrong signs, swapped columns, frozen and rounded numbers, clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.generation import disturbances as kinds
from tidemill.data.generation.randomness import normals
from tidemill.data.generation.striking import STRUCK, Draws, first_row, number, replaced, struck_rows
from tidemill.data.moments import duration
from tidemill.data.types import as_time_literal, physical_type


def _sentinels(frame: pl.DataFrame, it: kinds.Sentinels, draws: Draws) -> pl.DataFrame:
    kind = frame.schema[it.column]
    struck = struck_rows(frame, it.since, it.share, draws)
    if kind.is_temporal():
        return replaced(frame, it.column, struck, as_time_literal(str(it.value), kind, purpose="sentinels"))
    number(frame, it.column, it.kind)
    return replaced(frame, it.column, struck, pl.lit(float(it.value)))


def _sign_flip(frame: pl.DataFrame, it: kinds.SignFlip, draws: Draws) -> pl.DataFrame:
    values = -number(frame, it.column, it.kind)
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), values)


def _rounding(frame: pl.DataFrame, it: kinds.Rounding, draws: Draws) -> pl.DataFrame:
    step = 10.0**-it.decimals
    values = (number(frame, it.column, it.kind) / step).round() * step
    return replaced(frame, it.column, struck_rows(frame, it.since, it.share, draws), values.round(max(0, it.decimals)))


def _stuck(frame: pl.DataFrame, it: kinds.Stuck, draws: Draws) -> pl.DataFrame:  # noqa: ARG001
    start = first_row(frame.height, it.since)
    stop = min(frame.height, start + max(1, round(frame.height * it.share)))
    known = frame[it.column][start:stop].drop_nulls()
    if known.is_empty():
        raise ConfigError("a column cannot be stuck in a stretch without values", value=it)
    rows = np.arange(frame.height)
    struck = pl.Series(STRUCK, (rows >= start) & (rows < stop))
    table = frame.with_columns(
        pl.when(pl.lit(struck)).then(pl.lit(known[0], dtype=known.dtype)).otherwise(it.column).alias(it.column)
    )
    return table.with_columns(frame[it.column].ne_missing(table[it.column]).alias(STRUCK))


def _swapped(frame: pl.DataFrame, it: kinds.Swapped, draws: Draws) -> pl.DataFrame:
    if len(it.columns) != 2:
        raise ConfigError("two columns are swapped, no more and no fewer", value=it.columns)
    one, two = it.columns
    if frame.schema[one] != frame.schema[two]:
        raise ConfigError(
            "columns of different types cannot be swapped",
            value=[f"{name}: {physical_type(frame.schema[name])}" for name in it.columns],
        )
    struck = pl.lit(struck_rows(frame, it.since, it.share, draws))
    table = frame.with_columns(
        pl.when(struck).then(two).otherwise(one).alias(one), pl.when(struck).then(one).otherwise(two).alias(two)
    )
    return table.with_columns(frame[one].ne_missing(table[one]).alias(STRUCK))


def _zone_shift(frame: pl.DataFrame, it: kinds.ZoneShift, draws: Draws) -> pl.DataFrame:
    kind = frame.schema[it.column]
    if not isinstance(kind, pl.Datetime):
        raise ConfigError(f"a shifted clock needs a column of times; {it.column!r} is {physical_type(kind)}")
    by = duration(it.by.lstrip("-"))
    struck = struck_rows(frame, it.since, it.share, draws)
    return replaced(frame, it.column, struck, pl.col(it.column) + (-by if it.by.startswith("-") else by))


def _leak(frame: pl.DataFrame, it: kinds.Leak, draws: Draws) -> pl.DataFrame:
    if it.into in frame.columns:
        raise ConfigError("a leak needs a new column", value=it.into, hint="Give another name as into=….")
    target = frame[it.column]
    codes = target.cast(pl.Float64) if target.dtype.is_numeric() else target.rank("dense").cast(pl.Float64)
    known = codes.drop_nulls().to_numpy()
    spread = float(known.std()) if len(known) else 0.0
    noise = it.noise * spread * normals(frame.height, draws.seed, "disturb", draws.index, "leak")
    return frame.with_columns((codes + pl.Series(noise)).alias(it.into), target.is_not_null().alias(STRUCK))


MISREADINGS: dict[str, Callable[[pl.DataFrame, Any, Draws], pl.DataFrame]] = {
    "sentinels": _sentinels,
    "sign_flip": _sign_flip,
    "rounding": _rounding,
    "stuck": _stuck,
    "swapped": _swapped,
    "zone_shift": _zone_shift,
    "leak": _leak,
}
