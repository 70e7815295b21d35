"""Rows to verify and time a package on: from a table, or drawn from the signature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import SchemaError, UsageError
from tidemill.core.model import Signature
from tidemill.core.schema import Column

#: Columns of values by name.
Columns = dict[str, list[Any]]

_ROWS = 2_000


def sample_rows(signature: Signature, sample: pl.DataFrame | None) -> Columns:
    """Columns of values for the inputs: from the sample, evenly spaced, or drawn from the signature."""
    names = signature.inputs.names
    if sample is None:
        return _drawn(signature)
    if absent := [name for name in names if name not in sample.columns]:
        raise SchemaError("the sample lacks inputs of the model", value=absent, hint="Give rows with all inputs.")
    if sample.is_empty():
        raise UsageError("the sample has no rows", hint="Give some, or none at all to have them drawn.")
    every = max(1, sample.height // _ROWS)
    frame = sample.select(names).gather_every(every).head(_ROWS)
    return {name: frame[name].to_list() for name in names}


def _drawn(signature: Signature, rows: int = 500) -> Columns:
    generator = np.random.default_rng(0)
    out: Columns = {}
    for column in signature.inputs:
        values = _draw(column, generator, rows)
        if column.nullable:
            values = [
                None if hole else value for value, hole in zip(values, generator.random(rows) < 0.05, strict=True)
            ]
        out[column.name] = values
    return out


def _draw(column: Column, generator: np.random.Generator, rows: int) -> list[Any]:
    if column.categories:
        return [str(value) for value in generator.choice(list(column.categories), rows)]
    if column.type == "bool":
        return [bool(value) for value in generator.integers(0, 2, rows)]
    if column.type == "date" or column.type.startswith("timestamp["):
        return [
            datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=int(m)) for m in generator.integers(0, 10**6, rows)
        ]
    if column.is_numeric or column.type.startswith("duration["):
        low = 0.0 if column.minimum is None else column.minimum
        high = low + 1.0 if column.maximum is None else column.maximum
        drawn = generator.uniform(low, high, rows).tolist()
        return [round(value) for value in drawn] if "int" in column.type else list(drawn)
    return ["example"] * rows


def example_row(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """A typical value of each column, as JSON has it: a row that is accepted, and nobody's row in particular."""
    return {name: _jsonable(_typical(values)) for name, values in columns.items()}


def _typical(values: Sequence[Any]) -> Any:
    """The median of numbers and moments, the most frequent of anything else."""
    known = [value for value in values if value is not None and value == value]
    if not known:
        return None
    if isinstance(known[0], bool | str):
        counts = Counter(known)
        return max(sorted(counts), key=counts.__getitem__)
    return sorted(known)[len(known) // 2]


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
