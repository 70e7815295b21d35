"""DuckDB files as sources; rows come as Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect, PGIdentifierPreparer

from tidemill.core.errors import DataError, MissingExtraError, SchemaError
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.integrations import databases
from tidemill.project import reveal

try:
    import duckdb
except ImportError as error:
    raise MissingExtraError("duckdb", "duckdb", purpose="reading a DuckDB file") from error


class _Quoting(PGIdentifierPreparer):
    """Quotes every name: DuckDB reserves other words than PostgreSQL, and does not tell cases apart."""

    def _requires_quotes(self, value: str) -> bool:
        return True


class _Dialect(PGDialect):
    """DuckDB reads PostgreSQL's SQL."""

    preparer = _Quoting
    supports_statement_cache = False


_DIALECT: Any = _Dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]


def pin(
    source: Source, root: Path, selection: Selection, window: Window | None
) -> tuple[tuple[SourceFile, ...], Window | None]:
    """Pin a table or query; see `tidemill.integrations.databases`."""
    return databases.pin(_connect, source, root, selection, window)


def scan(resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:
    """The rows of a pinned table or query."""
    return databases.scan(_connect, resolved, root, selection)


class _Session:
    text_times = False

    def __init__(self, connection: Any, chunk: int) -> None:
        self._connection = connection
        self._chunk = chunk

    def columns(self, statement: sa.Select[Any]) -> Mapping[str, bool]:
        described = self._relation(statement).description
        names = [item[0] for item in described]
        twins = sorted({name for name in names if names.count(name) > 1})
        if twins:
            raise SchemaError("the query names columns twice", value=twins, hint="Rename them with AS.")
        return {item[0]: str(item[1]).startswith(("DATE", "TIMESTAMP")) for item in described}

    def parts(self, statement: sa.Select[Any]) -> Iterator[pl.DataFrame]:
        relation = self._relation(statement)
        yield pl.DataFrame(relation.limit(0).to_arrow_table())
        reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader  # its name before 1.5
        for batch in reader(self._chunk):
            yield pl.DataFrame(batch)

    def row(self, statement: sa.Select[Any]) -> Sequence[Any]:
        row: Sequence[Any] = self._relation(statement).fetchall()[0]
        return row

    def _relation(self, statement: sa.Select[Any]) -> Any:
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        return self._connection.sql(str(compiled), params=values)


@contextmanager
def _connect(source: Source, root: Path) -> Iterator[_Session]:
    path = root / reveal(source.uri, root=root).partition("://")[2].removeprefix("/").partition("?")[0]
    databases.require_file(path, source)
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            yield _Session(connection, source.options.get("chunk_rows", databases.CHUNK_ROWS))
    except duckdb.Error as error:
        raise DataError(
            f"source {source.name!r}: {source.uri} cannot be read: {str(error).splitlines()[0]}",
            hint="Check the query, then run again.",
        ) from error
