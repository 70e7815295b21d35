"""Carry out lazy tables: what fails in one is told as what is wrong with its data, by file and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from tidemill.core.errors import DataError, SchemaError

_SCANNED = re.compile(r"SCAN \[([^\]]*?)(?:, \.\.\. \d+ other sources?)?\]")
_UNPARSED = re.compile(r"could not parse (.+?) as dtype `(\w+)` at column '(.*?)' \(column number")
_NOWHERE = re.compile(r"expanded paths were empty .*inner: \"(.*?)\" \}")
_MISNAMED = re.compile(r"unable to find column \"(.*?)\"; valid columns: (.*)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MISTYPED = (pl.exceptions.SchemaError, pl.exceptions.InvalidOperationError, pl.exceptions.DuplicateError)
_LONGEST, _NAMED = 400, 12
_PLACE = "Check the path: a relative one counts from the working directory."


@contextmanager
def evaluating(table: pl.LazyFrame) -> Iterator[None]:
    """Raise `DataError` for what fails when the table is computed; what user code in it raises stays what it is.

    Raises
    ------
    DataError
        If a file is not there or cannot be read as what it is said to be; `SchemaError` if columns are not there or of
        another type than what is done with them needs.

    Examples
    --------
    >>> with evaluating(table := pl.LazyFrame({"wind": [3]}).select("gust")):
    ...     table.collect()
    Traceback (most recent call last):
        ...
    tidemill.core.errors.SchemaError: the lazy table cannot be computed: there is no column 'gust'. Columns are: wind.
    """
    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise _told(table, error) from error
    except OSError as error:
        if error.errno is not None:  # not of Polars
            raise
        raise _told(table, error) from error


def collected_lazily(table: pl.LazyFrame) -> pl.DataFrame:
    """The table in memory; see `evaluating`."""
    with evaluating(table):
        return table.collect()


def schema_of(table: pl.DataFrame | pl.LazyFrame) -> pl.Schema:
    """The columns of a table and their types; see `evaluating`."""
    if isinstance(table, pl.DataFrame):
        return table.schema
    with evaluating(table):
        return table.collect_schema()


def _told(table: pl.LazyFrame, error: Exception) -> DataError:
    text = str(error)
    reason = text.strip().partition("\n")[0].rstrip(".")[:_LONGEST] or type(error).__name__
    what, files = "the lazy table cannot be computed", _files(table, text)
    if isinstance(error, OSError):
        return DataError(f"{what}: {reason}", hint=_PLACE)
    if found := _NOWHERE.search(text):
        return DataError(f"{what}: no file is there", value=found[1], hint=_PLACE)
    if found := _UNPARSED.search(text):
        named = "FILE" if files is None else repr(files)
        return DataError(
            f"{what}: a value of column {found[3]!r} is not {found[2]}, as its first rows are",
            value=found[1].strip("`"),
            hint=f"tm.read({named}) looks at every row and says which it is; scan_csv takes schema_overrides.",
        )
    if found := _MISNAMED.search(text):
        there = _QUOTED.findall(found[2])
        near = difflib.get_close_matches(found[1], there, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Columns are: {', '.join(there[:_NAMED])}."
        return SchemaError(f"{what}: there is no column {found[1]!r}", value=files, hint=hint)
    if isinstance(error, _MISTYPED):
        hint = "Correct the expression, or cast the column with strict=False."
        return SchemaError(f"{what}: {reason}", value=files, hint=hint)
    return DataError(f"{what}: {reason}", value=files, hint="Check the file and how it is scanned.")


def _files(table: pl.LazyFrame, said: str) -> str | None:
    """The first file that a lazy table scans, if that can be told."""
    found = _SCANNED.search(said)
    if found is None:
        try:
            found = _SCANNED.search(table.explain(optimized=False))
        except (pl.exceptions.PolarsError, OSError):  # the plan cannot be resolved: that is what is being told
            return None
    return None if found is None else found[1]
