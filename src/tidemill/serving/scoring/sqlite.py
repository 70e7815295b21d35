"""Predictions in SQLite: one transaction for each chunk."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import StoreUnavailableError
from tidemill.serving.scoring.sql_table import SqlTable, column, is_whole, quoted
from tidemill.serving.scoring.tables import Layout, Place

#: Seconds that a writer waits for another one.
_PATIENCE = 60.0
#: Rows that are Python objects at a time.
_PART_ROWS = 10_000
_MOMENT = "%Y-%m-%d %H:%M:%S%.6f"


def open_table(place: Place, layout: Layout) -> SqliteTable:
    """The table in a file, which is made if it is not there."""
    Path(place.address).parent.mkdir(parents=True, exist_ok=True)
    try:
        return SqliteTable(sqlite3.connect(place.address, timeout=_PATIENCE, isolation_level=None), place.table, layout)
    except sqlite3.Error as error:
        raise _failed(place.address, error) from error


def find(place: Place, entity: str) -> dict[str, Any] | None:
    """The newest row of an entity."""
    uri = f"{Path(place.address).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as connection:
            connection.row_factory = sqlite3.Row
            described = connection.execute(f"PRAGMA table_info({quoted(place.table)})")
            types = {row["name"]: row["type"] for row in described}
            if types.get("entity") == "INTEGER" and not is_whole(entity):
                return None
            order = " ORDER BY as_of DESC LIMIT 1" if "as_of" in types else ""
            statement = f"SELECT * FROM {quoted(place.table)} WHERE entity = ?{order}"
            row = connection.execute(statement, [entity]).fetchone()
    except sqlite3.Error as error:
        raise _failed(place.shown, error) from error
    if row is None:
        return None
    found = dict(row)
    for name in ("as_of", "scored_at"):
        if name in found:
            found[name] = datetime.fromisoformat(found[name]).replace(tzinfo=UTC)
    return found


_TYPES: Mapping[type[pl.DataType], str] = {
    pl.Int64: "INTEGER", pl.Boolean: "INTEGER", pl.Float64: "REAL", pl.String: "TEXT", pl.Datetime: "TEXT",
}  # fmt: skip


class SqliteTable(SqlTable):
    """A table of predictions in SQLite; times are text in UTC."""

    types = _TYPES

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `SqlTable`."""
        begun = "BEGIN IMMEDIATE" if statement == "BEGIN" else statement  # not to find out at the end that it is locked
        try:
            rows: list[tuple[Any, ...]] = self._connection.execute(begun, values).fetchall()
        except sqlite3.Error as error:
            raise _failed(self.table, error) from error
        return rows

    def columns(self) -> list[str]:
        """See `SqlTable`."""
        return [row[1] for row in self.run(f"PRAGMA table_info({quoted(self.table)})")]

    def stage(self, rows: pl.DataFrame) -> str:
        """See `SqlTable`."""
        lines = ", ".join(f"{column(name)} {self._type(kind)}" for name, kind in rows.schema.items())
        self.run("DROP TABLE IF EXISTS temp.staged")
        self.run(f"CREATE TEMP TABLE staged ({lines})")
        self._many(f"INSERT INTO temp.staged VALUES ({self._marks(rows)})", _plain(rows))
        return "temp.staged"

    def upsert(self, rows: pl.DataFrame) -> None:
        """See `SqlTable`; without a table between, which would be filled for nothing."""
        rows = rows.sort(self.layout.keys)  # neighbours in the index one after the other, whatever the source's order
        bare = rows.select(pl.all_horizontal(pl.col("warnings", "error").is_null())).to_series()
        for part in (rows.filter(bare), rows.filter(~bare)):  # most rows have neither, so that none need be bound
            if part.height:
                self._merge(part)

    def _merge(self, rows: pl.DataFrame) -> None:
        first = _plain(rows.head(1))
        alike = {name: _literal(first[name]) for name in rows.columns if _is_alike(rows[name])}
        values = ", ".join(alike.get(name, "?") for name in rows.columns)
        self._many(self.merging(f"VALUES ({values})", rows.columns), _plain(rows.drop(alike)))

    def _many(self, statement: str, rows: pl.DataFrame) -> None:
        try:
            for part in rows.iter_slices(_PART_ROWS):
                self._connection.executemany(statement, part.rows())
        except sqlite3.Error as error:
            raise _failed(self.table, error) from error

    @staticmethod
    def _marks(rows: pl.DataFrame) -> str:
        return ", ".join("?" * rows.width)


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Values that SQLite has types for."""
    return rows.with_columns(
        pl.col(name).dt.strftime(_MOMENT) if kind == pl.Datetime else pl.col(name).cast(pl.Int8)
        for name, kind in rows.schema.items()
        if kind in (pl.Datetime, pl.Boolean)
    )


def _is_alike(values: pl.Series) -> bool:
    """Whether all rows have the same value, so that it need not be bound for each."""
    if values.null_count():
        return values.null_count() == values.len()
    return values.dtype in (pl.String, pl.Int64, pl.Datetime) and values[0] == values[-1] and values.n_unique() == 1


def _literal(values: pl.Series) -> str:
    value = values[0]
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _failed(where: str, error: Exception) -> StoreUnavailableError:
    hint = "Check the path, the space on the disk and who else writes to it."
    return StoreUnavailableError(f"SQLite: {error}", value=where, hint=hint)
