"""Columns and values as repairs see them: what is missing, what is a number, what makes a group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Values: TypeAlias = "np.ndarray[Any, Any] | Sequence[Any]"
Columns: TypeAlias = Mapping[str, Values]
Repair: TypeAlias = Mapping[str, Any]


def columns_needed(repair: Repair) -> list[str]:
    """The columns that a repair reads."""
    own = [] if repair["kind"] == "derive" else [repair["column"]]
    return [*own, *repair.get("by", ()), *(term["column"] for term in repair.get("terms", ()))]


def is_missing(value: Any) -> bool:
    """None and NaN are missing."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def listed(values: Values) -> list[Any]:
    """Values as a list of plain ones."""
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def floats(values: Values) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Values as floats; missing ones are NaN."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.astype(np.float64)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def group_keys(columns: Columns, by: Sequence[str]) -> list[str]:
    """For each row, the values of `by` as one key."""
    parts = [[group_key(value) for value in listed(columns[name])] for name in by]
    return ["\x1f".join(key) for key in zip(*parts, strict=True)]


def group_key(value: Any) -> str:
    """A value as a key: the same for 3 and 3.0, which differ only in how they came."""
    if is_missing(value):
        return "\x00"
    return repr(float(value)) if isinstance(value, int | float) else str(value)


def category_of(value: Any) -> str | None:
    """A value as the name of a category, the same for 3 and 3.0 and for true and 1; None if it is missing."""
    if is_missing(value):
        return None
    if isinstance(value, bool | float) and float(value).is_integer():
        return str(int(value))
    return str(value)
