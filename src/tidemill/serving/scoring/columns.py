"""The usual rows of a table, recognised by whole columns: what every check of the validator passes without a word.

As `tidemill.packaging.usual_rows` does for one row. A cell that is not known to be in order goes to the validator's
check of its column, and a row with a cell that this refuses to the row validator: there is one meaning and one wording.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.packaging.usual_rows import Bounds
from tidemill.packaging.validator import Policy
from tidemill.packaging.value_checks import BadValue, usual_bounds, value_check
from tidemill.serving.scoring.cells import is_usual_moment

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
    own
        The warnings of rows that have words of their own, by row; they take the place of `warnings` there.
    """

    clean: NDArray[np.bool_]
    columns: pl.DataFrame
    warnings: tuple[tuple[NDArray[np.bool_], str], ...] = ()
    own: Mapping[int, list[str]] = field(default_factory=dict)

    def said(self, row: int) -> list[str]:
        """The warnings of a row that is clean."""
        return self.own[row] if row in self.own else [text for mask, text in self.warnings if mask[row]]


@dataclass(frozen=True, slots=True)
class _Held:
    """The typed values of a column, which of them are in order, and what is to be said of those that are there."""

    values: pl.Series
    clean: NDArray[np.bool_]
    there: NDArray[np.bool_]
    warning: str = ""
    #: Whether the checks of single cells would type them the same.
    plain: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    """How a column is typed: see `_Held`."""

    values: pl.Expr
    clean: pl.Expr
    warning: str = ""


def check_columns(signature: Signature, frame: pl.DataFrame, policy: Policy | None = None) -> Checked:
    """Which rows of a table are in order, and their typed values.

    Parameters
    ----------
    signature
        Whose inputs the table has, all of them.
    frame
        The rows, of any types.
    policy
        How values unlike the training rows' are met.

    Examples
    --------
    >>> from tidemill.core.schema import TableSchema
    >>> inputs = TableSchema((Column("dest", "string", categories=("IAH",)), Column("distance", "int64", minimum=0)))
    >>> table = pl.DataFrame({"dest": ["IAH", "LAX", "IAH"], "distance": [1.0, 2.0, 2.5]})
    >>> checked = check_columns(Signature(inputs, "regression", "delay"), table)
    >>> checked.clean.tolist(), checked.said(1)
    ([True, True, False], ["column 'dest' is 'LAX', which was not seen in training"])
    """
    known = [_held(column, frame[column.name]) for column in signature.inputs]
    clean, own = np.logical_and.reduce([one.clean for one in known]), dict[int, list[str]]()
    said = {place: (one.there, one.warning) for place, one in enumerate(known) if one.warning}
    if not clean.all():
        clean, words = _by_cells(signature, frame, known, policy or Policy())
        own = {row: _in_order(texts, said, row) for row, texts in words.items() if clean[row]}
    columns = pl.DataFrame([one.values for one in known])
    return Checked(clean, columns, tuple(said.values()), own)


def _by_cells(
    signature: Signature, frame: pl.DataFrame, known: list[_Held], policy: Policy
) -> tuple[NDArray[np.bool_], dict[int, list[tuple[int, str]]]]:
    """The validator's checks look at the cells that are not known to be in order; what they make of them is put in.

    Gives the rows that are in order then, and the words by row, each with the place of its column.
    """
    clean, own = np.ones(frame.height, dtype=bool), dict[int, list[tuple[int, str]]]()
    for place, column in enumerate(signature.inputs):
        odd, held = np.flatnonzero(~known[place].clean), known[place].values
        if not len(odd):
            continue
        if _is_moment(column):  # what is no moment yet may have a zone or none, each its own
            clean[odd] = False
            continue
        check = value_check(column, out_of_range=policy.out_of_range, unseen_category=policy.unseen_category)
        typed: list[Any] = []
        for row, cell in zip(odd.tolist(), frame[column.name].gather(odd).to_list(), strict=True):
            words: list[str] = []
            try:
                value = check(cell, words)
            except BadValue:
                value, clean[row] = None, False
            if type(value) is int and abs(value) > _EXACT:  # no column holds all its digits
                value, clean[row] = None, False
            typed.append(value)
            if words:
                own.setdefault(row, []).extend((place, text) for text in words)
        if not known[place].plain and held.gather(odd).to_list() != typed:
            given = [float(value) if held.dtype == pl.Float64 and value is not None else value for value in typed]
            known[place] = replace(known[place], values=held.clone().scatter(odd, pl.Series(given, dtype=held.dtype)))
    return clean, own


def _in_order(
    words: Iterable[tuple[int, str]], said: Mapping[int, tuple[NDArray[np.bool_], str]], row: int
) -> list[str]:
    """The warnings of a row in the order of its columns."""
    others = [(place, text) for place, (mask, text) in said.items() if mask[row]]
    return [text for _, text in sorted([*words, *others], key=lambda one: one[0])]


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
        if series.dtype in (pl.Float64, pl.Boolean):
            columns[series.name] = series.cast(pl.Float64).to_numpy()  # NaN where missing
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
    if _is_moment(column):
        return _moment(column, values, kind)
    if column.type.startswith("duration["):
        return _duration(column, values, kind)
    return None


def _missing(column: Column, values: pl.Expr) -> _Column:
    """A column without a value."""
    return _Column(values.cast(_typed_as(column)), values.is_null() & pl.lit(column.nullable))


def _typed_as(column: Column) -> pl.DataType:
    """What the typed values of a column are held in."""
    if column.categories is not None or column.type.startswith(("categorical", "enum[")):
        return pl.String()
    if column.semantic == "category" or column.type == "string":
        return pl.String()
    if column.type == "bool":
        return pl.Boolean()
    return pl.Datetime("us") if _is_moment(column) else pl.Float64()


def _is_moment(column: Column) -> bool:
    return column.type == "date" or column.type.startswith("timestamp[")


def _held(column: Column, series: pl.Series) -> _Held:
    """A column's typed values."""
    kind, bounds = series.dtype, usual_bounds(column)
    if bounds is not None and (kind.is_integer() or kind.is_float()):
        return _numbers(column, series, bounds)
    nothing = np.zeros(len(series), dtype=bool)
    found = _checked(column, pl.col(column.name), kind)
    if found is None:
        return _Held(pl.Series(column.name, [None], _typed_as(column)).new_from_index(0, len(series)), nothing, nothing)
    clean = found.clean.fill_null(_FALSE)
    made = series.to_frame().select(found.values.alias(column.name), clean.alias("clean "))
    there = series.is_not_null().to_numpy() if found.warning else nothing
    return _Held(made.to_series(0), made.to_series(1).to_numpy(), there, found.warning)


def _numbers(column: Column, series: pl.Series, bounds: Bounds) -> _Held:
    """Plain numbers, by far the most usual columns, in as few looks as there can be."""
    values = series.cast(pl.Float64).rechunk()
    array, (low, high) = values.to_numpy(), bounds  # NaN where missing
    whole = column.type.startswith(("int", "uint"))
    if whole or series.dtype.is_integer():
        low, high = max(low, -_EXACT), min(high, _EXACT)
    clean = (array >= low) & (array <= high)
    if whole and series.dtype.is_float():
        clean &= array == np.floor(array)
    if column.nullable and not clean.all():
        odd = np.flatnonzero(~clean)
        clean[odd] = np.isnan(array[odd])
    return _Held(values, clean, clean, plain=True)


def _within(column: Column, values: pl.Expr, kind: pl.DataType, low: float, high: float) -> _Column:
    numbers, missing = values.cast(pl.Float64), values.is_null()
    if kind.is_integer():
        low, high = max(low, -_EXACT), min(high, _EXACT)
    clean = numbers.is_between(low, high)
    if kind.is_float():
        missing = missing | values.is_nan().fill_null(_FALSE)
        clean = clean & numbers.is_not_nan()
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
    if not isinstance(kind, pl.Date | pl.Datetime):
        return None
    clean = _or_missing(column, is_usual_moment(values, kind) & values.is_not_null(), values.is_null())
    if isinstance(kind, pl.Date):
        return _Column(values.cast(pl.Datetime("us")), clean)
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
