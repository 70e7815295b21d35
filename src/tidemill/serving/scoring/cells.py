"""Cells of text as the values that they stand for: one by one, and whole columns of those that leave no doubt.

A format without types (CSV) has numbers, flags and moments as text. `typed_cells` says what each cell is; `read_cells`
reads the columns at once, and names the rows of which only `typed_cells` knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.model import Signature
from tidemill.core.schema import Column

Rows = list[dict[str, Any]]

_FLAGS = {"true": True, "false": False, "1": True, "0": False}
#: A whole number as Python writes it: for these, text and number have the same category.
_WHOLE = r"^(0|-?[1-9][0-9]{0,14})$"

#: The days that Python has, of the years 1 to 9999, since the epoch; and how long one is as moments count.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_TICKS = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_YEAR = 365.2425


def typed_cells(cells: pl.DataFrame, signature: Signature, texts: Collection[str]) -> Rows:
    """The rows, cell by cell: one that is no number where the model takes one spoils its own row only.

    Parameters
    ----------
    cells
        The rows.
    signature
        What the model takes.
    texts
        The columns that are text because the format has nothing else.

    Examples
    --------
    >>> from tidemill.core.schema import TableSchema
    >>> signature = Signature(TableSchema((Column("items", "int64"),)), "regression", "minutes")
    >>> typed_cells(pl.DataFrame({"items": ["3", "many", None]}), signature, ["items"])
    [{'items': 3}, {'items': 'many'}, {'items': None}]
    """
    readers = {column.name: _reader_of(column.type) for column in signature.inputs if column.name in texts}
    moments = [series.name for series in cells.get_columns() if isinstance(series.dtype, pl.Date | pl.Datetime)]
    rows = cells.with_columns(held_by_python(cells[name]) for name in moments).to_dicts()
    for name in moments:
        beyond = cells.select((~is_usual_moment(pl.col(name), cells.schema[name])).arg_true()).to_series().to_list()
        for place in beyond:
            rows[place][name] = _spelt(cells[name].slice(place, 1))
    for row in rows:
        for name, reader in readers.items():
            text = row.get(name)
            if text is not None:
                row[name] = reader(text)
    return rows


def read_cells(
    cells: pl.DataFrame, signature: Signature, texts: Collection[str]
) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """The columns as values, and which rows hold a cell that was not read: it is missing in its column.

    Every value is the one that `typed_cells` gives, or, for a whole number, the float that is nearest to it.

    >>> from tidemill.core.schema import TableSchema
    >>> signature = Signature(TableSchema((Column("items", "int64"),)), "regression", "minutes")
    >>> table, unread = read_cells(pl.DataFrame({"items": ["3", "many", None]}), signature, ["items"])
    >>> table["items"].to_list(), unread.tolist()
    ([3.0, None, None], [False, True, False])
    """
    unread = np.zeros(cells.height, dtype=bool)
    made = []
    for column in signature.inputs:
        if column.name in texts and column.name in cells.columns:
            text = cells[column.name]
            read = _column_of(column, text)
            if read.null_count() > text.null_count():
                unread |= (read.is_null() & text.is_not_null()).to_numpy()
            made.append(read)
    return cells.with_columns(made), unread


def is_usual_moment(values: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Which moments are of the years 1 to 9999 in every zone: of others Python may have none, or Polars panics."""
    if not isinstance(kind, pl.Datetime):
        return values.to_physical().is_between(_FIRST_DAY, _LAST_DAY)
    if kind.time_unit == "ns":  # of the years 1677 to 2262
        return values.is_null() | values.is_not_null()
    ticks = _TICKS[kind.time_unit]
    return values.to_physical().is_between((_FIRST_DAY + 1) * ticks, _LAST_DAY * ticks - 1)


def held_by_python(moments: pl.Series) -> pl.Series:
    """The moments as they are, and missing where `is_usual_moment` says no; what is none is left alone."""
    if not isinstance(moments.dtype, pl.Date | pl.Datetime):
        return moments
    kept = pl.when(is_usual_moment(pl.col(moments.name), moments.dtype)).then(pl.col(moments.name))
    return moments.to_frame().select(kept.alias(moments.name)).to_series()


def _spelt(moment: pl.Series) -> str:
    """One moment as the text that stands for it, which the validator reads or refuses."""
    kind, days = moment.dtype, moment.to_physical().item()
    if isinstance(kind, pl.Datetime):
        days //= _TICKS[kind.time_unit]
    if _FIRST_DAY <= days <= _LAST_DAY:
        return str(moment.dt.to_string("iso:strict").item())
    return f"in the year {1970 + math.floor(days / _YEAR)}"


def _column_of(column: Column, text: pl.Series) -> pl.Series:
    """A column of cells read; missing where it is not known that the cell alone would be read so."""
    kind = column.type
    if column.semantic == "category" or column.categories is not None:
        return _category(kind, text)
    if kind.startswith(("int", "uint", "float", "decimal")):
        return _numbers(text)
    if kind == "bool":
        return _words(text).replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean)
    if kind == "date" or kind.startswith("timestamp["):
        return _moments(text)
    return text


def _category(kind: str, text: pl.Series) -> pl.Series:
    """A category that is kept as a number or a flag is known by the text of that."""
    if kind == "bool":
        words = _words(text).replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean)
        return pl.Series(text.name, ["False", "True"]).gather(words.cast(pl.UInt32))
    if kind.startswith(("int", "uint", "float", "decimal")):
        return text.set(~text.str.contains(_WHOLE), None)
    return text


def _numbers(text: pl.Series) -> pl.Series:
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() > text.null_count():
        return text.str.strip_chars().cast(pl.Float64, strict=False)
    return numbers


def _words(text: pl.Series) -> pl.Series:
    return text.str.strip_chars().str.to_lowercase()


def _moments(text: pl.Series) -> pl.Series:
    """Moments that all have no zone, or all UTC, as the first one has."""
    read: list[datetime | None] = []
    first: list[bool] = []
    for cell in text.to_list():
        moment = None if cell is None else _moment(cell)
        if moment is not None:
            first = first or [moment.tzinfo is None]
            if (moment.tzinfo is None) is not first[0]:
                moment = None
        read.append(moment)
    return pl.Series(text.name, read, dtype=pl.Datetime("us", "UTC" if first == [False] else None))


def _moment(text: str) -> datetime | None:
    """A moment without a zone, or in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or moment.tzinfo is UTC or moment.utcoffset() == timedelta(0):
        return moment
    return None


def _reader_of(kind: str) -> Callable[[str], Any]:
    if kind.startswith(("int", "uint")):
        return _whole
    if kind.startswith(("float", "decimal")):
        return _number
    if kind == "bool":
        return lambda text: _FLAGS.get(text.strip().lower(), text)
    return _as_it_is


def _whole(text: str) -> Any:
    """With all its digits where it is a whole number; of thousands of them Python would make none."""
    try:
        return int(text) if len(text) <= 400 else _number(text)
    except ValueError:
        return _number(text)


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:  # the validator says what it should have been
        return text


def _as_it_is(text: str) -> str:
    return text
