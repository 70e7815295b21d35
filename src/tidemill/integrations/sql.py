"""Databases that SQLAlchemy speaks to, as sources: SQLite, PostgreSQL, MySQL and others. Nothing is ever written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from tidemill.core.errors import ConfigError, DataError, MissingExtraError, NotFoundError, SchemaError
from tidemill.data.sources.csv_types import narrowed
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.integrations import databases
from tidemill.project import reveal

_DRIVERS = {"postgresql": "psycopg", "postgres": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_EXTRAS = {"psycopg": "postgres", "pymysql": "mysql"}
_CHUNK = 50_000
#: The type codes of PostgreSQL, for columns without a value.
_POSTGRESQL: dict[int, pl.DataType] = {
    16: pl.Boolean(), 17: pl.Binary(), 20: pl.Int64(), 21: pl.Int64(), 23: pl.Int64(), 25: pl.String(),
    700: pl.Float64(), 701: pl.Float64(), 1042: pl.String(), 1043: pl.String(), 1082: pl.Date(),
    1114: pl.Datetime("us"), 1184: pl.Datetime("us", "UTC"), 1700: pl.Decimal(38, 9), 2950: pl.String(),
}  # fmt: skip
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
    def __init__(self, connection: sa.Connection, chunk: int, *, dates: bool) -> None:
        self._connection = connection
        self._chunk = chunk
        self._dates = dates
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
        names = list(result.keys())
        if self._connection.dialect.name != "postgresql":
            return dict.fromkeys(names, pl.Null())
        described = result.cursor.description
        return {name: _POSTGRESQL.get(item[1], pl.Null()) for name, item in zip(names, described, strict=True)}

    def row(self, statement: sa.Select[Any]) -> Sequence[Any]:
        return tuple(self._connection.execute(statement).one())

    def frame(self, statement: sa.Select[Any]) -> pl.DataFrame:
        result = self._connection.execution_options(stream_results=True).execute(statement)
        with closing(result):
            kinds = self._kinds(result)
            chunks = [pl.DataFrame(schema=kinds)]
            while rows := result.fetchmany(self._chunk):
                columns = zip(kinds.items(), zip(*rows, strict=True), strict=True)
                chunks.append(pl.DataFrame([_series(name, values, kind) for (name, kind), values in columns]))
        chunks = chunks[1:] or chunks
        _require_one_type(chunks)
        frame = pl.concat(chunks, how="vertical_relaxed")
        if not (self.text_times and self._dates):
            return frame
        return frame.with_columns(
            narrowed(frame[name], dates=True, numbers=False) for name, kind in frame.schema.items() if kind == pl.String
        )


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
        raise _mixed(name, kinds) from error


def _mixed(name: str, kinds: Sequence[str]) -> SchemaError:
    return SchemaError(
        f"column {name!r} holds values of several types", value=list(kinds), hint="Convert it with CAST in a query."
    )


def _require_one_type(chunks: Sequence[pl.DataFrame]) -> None:
    for name in chunks[0].columns:
        kinds = {chunk[name].dtype for chunk in chunks} - {pl.Null()}
        if len(kinds) > 1 and not (
            all(kind.is_numeric() for kind in kinds) or len({k.base_type() for k in kinds}) == 1
        ):
            raise _mixed(name, sorted(map(str, kinds)))


@contextmanager
def _connect(source: Source, root: Path) -> Iterator[_Session]:
    engine = _engine(source, root)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
            chunk = source.options.get("chunk_rows", _CHUNK)
            yield _Session(connection, chunk, dates=source.options.get("dates", True))
    except sa.exc.SQLAlchemyError as error:
        text = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        raise DataError(
            f"{shown(source.uri)} cannot be read: {_without_password(text.splitlines()[0], engine.url)}",
            hint="Check the address, the query and your rights, then run again.",
        ) from error
    finally:
        engine.dispose()


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
    if not path.is_file():
        raise NotFoundError(
            f"the database of source {source.name!r} is not there", value=str(path), hint="Check the path in its uri."
        )
    return f"sqlite:///file:{path.as_posix()}?mode=ro&uri=true"
