"""The part of a table that a selection and a window mean, as Polars expressions."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from tidemill.core.errors import ConfigError, SchemaError
from tidemill.data.sources.source import CursorValue, Selection, Source, Window
from tidemill.data.types import as_time_literal, physical_type, require_columns

#: What a condition must be; a name that is not one plain word stands in double quotes in SQL.
_CONDITION = "Write a SQL condition on its columns, such as \"origin = 'EWR'\"; a name with spaces in double quotes."


def columns_needed(source: Source, selection: Selection, window: Window | None) -> list[str] | None:
    """The columns to read for a selection: those wanted, and those that its conditions speak of; None for all."""
    if selection.columns is None:
        return None
    needed = dict.fromkeys(selection.columns)
    if selection.where is not None:
        needed.update(dict.fromkeys(condition(selection.where).meta.root_names()))
    if source.event_time is not None and (selection.since is not None or selection.until is not None):
        needed[source.event_time] = None
    if window is not None:
        needed[window.column] = None
    return list(needed)


def condition(where: str) -> pl.Expr:
    """A SQL condition as an expression; ConfigError if it is none."""
    try:
        return pl.sql_expr(where)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"where is not a condition on this source: {str(error).splitlines()[0]}",
            value=where,
            hint=_CONDITION,
        ) from error


def selected(frame: pl.LazyFrame, source: Source, selection: Selection, window: Window | None) -> pl.LazyFrame:
    """The rows and columns of a table that are meant.

    Raises
    ------
    ConfigError
        If the condition does not fit the table, or a span is given and the source has no `event_time`.
    SchemaError
        If a column is missing, or cannot be ordered by.
    """
    if window is not None:
        frame = _in_window(frame, window, source.name)
    if selection.since is not None or selection.until is not None:
        frame = _between(frame, source, selection)
    if selection.where is not None:
        try:
            frame = frame.filter(condition(selection.where))
            frame.collect_schema()
        except pl.exceptions.PolarsError as error:
            raise ConfigError(
                f"where is not a condition on this source: {str(error).splitlines()[0]}",
                value=selection.where,
                hint=_CONDITION,
            ) from error
    if selection.columns is not None:
        require_columns(frame, selection.columns, purpose=f"read of source {source.name!r}")
        frame = frame.select(selection.columns)
    return frame


def newest(frame: pl.LazyFrame, column: str, source: str) -> CursorValue | None:
    """The greatest value of a column; None of an empty one."""
    require_columns(frame, [column], purpose=f"cursor of source {source!r}")
    dtype = frame.collect_schema()[column]
    _require_order(dtype, column, source)
    value: CursorValue | None = frame.select(pl.col(column).max()).collect().item()
    return value


def _require_order(dtype: pl.DataType, column: str, source: str) -> None:
    kinds: Collection[type[pl.DataType]] = (pl.String, pl.Date, pl.Datetime, pl.Null)
    if not (dtype.is_numeric() or dtype.base_type() in kinds):
        raise SchemaError(
            f"the cursor of source {source!r} is {physical_type(dtype)}, which has no order to go by",
            value=column,
            hint="Use a time, a number or a text column that only grows.",
        )


def _in_window(frame: pl.LazyFrame, window: Window, source: str) -> pl.LazyFrame:
    require_columns(frame, [window.column], purpose=f"cursor of source {source!r}")
    column = pl.col(window.column)
    try:
        if window.after is not None:
            frame = frame.filter(column > window.after)
        # Rows without a cursor value belong to the first window only.
        upto = column.is_null() if window.upto is None else column <= window.upto
        frame = frame.filter(upto if window.after is not None or window.upto is None else upto | column.is_null())
        frame.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise SchemaError(
            f"the cursor of source {source!r} has become {physical_type(frame.collect_schema()[window.column])}",
            value=window.after,
            hint="Restore the column's type, or declare the source under a new name to read it from the start.",
        ) from error
    return frame


def _between(frame: pl.LazyFrame, source: Source, selection: Selection) -> pl.LazyFrame:
    if source.event_time is None:
        raise ConfigError(
            f"source {source.name!r} declares no event_time, which since and until need",
            hint=f'Add event_time = "COLUMN" to [sources.{source.name}].',
        )
    require_columns(frame, [source.event_time], purpose=f"event_time of source {source.name!r}")
    dtype = frame.collect_schema()[source.event_time]
    if dtype == pl.Null:  # no row has an event time
        return frame.filter(pl.lit(False))  # noqa: FBT003
    column = pl.col(source.event_time)
    if selection.since is not None:
        frame = frame.filter(column >= as_time_literal(selection.since, dtype, purpose="since"))
    if selection.until is not None:
        frame = frame.filter(column < as_time_literal(selection.until, dtype, purpose="until"))
    return frame
