"""Predictions in PostgreSQL: COPY into a temporary table, then one upsert for each chunk."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, MissingExtraError, StoreUnavailableError
from tidemill.serving.scoring.sql_table import SqlTable, column, is_whole, quoted
from tidemill.serving.scoring.tables import Layout, Place

try:
    import psycopg
    from psycopg.rows import dict_row
except ImportError as error:
    raise MissingExtraError("psycopg", "postgres", purpose="predictions in PostgreSQL") from error


def open_table(place: Place, layout: Layout) -> PostgresTable:
    """The table in a database."""
    return PostgresTable(_connect(place), place.table, layout)


def find(place: Place, entity: str) -> dict[str, Any] | None:
    """The newest row of an entity."""
    try:
        with _connect(place) as connection, connection.cursor(row_factory=dict_row) as cursor:
            names = _columns(connection, place.table)
            kind = "bigint" if names.get("entity") == "bigint" else "text"
            if kind == "bigint" and not is_whole(entity):
                return None
            order = " ORDER BY as_of DESC LIMIT 1" if "as_of" in names else ""
            statement: Any = f"SELECT * FROM {quoted(place.table)} WHERE entity = %s::text::{kind}{order}"
            return cursor.execute(statement, [entity]).fetchone()
    except psycopg.Error as error:
        raise _failed(error) from error


_TYPES: Mapping[type[pl.DataType], str] = {
    pl.Int64: "BIGINT", pl.Boolean: "BOOLEAN", pl.Float64: "DOUBLE PRECISION", pl.String: "TEXT",
    pl.Datetime: "TIMESTAMPTZ",
}  # fmt: skip


class PostgresTable(SqlTable):
    """A table of predictions in PostgreSQL."""

    types = _TYPES
    mark = "%s"

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `SqlTable`."""
        text: Any = statement
        try:
            cursor = self._connection.execute(text, list(values) or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise _failed(error) from error

    def columns(self) -> list[str]:
        """See `SqlTable`."""
        return list(_columns(self._connection, self.table))

    def stage(self, rows: pl.DataFrame) -> str:
        """See `SqlTable`."""
        lines = ", ".join(f"{column(name)} {self._type(kind)}" for name, kind in rows.schema.items())
        self.run("DROP TABLE IF EXISTS pg_temp.staged")
        self.run(f"CREATE TEMP TABLE staged ({lines}) ON COMMIT DROP")
        moments = [
            pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00") for name in rows.columns if _is_moment(rows, name)
        ]
        buffer = io.BytesIO()
        # Empty text is quoted and a missing value is not, which is how COPY tells them apart.
        rows.with_columns(moments).write_csv(buffer, include_header=False, quote_style="non_numeric")
        try:
            with (
                self._connection.cursor() as cursor,
                cursor.copy("COPY pg_temp.staged FROM STDIN (FORMAT csv)") as copy,
            ):
                copy.write(buffer.getbuffer())
        except psycopg.Error as error:
            raise _failed(error) from error
        return "pg_temp.staged"


def _is_moment(rows: pl.DataFrame, name: str) -> bool:
    return rows.schema[name] == pl.Datetime


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """The columns of a table and their types."""
    statement: Any = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        return dict(cursor.execute(statement, [quoted(table)]).fetchall())


def _connect(place: Place) -> psycopg.Connection[Any]:
    scheme, _, rest = place.address.partition("://")
    del scheme
    try:
        return psycopg.connect(f"postgresql://{rest}", autocommit=True, options="-c timezone=UTC")
    except psycopg.ProgrammingError as error:
        raise ConfigError("this URL cannot be read", hint="Write postgresql://user@host/database#table.") from error
    except psycopg.Error as error:
        raise _failed(error) from error


def _failed(error: Exception) -> StoreUnavailableError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return StoreUnavailableError(f"PostgreSQL: {lines[0]}", hint="Check the address, your rights and the table's name.")
