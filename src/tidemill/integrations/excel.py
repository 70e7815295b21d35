"""Excel and OpenDocument sheets, through calamine."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import DataError, MissingExtraError, SchemaError
from tidemill.data.types import polars_type


def read_excel(data: Path | bytes, options: Mapping[str, Any], columns: Sequence[str] | None) -> pl.DataFrame:
    """A sheet as a table: the option ``sheet`` names it, by default the first one.

    Raises
    ------
    DataError
        If there is no such sheet, or the file is no spreadsheet.
    SchemaError
        If a column that was asked for is not there.
    """
    fastexcel = _package()
    try:
        book = fastexcel.read_excel(data if isinstance(data, bytes) else str(data))
    except fastexcel.FastExcelError as error:
        raise DataError(f"not a spreadsheet: {str(error).splitlines()[0]}", hint="Check the file.") from error
    sheet = options.get("sheet", book.sheet_names[0])
    if sheet not in book.sheet_names:
        raise DataError("the file has no such sheet", value=sheet, hint=f"It has: {', '.join(book.sheet_names)}.")
    frame: pl.DataFrame = pl.read_excel(
        io.BytesIO(data) if isinstance(data, bytes) else data,
        sheet_name=sheet,
        engine="calamine",
        has_header=options.get("header", True),
        schema_overrides={name: polars_type(kind) for name, kind in options.get("schema", {}).items()},
    )
    missing = [name for name in columns or () if name not in frame.columns]
    if missing:
        raise SchemaError("the sheet lacks columns", value=missing, hint=f"It has: {', '.join(frame.columns)}.")
    return frame


def _package() -> Any:
    try:
        return importlib.import_module("fastexcel")
    except ImportError as error:
        raise MissingExtraError("fastexcel", "excel", purpose="reading a spreadsheet") from error
