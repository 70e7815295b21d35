"""Predictions in a DuckDB file; rows go there as Arrow, one transaction for each chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import MissingExtraError, StoreUnavailableError
from tidemill.serving.scoring.sql_table import SqlTable, is_whole, quoted
from tidemill.serving.scoring.tables import Layout, Place

try:
    import duckdb
except ImportError as error:
    raise MissingExtraError("duckdb", "duckdb", purpose="predictions in a DuckDB file") from error


def open_table(place: Place, layout: Layout) -> DuckTable:
    """The table in a file, which is made if it is not there."""
    try:
        import_module("pyarrow")
    except ImportError as error:
        raise MissingExtraError("pyarrow", "duckdb", purpose="predictions in a DuckDB file") from error
    Path(place.address).parent.mkdir(parents=True, exist_ok=True)
    try:
        return DuckTable(duckdb.connect(place.address), place.table, layout)
    except duckdb.Error as error:
        raise _failed(error) from error


def find(place: Place, entity: str) -> dict[str, Any] | None:
    """The newest row of an entity; the file is let go afterwards, for whoever writes to it."""
    try:
        with duckdb.connect(place.address, read_only=True) as connection:
            table = connection.sql(f"SELECT * FROM {quoted(place.table)} LIMIT 0")
            names = list(table.columns)
            order = " ORDER BY as_of DESC LIMIT 1" if "as_of" in names else ""
            types = dict(zip(names, map(str, table.dtypes), strict=True))
            if types.get("entity", "VARCHAR") != "VARCHAR" and not is_whole(entity):
                return None
            statement = f"SELECT * FROM {quoted(place.table)} WHERE entity = ?{order}"
            row = connection.execute(statement, [entity]).fetchone()
    except duckdb.Error as error:
        raise _failed(error) from error
    if row is None:
        return None
    found = dict(zip(names, row, strict=True))
    return found | {name: found[name].replace(tzinfo=UTC) for name in ("as_of", "scored_at") if name in found}


_TYPES: Mapping[type[pl.DataType], str] = {
    pl.Int64: "BIGINT", pl.Boolean: "BOOLEAN", pl.Float64: "DOUBLE", pl.String: "VARCHAR",
    pl.Datetime: "TIMESTAMP",
}  # fmt: skip


class DuckTable(SqlTable):
    """A table of predictions in DuckDB; times are in UTC."""

    types = _TYPES

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `SqlTable`."""
        try:
            rows: list[tuple[Any, ...]] = self._connection.execute(statement, list(values)).fetchall()
        except duckdb.Error as error:
            raise _failed(error) from error
        return rows

    def columns(self) -> list[str]:
        """See `SqlTable`."""
        schema, _, name = self.table.rpartition(".")
        statement = (
            "SELECT column_name FROM information_schema.columns WHERE table_name = ? AND table_schema = ? "
            "AND table_catalog = current_database() ORDER BY ordinal_position"
        )
        return [str(row[0]) for row in self.run(statement, [name, schema or "main"])]

    def stage(self, rows: pl.DataFrame) -> str:
        """See `SqlTable`."""
        self._connection.register("staged", rows.to_arrow())
        return "staged"


def _failed(error: Exception) -> StoreUnavailableError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    hint = "Another process may have the file open: DuckDB lets one at a time write to it."
    return StoreUnavailableError(f"DuckDB: {lines[0]}", hint=hint)
