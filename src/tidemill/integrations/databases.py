"""What all databases have in common as sources: the statements, the snapshot, the window."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import polars as pl
import sqlalchemy as sa

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError, NotFoundError, SchemaError
from tidemill.data.sources.cache import cached, keep, receiving
from tidemill.data.sources.conditions import Term, pushable
from tidemill.data.sources.pinning import changed
from tidemill.data.sources.selecting import columns_needed, condition
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.integrations.snapshots import write_snapshot

#: Rows that are fetched at a time, unless the option ``chunk_rows`` says another number.
CHUNK_ROWS = 50_000
_NAME = "snapshot.parquet"
#: Time zones differ by less than a day either way.
_ZONES = timedelta(days=1)


class Session(Protocol):
    """An open connection that reads."""

    #: Whether times are kept as text.
    text_times: bool

    def columns(self, statement: sa.Select[Any]) -> Mapping[str, bool]:
        """The names of a statement's columns in order, and whether each is a time."""
        ...

    def parts(self, statement: sa.Select[Any]) -> Iterator[pl.DataFrame]:
        """All rows, some at a time: a table may be larger than memory. One empty part if there are none."""
        ...

    def row(self, statement: sa.Select[Any]) -> Sequence[Any]:
        """The one row of an aggregate."""
        ...


Connect: TypeAlias = Callable[[Source, Path], AbstractContextManager[Session]]


def pin(
    connect: Connect, source: Source, root: Path, selection: Selection, window: Window | None
) -> tuple[tuple[SourceFile, ...], Window | None]:
    """Pin a table or query: by the content of a snapshot, or by the window of its cursor and the rows in it."""
    with connect(source, root) as session:
        names = _names(session, source, selection, window)
        if window is None:
            return (_snapshot(session, _statement(session, source, selection, names), root, source),), None
        cursor: sa.ColumnClause[Any] = sa.column(window.column)
        if window.upto is None:
            (newest,) = session.row(sa.select(sa.func.max(cursor)).select_from(_origin(source)))
            window = Window(window.column, window.after, newest)
        counting = sa.select(sa.func.count()).select_from(_origin(source)).where(*_in_window(window))
        (rows,) = session.row(counting)
    token = digest_value([_asked(source), window, rows])
    return (SourceFile(_asked(source), 0, token),), window


def scan(connect: Connect, resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:
    """The rows of a pinned snapshot, or of a window as they are now.

    A row of the window that was changed since has moved on to the next window, where it is read.
    """
    source, (file,) = resolved.source, resolved.files
    if resolved.window is None:
        kept = cached(root, file.digest, _NAME)
        if kept is not None:
            return pl.scan_parquet(kept)
    with connect(source, root) as session:
        names = _names(session, source, selection, resolved.window)
        statement = _statement(session, source, selection, names)
        if resolved.window is not None:
            statement = statement.where(*_in_window(resolved.window))
        found = _snapshot(session, statement, root, source)
    if resolved.window is None and found.digest != file.digest:
        raise changed(source, file)
    kept = cached(root, found.digest, _NAME)
    assert kept is not None, "it was kept a moment ago"
    return pl.scan_parquet(kept)


def require_file(path: Path, source: Source) -> None:
    """Raise NotFoundError if the file of a database is not there: most would make an empty one."""
    if not path.is_file():
        raise NotFoundError(
            f"the database of source {source.name!r} is not there", value=str(path), hint="Check the path in its uri."
        )


def _asked(source: Source) -> str:
    """What the source asks for, as text."""
    query, table = source.options.get("query"), source.options.get("table")
    if (query is None) == (table is None):
        raise ConfigError(
            f"[sources.{source.name}] is a database and needs either query or table",
            value={"query": query, "table": table},
            hint='Write table = "flights", or query = "SELECT …".',
        )
    return f"table {table}" if query is None else str(query).strip().rstrip(";").strip()


def _origin(source: Source) -> sa.FromClause:
    asked = _asked(source)
    table = source.options.get("table")
    if table is not None:
        schema, _, name = table.rpartition(".")
        return sa.table(name, schema=schema or None)
    colons = re.sub(r":(?=\w)", r"\\:", asked)  # they are not parameters
    return sa.text(f"(\n{colons}\n) AS tidemill_source")  # type: ignore[return-value]  # it stands where one does


def _names(session: Session, source: Source, selection: Selection, window: Window | None) -> Mapping[str, bool]:
    """The columns of the source, after checking that it has what is asked for."""
    names = session.columns(sa.select(sa.text("*")).select_from(_origin(source)).where(sa.text("1 = 0")))
    needed = columns_needed(source, selection, window) or []
    if selection.where is not None:
        needed = [*needed, *condition(selection.where).meta.root_names()]
    if window is not None:
        needed = [*needed, window.column]
    missing = sorted({name for name in needed if name not in names})
    if missing:
        raise SchemaError(
            f"source {source.name!r} does not have all columns that were asked for",
            value=missing,
            hint=f"Columns are: {', '.join(names)}.",
        )
    return names


def _statement(session: Session, source: Source, selection: Selection, names: Mapping[str, bool]) -> sa.Select[Any]:
    wanted = columns_needed(source, selection, None) or list(names)
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in wanted]
    statement = cast("sa.Select[Any]", sa.select(*columns).select_from(_origin(source)))
    if selection.where is not None:
        statement = statement.where(*(_clause(term) for term in pushable(selection.where)))
    when = source.event_time
    if when is not None and (names.get(when) or session.text_times):
        statement = statement.where(*_span(sa.column(when), selection, as_text=session.text_times))
    return statement


def _clause(term: Term) -> sa.ColumnElement[bool]:
    column: sa.ColumnClause[Any] = sa.column(term.column)
    if term.operator == "in":
        return column.in_(term.values)
    if term.operator == "is null":
        return column.is_(None)
    if term.operator == "is not null":
        return column.is_not(None)
    (value,) = term.values
    if term.operator == "=":
        return column == value
    return column <= value if term.operator == "<=" else column >= value


def _span(column: sa.ColumnClause[Any], selection: Selection, *, as_text: bool) -> list[sa.ColumnElement[bool]]:
    """A span that surely contains the one that is meant, whatever the zones are."""
    clauses: list[sa.ColumnElement[bool]] = []
    for value, sign in ((selection.since, -1), (selection.until, 1)):
        if value is None:
            continue
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        bound: Any = moment.replace(tzinfo=None) + sign * (_ZONES + _ZONES)
        if as_text:  # "2013-01-01 …" and "2013-01-01T…" are both after "2013-01-01"
            bound = bound.date().isoformat()
        clause = column >= bound if sign < 0 else column <= bound
        clauses.append(sa.or_(sa.func.typeof(column) != "text", clause) if as_text else clause)
    return clauses


def _in_window(window: Window) -> list[sa.ColumnElement[bool]]:
    """``after < cursor <= upto``; rows without a cursor value belong to the first window."""
    column: sa.ColumnClause[Any] = sa.column(window.column)
    if window.after is not None:
        return [column > window.after, column <= (window.after if window.upto is None else window.upto)]
    return [column.is_(None)] if window.upto is None else [sa.or_(column <= window.upto, column.is_(None))]


def _snapshot(session: Session, statement: sa.Select[Any], root: Path, source: Source) -> SourceFile:
    """Keep what a statement gives, all of it or nothing."""
    with receiving(root) as temporary:
        dates = session.text_times and bool(source.options.get("dates", True))
        write_snapshot(session.parts(statement), temporary, text_times=dates)
        path, digest = keep(root, temporary, _NAME)
    return SourceFile(_asked(source), path.stat().st_size, digest)
