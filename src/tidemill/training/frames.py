"""From a table to what an estimator takes: typed inputs, columns for the encoding, the target as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import DataError
from tidemill.core.schema import Column, TableSchema
from tidemill.core.tasks import Task
from tidemill.data.types import physical_type, require_columns
from tidemill.training.encoding import MAX_CATEGORIES, Values, kind_of, rank_categories

_TEXT = (pl.String, pl.Categorical, pl.Enum)


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


def input_schema(frame: pl.DataFrame, features: Sequence[str]) -> TableSchema:
    """The inputs of a model as seen in these rows: types, categories, ranges, whether values were missing.

    >>> schema = input_schema(pl.DataFrame({"carrier": ["UA", "B6", "UA"], "distance": [719, 502, None]}), ["distance"])
    >>> schema["distance"].minimum, schema["distance"].nullable
    (502.0, True)
    """
    require_columns(frame, features, purpose="the training")
    return TableSchema(tuple(_input_column(frame[name]) for name in features))


def _input_column(series: pl.Series) -> Column:
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


def infer_task(target: pl.Series) -> Task:
    """The kind of answer that a target calls for: flags and 0/1 are binary, text is a class, numbers are quantities.

    >>> infer_task(pl.Series("late", [True, False])), infer_task(pl.Series("delay", [1.5, 20.0]))
    ('binary', 'regression')
    """
    if target.dtype == pl.Boolean:
        return "binary"
    if target.dtype in _TEXT:
        return "multiclass"
    if target.dtype.is_numeric() and target.drop_nulls().cast(pl.Float64).is_in([0.0, 1.0]).all():
        return "binary"
    if target.dtype.is_numeric():
        return "regression"
    raise DataError(
        f"target {target.name!r} is {physical_type(target.dtype)}, which no model predicts",
        hint="Predict a flag, a number or a class given as text.",
    )


def class_names(target: pl.Series, task: Task) -> tuple[str, ...]:
    """The classes in the order of the probability columns, as text; empty for regression."""
    if task == "regression":
        return ()
    if task == "binary":
        return ("false", "true") if target.dtype == pl.Boolean else ("0", "1")
    distinct = target.drop_nulls().unique().to_list()
    return tuple(
        str(value) for value in (sorted(distinct) if target.dtype.is_numeric() else sorted(map(str, distinct)))
    )


def target_values(
    frame: pl.DataFrame, target: str, task: Task, classes: Sequence[str], part: str
) -> NDArray[np.float64]:
    """The target as numbers: 0 and 1, class codes, or quantities; shape (rows,).

    Raises
    ------
    DataError
        When labels are missing, are text for a binary or regression model, or are of no known class. It names the
        part of the split (`part`) and an offending label.
    """
    require_columns(frame, [target], purpose=f"the {part} part")
    series = frame[target]
    missing = series.null_count() + (int(series.is_nan().sum()) if series.dtype.is_float() else 0)
    if missing:
        raise DataError(
            f"{missing} of {len(series)} {part} rows have no label in {target!r}",
            hint="Leave out the rows without a label; their label is unknown, not negative.",
        )
    if task == "multiclass":
        return _class_codes(series, classes, part)
    if series.dtype in _TEXT or not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise DataError(
            f"the labels in {target!r} are {physical_type(series.dtype)}, and a {task} model learns from numbers",
            value=series.unique(maintain_order=True).to_list()[:5],
            hint=f"Name the positive class: pl.col({target!r}) == VALUE; or pass task='multiclass'.",
        )
    values = series.cast(pl.Float64).to_numpy()
    if task == "binary" and not np.isin(values, (0.0, 1.0)).all():
        raise DataError(
            f"the labels in {target!r} are not 0 and 1",
            value=sorted(set(values.tolist()))[:5],
            hint="Name the positive class, or pass task='regression' or task='multiclass'.",
        )
    if not np.isfinite(values).all():
        raise DataError(f"the labels in {target!r} are not finite", hint="Leave out or repair these rows.")
    return values


def _class_codes(series: pl.Series, classes: Sequence[str], part: str) -> NDArray[np.float64]:
    codes = {name: float(code) for code, name in enumerate(classes)}
    values = [codes.get(str(value)) for value in series.to_list()]
    if None in values:
        raise DataError(
            f"a class of {series.name!r} is in the {part} rows and not in the training rows",
            value=series[values.index(None)],
            hint="Give training rows of every class, or leave the class out.",
        )
    return np.array(values, dtype=np.float64)
