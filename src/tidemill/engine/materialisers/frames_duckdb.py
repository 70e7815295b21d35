"""DuckDB relations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tidemill.core.errors import MaterialiserError

_TO_INTERVAL = {"ms": "to_milliseconds({0})", "us": "to_microseconds({0})", "ns": "to_microseconds({0} // 1000)"}


def to_polars(frame: Any) -> pl.DataFrame:
    """The rows of the relation held by Polars, in the order in which DuckDB gives them; moments are in UTC.

    Raises
    ------
    MaterialiserError
        A column is an INTERVAL, which has months of no fixed length.
    """
    intervals = [name for name, kind in zip(frame.columns, frame.types, strict=True) if "INTERVAL" in str(kind)]
    if intervals:
        raise MaterialiserError(
            "a table holds no INTERVAL, whose months have no fixed length",
            value=intervals,
            hint="Select epoch_us(column) for microseconds, or return a Polars frame with durations.",
        )
    table = pl.DataFrame(frame)
    # DuckDB keeps moments without a zone and shows them in that of the session, which is the machine's by default.
    zoned = [name for name, kind in table.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone]
    return table.with_columns(pl.col(zoned).dt.convert_time_zone("UTC")) if zoned else table


def read_parquet(path: Path, _kind: str) -> Any:
    """A relation over the Parquet file, on a connection of its own: nothing is read until it is asked for."""
    relation = duckdb.connect().read_parquet(str(path))
    durations = [
        f"{_TO_INTERVAL[kind.time_unit].format(_quoted(name))} AS {_quoted(name)}"
        for name, kind in pl.read_parquet_schema(path).items()
        if isinstance(kind, pl.Duration)
    ]
    return relation.project(f"* REPLACE ({', '.join(durations)})") if durations else relation


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
