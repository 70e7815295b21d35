"""pandas frames: what they mean as a table, and a table as pandas users expect it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from tidemill.core.errors import MaterialiserError, MissingExtraError


def to_polars(frame: pd.DataFrame) -> pl.DataFrame:
    """The same table held by Polars; NaN in a float column is a missing value, as pandas means it.

    Raises
    ------
    MaterialiserError
        The index holds data, or column names are not text or repeat.
    """
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd or not frame.columns.is_unique:
        raise MaterialiserError(
            "the columns of a pandas frame need one text name each",
            value=odd or frame.columns[frame.columns.duplicated()].tolist(),
            hint="Rename them: frame.columns = [...].",
        )
    index = frame.index
    if isinstance(index, pd.MultiIndex) or index.name is not None or index.inferred_type not in ("integer", "empty"):
        raise MaterialiserError(
            "a table has no index, and this pandas frame has one with data in it",
            value=list(index.names) if index.name is not None else index[:3].tolist(),
            hint="Make it columns with frame.reset_index(), or drop it with frame.reset_index(drop=True).",
        )
    try:
        converted: pl.DataFrame = pl.from_pandas(frame)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "pyarrow", "pandas", purpose="Storing a pandas frame") from error
    return converted


def read_parquet(path: Path, _kind: str) -> pd.DataFrame:
    """The table in a Parquet file, with missing integers and truth values in pandas's nullable types."""
    table = pl.read_parquet(path, glob=False)
    frame: pd.DataFrame = table.to_pandas()
    for column in table.iter_columns():
        if column.null_count() and (column.dtype.is_integer() or column.dtype == pl.Boolean):
            frame[column.name] = _nullable(column)
    return frame


def _nullable(column: pl.Series) -> Any:
    """Whole numbers and truth values with some missing; as floats and objects they would lose digits and meaning."""
    missing = column.is_null().to_numpy()
    if column.dtype == pl.Boolean:
        return pd.arrays.BooleanArray(column.fill_null(value=False).to_numpy().copy(), missing)
    return pd.arrays.IntegerArray(column.fill_null(0).to_numpy().copy(), missing)
