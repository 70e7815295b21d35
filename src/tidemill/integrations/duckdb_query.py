"""DuckDB's SQL over tables in memory."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tidemill.core.errors import MissingExtraError, UsageError

try:
    import duckdb
except ImportError as error:
    raise MissingExtraError("duckdb", "duckdb", purpose="a query in SQL") from error


def query(sql: str, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of a query over named tables.

    Raises
    ------
    UsageError
        When the query cannot be run; the message is DuckDB's.
    """
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, frame in tables.items():
            connection.register(name, frame.to_arrow())
        try:
            found = connection.sql(sql)  # None for a statement that gives no rows
            return pl.DataFrame() if found is None else pl.DataFrame(found.to_arrow_table())
        except duckdb.Error as error:
            columns = ", ".join(name for frame in tables.values() for name in frame.columns)
            raise UsageError(
                f"the query cannot be run: {str(error).partition(chr(10))[0]}", value=sql, hint=f"Columns: {columns}."
            ) from error
