"""Databases through ADBC: rows come as Arrow, in batches. Any driver as ``adbc+NAME://…``, and PostgreSQL by itself."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine.default import DefaultDialect

from tidemill.core.errors import DataError, MissingExtraError, SchemaError
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.integrations import databases
from tidemill.project import reveal

#: What the drivers' SQL is like; another one's is taken for standard SQL.
_DIALECTS: dict[str, Any] = {
    "postgresql": postgresql.dialect, "redshift": postgresql.dialect, "duckdb": postgresql.dialect,
    "sqlite": sqlite.dialect, "mysql": mysql.dialect, "bigquery": mysql.dialect,
}  # fmt: skip
_QUESTION_MARKS = ("sqlite", "mysql", "bigquery")
#: Drivers whose URI is the path of a file.
_FILES = ("sqlite", "duckdb")
#: Types of PostgreSQL that its ADBC driver and psycopg read alike.
SAFE = frozenset({16, 17, 20, 21, 23, 25, 700, 701, 1043, 1082, 1114, 1184})


def pin(
    source: Source, root: Path, selection: Selection, window: Window | None
) -> tuple[tuple[SourceFile, ...], Window | None]:
    """Pin a table or query; see `tidemill.integrations.databases`."""
    return databases.pin(_connect, source, root, selection, window)


def scan(resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:
    """The rows of a pinned table or query."""
    return databases.scan(_connect, resolved, root, selection)


def is_installed() -> bool:
    """Whether the driver for PostgreSQL, and what it needs, is here."""
    return all(importlib.util.find_spec(name) for name in ("adbc_driver_postgresql", "adbc_driver_manager", "pyarrow"))


def postgresql_parts(
    source: Source, uri: str, statement: str, kinds: Mapping[str, pl.DataType]
) -> Iterator[pl.DataFrame]:
    """The rows of a statement on PostgreSQL, in the types that its other driver gives."""
    driver = _driver("postgresql", f"reading {shown(source.uri)}")
    with _said(source), closing(driver.connect(uri)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        connection.commit()
        cursor.execute(statement)
        yield pl.DataFrame(schema=dict(kinds))
        for batch in cursor.fetch_record_batch():
            yield pl.DataFrame([_like(column, kinds[column.name]) for column in pl.DataFrame(batch).get_columns()])


def _like(column: pl.Series, kind: pl.DataType) -> pl.Series:
    if column.dtype == pl.Float32:  # 0.1 stays 0.1
        return column.cast(pl.String).cast(kind)
    if kind.is_temporal() and column.len():
        far = column.to_physical().cast(pl.Int64).abs().max()
        if far is not None and far >= _FOREVER[kind.base_type()]:  # type: ignore[operator]  # a number, a time type
            raise SchemaError(
                f"column {column.name!r} has a time that is infinite or after the year 9999",
                hint="Replace it in a query: NULLIF(column, 'infinity').",
            )
    return column.cast(kind)


_DAYS = 2_932_897  # from 1970 to the year 10000
_FOREVER: dict[Any, int] = {pl.Date: _DAYS, pl.Datetime: _DAYS * 86_400_000_000}


class _Session:
    def __init__(self, connection: Any, dialect: DefaultDialect, *, text_times: bool) -> None:
        self._connection = connection
        self._dialect = dialect
        self.text_times = text_times

    def columns(self, statement: sa.Select[Any]) -> Mapping[str, bool]:
        with closing(self._executed(statement)) as cursor:
            frame = pl.DataFrame(cursor.fetch_arrow_table())
            names = [item[0] for item in cursor.description]
        twins = sorted({name for name in names if names.count(name) > 1})
        if twins:
            raise SchemaError("the query names columns twice", value=twins, hint="Rename them with AS.")
        return {name: kind.is_temporal() for name, kind in frame.schema.items()}

    def row(self, statement: sa.Select[Any]) -> Sequence[Any]:
        with closing(self._executed(statement)) as cursor:
            row: Sequence[Any] = cursor.fetchone()
        return row

    def parts(self, statement: sa.Select[Any]) -> Iterator[pl.DataFrame]:
        with closing(self._executed(statement)) as cursor:
            reader = cursor.fetch_record_batch()
            yield pl.DataFrame(reader.schema.empty_table())
            for batch in reader:
                yield pl.DataFrame(batch)

    def _executed(self, statement: sa.Select[Any]) -> Any:
        compiled = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        cursor = self._connection.cursor()
        cursor.execute(str(compiled), values or None)
        return cursor


@contextmanager
def _connect(source: Source, root: Path) -> Iterator[_Session]:
    scheme, _, rest = reveal(source.uri, root=root).partition("://")
    name = scheme.partition("+")[2]
    driver = _driver(name, f"reading {shown(source.uri)}")
    paramstyle: Any = "qmark" if name in _QUESTION_MARKS else "numeric_dollar"
    dialect = _DIALECTS.get(name, DefaultDialect)(paramstyle=paramstyle)
    with _said(source), closing(_opened(driver, name, rest, root, source)) as connection:
        yield _Session(connection, dialect, text_times=name == "sqlite")


@contextmanager
def _said(source: Source) -> Iterator[None]:
    """What a driver raises, also in the middle of a stream, as an error that names the source, without secrets."""
    manager: Any = importlib.import_module("adbc_driver_manager")
    arrow: Any = importlib.import_module("pyarrow")
    try:
        yield
    except (manager.Error, arrow.ArrowException, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"source {source.name!r}: {shown(source.uri)} cannot be read: {shown(lines[0])}",
            hint="Check the address, the query and your rights, then run again.",
        ) from error


def _opened(driver: ModuleType, name: str, rest: str, root: Path, source: Source) -> Any:
    if name not in _FILES:
        return driver.connect(f"{name}://{rest}")
    path = root / rest.removeprefix("/").partition("?")[0]
    databases.require_file(path, source)
    return driver.connect(f"file:{path.as_posix()}?mode=ro" if name == "sqlite" else str(path))


def _driver(name: str, purpose: str) -> ModuleType:
    package = f"adbc_driver_{name}"
    try:
        importlib.import_module("pyarrow")
        return importlib.import_module(f"{package}.dbapi")
    except ModuleNotFoundError as error:
        missing = package if str(error.name).startswith(package) else str(error.name)
        raise MissingExtraError(missing.replace("_", "-"), "adbc", purpose=purpose) from error
