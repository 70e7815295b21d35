"""The usual rows of a table, recognised by whole columns: what every check of the validator passes without a word.

As `tidemill.packaging.usual_rows` does for one row: whatever is not known to be in order goes to the row validator, so
there is one meaning and one wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.packaging.value_checks import usual_bounds

#: Whole numbers below this are the same as floats.
_EXACT = float((1 << 53) - 1)
_FLOAT32_MAX = 3.4028234663852886e38
_FALSE = pl.lit(False)  # noqa: FBT003 (a literal of Polars)


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a table's rows.

    Parameters
    ----------
    clean
        Which rows are in order.
    columns
        The typed values by column; those of rows that are not clean mean nothing.
    warnings
        Which rows are answered with a warning, and its words, in the order of the columns.
    """

    clean: NDArray[np.bool_]
    columns: pl.DataFrame
    warnings: tuple[tuple[NDArray[np.bool_], str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Column:
    """The typed values of a column, which of them are in order, and what is to be said of those that are there."""

    values: pl.Expr
    clean: pl.Expr
    warning: str = ""


def check_columns(signature: Signature, frame: pl.DataFrame) -> Checked:
    """Which rows of a table are in order, and their typed values.

    Parameters
    ----------
    signature
        Whose inputs the table has, all of them.
    frame
        The rows, of any types.

    Examples
    --------
    >>> from tidemill.core.schema import TableSchema
    >>> inputs = TableSchema((Column("dest", "string", categories=("IAH",)), Column("distance", "int64", minimum=0)))
    >>> table = pl.DataFrame({"dest": ["IAH", "LAX", "IAH"], "distance": [1.0, 2.0, 2.5]})
    >>> check_columns(Signature(inputs, "regression", "delay"), table).clean.tolist()
    [True, False, False]
    """
    known: list[_Column] = []
    for column in signature.inputs:
        found = _checked(column, pl.col(column.name), frame.schema[column.name])
        if found is None:
            return Checked(np.zeros(frame.height, dtype=bool), frame.clear())
        known.append(found)
    names = signature.inputs.names
    said = [(name, one.warning) for name, one in zip(names, known, strict=True) if one.warning]
    made = frame.select(
        pl.all_horizontal([one.clean.fill_null(_FALSE) for one in known]).alias("clean"),
        pl.struct([one.values.alias(name) for name, one in zip(names, known, strict=True)]).alias("typed"),
        *(pl.col(name).is_not_null().alias(f"said {place}") for place, (name, _) in enumerate(said)),
    )
    warnings = tuple((made[f"said {place}"].to_numpy(), text) for place, (_, text) in enumerate(said))
    return Checked(made["clean"].to_numpy(), made["typed"].struct.unnest(), warnings)


def as_arrays(frame: pl.DataFrame, lists: frozenset[str] = frozenset()) -> dict[str, NDArray[Any] | Sequence[Any]]:
    """Typed columns as `tidemill.packaging.preparation` takes them.

    Parameters
    ----------
    frame
        Typed columns; see `Checked`.
    lists
        Columns that repairs look at: they are given as the rows' own values.
    """
    columns: dict[str, NDArray[Any] | Sequence[Any]] = {}
    for series in frame.get_columns():
        if series.dtype == pl.Float64:
            columns[series.name] = series.fill_null(float("nan")).to_numpy()
        elif series.dtype == pl.Boolean:
            columns[series.name] = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        elif series.dtype == pl.Datetime and series.name not in lists:
            columns[series.name] = series.dt.replace_time_zone(None).to_numpy()
        else:
            columns[series.name] = series.to_list()
    return columns


def _checked(column: Column, values: pl.Expr, kind: pl.DataType) -> _Column | None:
    """None where only the row validator knows."""
    if kind == pl.Null:
        return _missing(column, values)
    if column.categories is not None or column.type.startswith(("categorical", "enum[")):
        return _category(column, values, kind)
    if column.semantic == "category" or column.type == "string":
        return _text(column, values, kind)
    if column.type == "bool":
        return _flag(column, values, kind)
    if column.type == "date" or column.type.startswith("timestamp["):
        return _moment(column, values, kind)
    if column.type.startswith("duration["):
        return _duration(column, values, kind)
    return _number(column, values, kind)


def _missing(column: Column, values: pl.Expr) -> _Column:
    """A column without a value."""
    text = column.categories is not None or column.semantic == "category" or column.type == "string"
    kind = pl.String if text or column.type.startswith(("categorical", "enum[")) else pl.Float64
    if column.type == "date" or column.type.startswith("timestamp["):
        return _Column(values.cast(pl.Datetime("us")), values.is_null() & pl.lit(column.nullable))
    return _Column(values.cast(kind), values.is_null() & pl.lit(column.nullable))


def _number(column: Column, values: pl.Expr, kind: pl.DataType) -> _Column | None:
    bounds = usual_bounds(column)
    if bounds is None or not (kind.is_integer() or kind.is_float()):
        return None
    low, high = bounds
    return _within(column, values, kind, low, high, whole=column.type.startswith(("int", "uint")))


def _within(
    column: Column, values: pl.Expr, kind: pl.DataType, low: float, high: float, *, whole: bool = False
) -> _Column:
    numbers, missing = values.cast(pl.Float64), values.is_null()
    if whole or kind.is_integer():
        low, high = max(low, -_EXACT), min(high, _EXACT)
    clean = numbers.is_between(low, high)
    if kind.is_float():
        missing = missing | values.is_nan().fill_null(_FALSE)
        clean = clean & numbers.is_not_nan()
        clean = clean & (numbers == numbers.floor()) if whole else clean
    return _Column(numbers, _or_missing(column, clean, missing))


def _or_missing(column: Column, clean: pl.Expr, missing: pl.Expr) -> pl.Expr:
    return clean.fill_null(_FALSE) | missing if column.nullable else clean


def _category(column: Column, values: pl.Expr, kind: pl.DataType) -> _Column | None:
    text = _text(column, values, kind)
    if text is None or not column.categories:
        return text
    known = pl.Series(column.categories, dtype=pl.String)
    seen = text.values.is_in(known.implode())
    return _Column(text.values, text.clean & _or_missing(column, seen, text.values.is_null()))


def _text(column: Column, values: pl.Expr, kind: pl.DataType) -> _Column | None:
    missing = values.is_null()
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return _Column(values.cast(pl.String), _or_missing(column, values.is_not_null(), missing))
    if column.type == "string":
        return None  # a number is no text
    if kind == pl.Boolean:
        words: pl.Expr = pl.when(values).then(pl.lit("True")).when(~values).then(pl.lit("False"))
        return _Column(words, _or_missing(column, values.is_not_null(), missing))
    if kind.is_integer():
        return _Column(values.cast(pl.String), _or_missing(column, values.is_not_null(), missing))
    if kind.is_float():
        missing = missing | values.is_nan().fill_null(_FALSE)
        numbers = values.cast(pl.Float64)
        whole = numbers.is_between(-_EXACT, _EXACT) & (numbers == numbers.floor())
        texts: pl.Expr = pl.when(whole).then(numbers.cast(pl.Int64, strict=False).cast(pl.String))
        return _Column(texts, _or_missing(column, whole, missing))
    return None


def _flag(column: Column, values: pl.Expr, kind: pl.DataType) -> _Column | None:
    missing = values.is_null()
    if kind == pl.Boolean:
        return _Column(values, _or_missing(column, values.is_not_null(), missing))
    if not (kind.is_integer() or kind.is_float()):
        return None
    if kind.is_float():
        missing = missing | values.is_nan().fill_null(_FALSE)
    flags: pl.Expr = pl.when(values == 1).then(pl.lit(True)).when(values == 0).then(_FALSE)  # noqa: FBT003
    return _Column(flags, _or_missing(column, flags.is_not_null(), missing))


def _moment(column: Column, values: pl.Expr, kind: pl.DataType) -> _Column | None:
    clean = _or_missing(column, values.is_not_null(), values.is_null())
    if kind == pl.Date:
        return _Column(values.cast(pl.Datetime("us")), clean)
    if not isinstance(kind, pl.Datetime):
        return None
    moments = values.dt.cast_time_unit("us")
    if kind.time_zone is not None:
        return _Column(moments.dt.convert_time_zone("UTC"), clean)
    aware = "UTC" in column.type or "," in column.type
    warning = f"column {column.name!r} has no time zone and is read as UTC" if aware else ""
    return _Column(moments, clean, warning)


def _duration(column: Column, values: pl.Expr, kind: pl.DataType) -> _Column | None:
    low = -_FLOAT32_MAX if column.minimum is None else max(column.minimum, -_FLOAT32_MAX)
    high = _FLOAT32_MAX if column.maximum is None else min(column.maximum, _FLOAT32_MAX)
    if isinstance(kind, pl.Duration):
        micro = values.dt.total_microseconds()
        seconds = _within(column, micro.cast(pl.Float64) / 1e6, pl.Float64(), low, high)
        return _Column(seconds.values, seconds.clean & (micro.is_between(-(2**53), 2**53) | micro.is_null()))
    return _within(column, values, kind, low, high) if kind.is_integer() or kind.is_float() else None
