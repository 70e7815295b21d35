"""From a table to what an estimator takes: typed inputs, columns for the encoding, the target as numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.schema import Column, TableSchema
from tidemill.data.types import physical_type, require_columns
from tidemill.training.encoding import MAX_CATEGORIES, Values, kind_of, rank_categories


def columns_of(frame: pl.DataFrame, names: Sequence[str]) -> dict[str, Values]:
    """The columns as `encode_columns` takes them: arrays for numbers, flags and times, lists for text.

    >>> columns_of(pl.DataFrame({"a": [1, None], "b": ["x", None]}), ["a", "b"])
    {'a': array([ 1., nan]), 'b': ['x', None]}
    """
    require_columns(frame, names, purpose="the model")
    return {name: _values(frame[name]) for name in names}


def _values(series: pl.Series) -> Values:
    if series.dtype == pl.Boolean or series.dtype.is_decimal() or series.dtype == pl.Null:
        return series.cast(pl.Float64).to_numpy()
    if isinstance(series.dtype, pl.Datetime):
        zoneless = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if series.dtype.time_zone else series
        return zoneless.to_numpy()
    if series.dtype.is_numeric() or series.dtype.is_temporal():
        return series.to_numpy()
    return series.to_list()


def input_schema(frame: pl.DataFrame, features: Sequence[str], texts: Collection[str] = ()) -> TableSchema:
    """The inputs of a model as seen in these rows: types, categories, ranges, whether values were missing.

    The columns in `texts` are free text, which has no categories.

    >>> schema = input_schema(pl.DataFrame({"carrier": ["UA", "B6", "UA"], "distance": [719, 502, None]}), ["distance"])
    >>> schema["distance"].minimum, schema["distance"].nullable
    (502.0, True)
    """
    require_columns(frame, features, purpose="the training")
    return TableSchema(tuple(_input_column(frame[name], name in texts) for name in features))


def _input_column(series: pl.Series, is_text: bool) -> Column:  # noqa: FBT001
    if is_text:
        return Column(series.name, physical_type(series.dtype), "text", nullable=bool(series.null_count()))
    column = Column(series.name, physical_type(series.dtype), nullable=bool(series.null_count()))
    kind = kind_of(column)
    if kind == "category":
        categories = tuple(rank_categories(series.name, series.to_list(), MAX_CATEGORIES))
        return replace(column, semantic="category", categories=categories)
    if kind == "flag":
        return replace(column, semantic="flag")
    if kind == "time":
        return replace(column, semantic="time")
    if kind != "number":
        return column
    known = series.cast(pl.Float64).fill_nan(None).drop_nulls()
    nullable = len(known) < len(series)
    if not len(known):
        return replace(column, semantic="quantity", nullable=True)
    low, high = _as_float(known.min()), _as_float(known.max())
    return replace(column, semantic="quantity", nullable=nullable, minimum=low, maximum=high)


def _as_float(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
