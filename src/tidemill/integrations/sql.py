"""Databases that SQLAlchemy speaks to, as sources: SQLite, PostgreSQL, MySQL and others. Nothing is ever written."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from tidemill.core.errors import ConfigError, DataError, MissingExtraError, SchemaError
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.integrations import adbc, databases
from tidemill.integrations.snapshots import mixed
from tidemill.project import reveal

_DRIVERS = {"postgresql": "psycopg", "postgres": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_EXTRAS = {"psycopg": "postgres", "pymysql": "mysql"}
#: The type codes of PostgreSQL, for columns without a value.
_POSTGRESQL: dict[int, pl.DataType] = {
    16: pl.Boolean(), 17: pl.Binary(), 20: pl.Int64(), 21: pl.Int64(), 23: pl.Int64(), 25: pl.String(),
    700: pl.Float64(), 701: pl.Float64(), 1042: pl.String(), 1043: pl.String(), 1082: pl.Date(),
    1114: pl.Datetime("us"), 1184: pl.Datetime("us", "UTC"), 1700: pl.Decimal(38, 9), 2950: pl.String(),
}  # fmt: skip
#: Those of MySQL and MariaDB.
_MYSQL: dict[int, pl.DataType] = {
    **dict.fromkeys((1, 2, 3, 8, 9, 13), pl.Int64()), **dict.fromkeys((4, 5), pl.Float64()), 7: pl.Datetime("us"),
    10: pl.Date(), 12: pl.Datetime("us"), 253: pl.String(), 254: pl.String(),
}  # fmt: skip
_CODES = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}
_AS_TEXT = ("UUID", "IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "Range")


def pin(
    source: Source, root: Path, selection: Selection, window: Window | None
) -> tuple[tuple[SourceFile, ...], Window | None]:
    """Pin a table or query; see `tidemill.integrations.databases`."""
    return databases.pin(_connect, source, root, selection, window)


def scan(resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:
    """The rows of a pinned table or query."""
    return databases.scan(_connect, resolved, root, selection)


class _Session:
    def __init__(self, connection: sa.Connection, source: Source, arrow: str | None) -> None:
        self._connection = connection
        self._source = source
        self._chunk = source.options.get("chunk_rows", databases.CHUNK_ROWS)
        #: Where ADBC finds the same database, if it can.
        self._arrow = arrow
        self.text_times = connection.dialect.name == "sqlite"

    def columns(self, statement: sa.Select[Any]) -> Mapping[str, bool]:
        result = self._connection.execute(statement)
        names = list(result.keys())
        twins = sorted({name for name in names if names.count(name) > 1})
        if twins:
            raise SchemaError("the query names columns twice", value=twins, hint="Rename them with AS.")
        kinds = self._kinds(result)
        result.close()
        return {name: kind.is_temporal() for name, kind in kinds.items()}

    def _kinds(self, result: Any) -> dict[str, pl.DataType]:
        """The types that the database itself tells; `Null` where it does not."""
        codes = _CODES.get(self._connection.dialect.name, {})
        described = zip(result.keys(), result.cursor.description, strict=True)
        return {name: codes.get(item[1], pl.Null()) for name, item in described}

    def row(self, statement: sa.Select[Any]) -> Sequence[Any]:
        return tuple(self._connection.execute(statement).one())

    def parts(self, statement: sa.Select[Any]) -> Iterator[pl.DataFrame]:
        arrow = self._as_arrow(statement)
        if arrow is not None:
            yield from arrow
            return
        result = self._connection.execution_options(stream_results=True).execute(statement)
        cursor: Any = result.cursor
        with closing(result):
            kinds = self._kinds(result)
            empty = True
            try:
                while rows := result.fetchmany(self._chunk):
                    columns = zip(kinds.items(), zip(*rows, strict=True), strict=True)
                    yield pl.DataFrame([_series(name, values, kind) for (name, kind), values in columns])
                    empty = False
            except sa.exc.DBAPIError:
                _give_up(cursor)
                raise
            if empty:
                yield pl.DataFrame(schema=kinds)

    def _as_arrow(self, statement: sa.Select[Any]) -> Iterator[pl.DataFrame] | None:
        """The rows through ADBC, if it is installed and reads all the types that there are alike."""
        if self._arrow is None:
            return None
        with closing(self._connection.execute(statement.limit(0))) as described:
            codes = [item[1] for item in described.cursor.description]
            kinds = self._kinds(described)
        if not adbc.SAFE.issuperset(codes):
            return None
        compiled = statement.compile(dialect=self._connection.dialect, compile_kwargs={"render_postcompile": True})
        client: Any = importlib.import_module("psycopg").ClientCursor
        text = client(self._connection.connection.driver_connection).mogrify(str(compiled), compiled.params)
        return adbc.postgresql_parts(self._source, self._arrow, text, kinds)


def _give_up(cursor: Any) -> None:
    """PyMySQL would read on from a connection that is gone, and complain about it, when its cursor is collected."""
    unread: Any = getattr(cursor, "_result", None)
    if getattr(unread, "unbuffered_active", False):
        unread.unbuffered_active = False


def _series(name: str, values: Sequence[Any], kind: pl.DataType) -> pl.Series:
    first = next((value for value in values if value is not None), None)
    if type(first).__name__ in _AS_TEXT:
        values = [None if value is None else str(value) for value in values]
    elif isinstance(first, memoryview):
        values = [None if value is None else bytes(value) for value in values]
    if {type(value) for value in values} - {type(None)} == {int, float}:
        values = [None if value is None else float(value) for value in values]
    try:
        return pl.Series(name, values, kind if first is None else None, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise mixed(name, kinds) from error


@contextmanager
def _connect(source: Source, root: Path) -> Iterator[_Session]:
    engine = _engine(source, root)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
            yield _Session(connection, source, _arrow(source, root))
    except _errors() as error:
        text = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        raise DataError(
            f"source {source.name!r}: {shown(source.uri)} cannot be read: "
            f"{_without_password(text.splitlines()[0], engine.url)}",
            hint="Check the address, the query and your rights, then run again.",
        ) from error
    finally:
        engine.dispose()


def _arrow(source: Source, root: Path) -> str | None:
    """The address for ADBC; None where it is not installed, or another driver is named."""
    scheme, _, rest = reveal(source.uri, root=root).partition("://")
    return f"postgresql://{rest}" if scheme in ("postgresql", "postgres") and adbc.is_installed() else None


def _errors() -> tuple[type[Exception], ...]:
    """What SQLAlchemy raises, and what drivers do where they are not called through it."""
    found: list[Any] = [sys.modules[name] for name in ("pymysql", "psycopg") if name in sys.modules]
    return (sa.exc.SQLAlchemyError, *(module.Error for module in found))


def _without_password(text: str, url: sa.URL) -> str:
    return shown(text.replace(str(url.password), "***") if url.password else text)


def _engine(source: Source, root: Path) -> sa.Engine:
    uri = reveal(source.uri, root=root)
    scheme, _, rest = uri.partition("://")
    driver = _DRIVERS.get(scheme)
    if scheme == "sqlite":
        uri = _read_only(rest, root, source)
    elif driver is not None:
        uri = f"{'postgresql' if scheme == 'postgres' else scheme}+{driver}://{rest}"
    try:
        return sa.create_engine(uri, poolclass=sa.NullPool)
    except ModuleNotFoundError as error:
        package = str(error.name)
        raise MissingExtraError(package, _EXTRAS.get(package, "sql"), purpose=f"reading {shown(source.uri)}") from error
    except sa.exc.ArgumentError as error:
        raise ConfigError(
            f"[sources.{source.name}] has a URL that cannot be read",
            value=shown(source.uri),
            hint="Write postgresql://user:${env:PASSWORD}@host/database, for example.",
        ) from error


def _read_only(rest: str, root: Path, source: Source) -> str:
    path = root / rest.removeprefix("/").partition("?")[0]
    databases.require_file(path, source)
    return f"sqlite:///file:{path.as_posix()}?mode=ro&uri=true"
