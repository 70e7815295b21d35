"""Moments as numbers: microseconds since the epoch, and the parts of them that a model can learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.clock import to_us
from tidemill.core.errors import SchemaError

#: The parts that a moment is taken apart into; the moment itself only ever grows, so a model cannot learn from it.
TIME_PARTS = ("hour", "weekday", "month")
#: The same on a circle, where 23 o'clock is beside 0, for models that add and multiply.
CYCLES = tuple(f"{part}_{function}" for part in TIME_PARTS for function in ("sin", "cos"))
_PERIODS = {"hour": 24, "weekday": 7, "month": 12}

_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or NaT: the latter two are the only ones that differ from themselves."""
    return value is None or value != value


def moments_of(name: str, values: NDArray[Any] | Sequence[Any]) -> NDArray[np.float64]:
    """Microseconds since the epoch; NaN where missing."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        in_us = values.astype("datetime64[us]")
        return np.where(np.isnat(in_us), np.nan, in_us.astype(np.int64).astype(np.float64))
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and not np.isinf(values).any():
        return values.astype(np.float64)
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return np.fromiter((moment_of(name, value) for value in items), dtype=np.float64, count=len(items))


def moment_of(name: str, value: Any) -> float:
    """Microseconds since the epoch of a datetime, a date, ISO 8601 text or such a number; without a zone it is UTC."""
    if is_missing(value):
        return float("nan")
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _not_a_moment(name, value) from None
    if isinstance(value, datetime):
        return float(to_us(value if value.tzinfo else value.replace(tzinfo=UTC)))
    if isinstance(value, date):
        return float(to_us(datetime(value.year, value.month, value.day, tzinfo=UTC)))
    raise _not_a_moment(name, value)


def _not_a_moment(name: str, value: Any) -> SchemaError:
    return SchemaError(
        f"column {name!r} takes moments",
        value=value,
        hint="Send ISO 8601 text such as 2013-08-01T12:00:00Z, or microseconds since 1970 in UTC.",
    )


def time_part(moments: NDArray[np.float64], part: str) -> NDArray[np.float64]:
    """Hour of the day with its fraction, day of the week (Monday is 0) or month (from 1); UTC, NaN where missing.

    Those of `CYCLES` are the sine or cosine of the part's angle.
    """
    if part in CYCLES:
        base, _, function = part.partition("_")
        angle = time_part(moments, base) * (2 * np.pi / _PERIODS[base])
        return np.asarray(np.sin(angle) if function == "sin" else np.cos(angle))
    if part == "hour":
        return np.asarray(np.mod(moments, _DAY_US) / _HOUR_US)
    days = np.floor_divide(moments, _DAY_US)
    if part == "weekday":
        return np.asarray(np.mod(days + 3, 7))  # 1970-01-01 was a Thursday; Monday is 0
    known = ~np.isnan(days)
    months = np.full(len(days), np.nan)
    since_epoch = days[known].astype(np.int64).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    months[known] = since_epoch % 12 + 1
    return months


def part_of(moment: float, part: str) -> float:
    """`time_part` of one moment, without building arrays."""
    if moment != moment:
        return moment
    if part in CYCLES:  # by the same function as of many, which rounds alike
        return float(time_part(np.array([moment]), part)[0])
    if part == "hour":
        return moment % _DAY_US / _HOUR_US
    if part == "weekday":
        return (moment // _DAY_US + 3) % 7
    try:
        return float((_EPOCH + timedelta(microseconds=int(moment))).month)
    except OverflowError:  # outside of the years 1 to 9999
        return float(time_part(np.array([moment]), part)[0])
