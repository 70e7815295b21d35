"""Tables and queries of Spark as sources: a session of this process, a master, or a server of Spark Connect.

::

    [sources.trips]
    uri = "spark://local[2]"                 # spark:// is the active session; spark://host:7077; sc://host:15002
    query = "SELECT * FROM parquet.`/data/trips`"
    conf = { "spark.sql.session.timeZone" = "UTC" }
    timeout = 600                            # seconds for one query

Spark gives rows in no order of its own. So what a snapshot holds is told by its set of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError, SchemaError
from tidemill.data.sources.cache import cached, keep, recall, receiving, remember
from tidemill.data.sources.conditions import Term, pushable
from tidemill.data.sources.pinning import changed
from tidemill.data.sources.selecting import columns_needed, condition
from tidemill.data.sources.source import CursorValue, ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.data.types import table_schema
from tidemill.integrations.spark_errors import failures, limited
from tidemill.integrations.spark_session import session_of
from tidemill.integrations.spark_tables import received
from tidemill.project import reveal, reveal_all

_NAME = "table.parquet"
#: Time zones differ by less than a day either way.
_ZONES = timedelta(days=2)
_MODULUS = 1 << 128
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
_TIMES = ("date", "timestamp", "timestamp_ntz")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a source asks for: as text, and as a Spark table."""

    text: str
    frame: Any
    seconds: float | None


def pin(
    source: Source, root: Path, selection: Selection, window: Window | None
) -> tuple[tuple[SourceFile, ...], Window | None]:
    """Pin a table or query: by the content of a snapshot, or by the window of its cursor and the rows in it.

    Raises
    ------
    DataError
        If Spark does not answer, or refuses the query: the message names it.
    """
    with _asking(source, root, selection, window) as asked:
        if window is None:
            return (_snapshot(asked, _wanted(asked.frame, source, selection), root)[1],), None
        column = _quoted(window.column)
        _require_order(asked.frame, window.column, source)
        if window.upto is None:
            newest = _first(asked.frame.selectExpr(f"max({column}) AS newest"))
            window = Window(window.column, window.after, newest)
        rows = _first(asked.frame.where(_in_window(asked.frame, window)).selectExpr("count(*) AS rows"))
    return (SourceFile(asked.text, 0, digest_value([asked.text, window, rows])),), window


def scan(resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:
    """The rows of a pinned snapshot, or of a window as they are now."""
    source, (file,) = resolved.source, resolved.files
    kept = recall(root, _note(file.digest), _NAME)
    path = None if kept is None or resolved.window is not None else cached(root, kept, _NAME)
    if path is not None:
        return pl.scan_parquet(path, glob=False)
    with _asking(source, root, selection, resolved.window) as asked:
        frame = _wanted(asked.frame, source, selection, resolved.window)
        path, again = _snapshot(asked, frame, root)
    if resolved.window is None and again.digest != file.digest:
        raise changed(source, file)
    return pl.scan_parquet(path, glob=False)


@contextmanager
def _asking(source: Source, root: Path, selection: Selection, window: Window | None) -> Iterator[_Asked]:
    text = _text(source)
    options = reveal_all(dict(source.options), root=root)
    session = session_of(reveal(source.uri, root=root), options.get("conf", {}), source.name)
    seconds = options.get("timeout")
    with limited(session, seconds, text), failures(f"read source {source.name!r}", text):
        table = source.options.get("table")
        frame = session.table(table) if table is not None else session.sql(f"SELECT * FROM (\n{text}\n)")
        _require_columns(frame, source, selection, window)
        yield _Asked(text, frame, seconds)


def _text(source: Source) -> str:
    query, table = source.options.get("query"), source.options.get("table")
    if (query is None) == (table is None):
        raise ConfigError(
            f"[sources.{source.name}] is read by Spark and needs either query or table",
            value={"query": query, "table": table},
            hint='Write table = "flights", or query = "SELECT …".',
        )
    return f"table {table}" if query is None else str(query).strip().rstrip(";").strip()


def _require_columns(frame: Any, source: Source, selection: Selection, window: Window | None) -> None:
    needed = columns_needed(source, selection, window) or []
    if selection.where is not None:
        needed = [*needed, *condition(selection.where).meta.root_names()]
    if window is not None:
        needed = [*needed, window.column]
    missing = sorted(set(needed) - set(frame.columns))
    if missing:
        raise SchemaError(
            f"source {source.name!r} does not have all columns that were asked for",
            value=missing,
            hint=f"Columns are: {', '.join(frame.columns)}.",
        )


def _require_order(frame: Any, column: str, source: Source) -> None:
    kind = dict(frame.dtypes)[column]
    if kind not in (*_TIMES, *_NUMBERS, "string"):
        raise SchemaError(
            f"the cursor of source {source.name!r} is {kind}, which a cursor does not go by",
            value=column,
            hint="Use a time, a number or a text column that only grows; CAST a decimal to bigint.",
        )


def _wanted(frame: Any, source: Source, selection: Selection, window: Window | None = None) -> Any:
    """The rows and columns that can be meant: Spark reads no others."""
    kinds = dict(frame.dtypes)
    terms = [] if selection.where is None else [_term(term, kinds) for term in pushable(selection.where)]
    if source.event_time is not None and kinds.get(source.event_time) in _TIMES:
        terms += _span(source.event_time, kinds[source.event_time], selection)
    if window is not None:
        terms.append(_in_window(frame, window))
    for term in filter(None, terms):
        frame = frame.where(term)
    columns = columns_needed(source, selection, None)
    return frame if columns is None else frame.select(*map(_quoted, columns))


def _snapshot(asked: _Asked, frame: Any, root: Path) -> tuple[Path, SourceFile]:
    with receiving(root) as temporary, TemporaryDirectory(dir=temporary.parent, prefix="tmp-") as folder:
        content = _written(received(frame, Path(folder)), temporary)
        path, digest = keep(root, temporary, _NAME)
    remember(root, _note(content), _NAME, digest)
    return path, SourceFile(asked.text, path.stat().st_size, content)


def _note(content: str) -> list[str]:
    return ["rows of a Spark table", content]


def _written(batches: pa.RecordBatchReader, path: Path) -> str:
    """Write a stream to a Parquet file; a digest of its rows that is the same in whatever order they come."""
    rows, sums = 0, [0, 0]
    with pq.ParquetWriter(path, batches.schema, compression="zstd") as out:
        for batch in batches:
            out.write_batch(batch)
            row = pl.DataFrame(batch).select(pl.struct(pl.all()))
            found = row.select(pl.all().hash(seed).cast(pl.Int128).sum().alias(str(seed)) for seed in (1, 2)).row(0)
            rows, sums = rows + batch.num_rows, [(one + more) % _MODULUS for one, more in zip(sums, found, strict=True)]
    return digest_value([table_schema(pl.scan_parquet(path, glob=False)).to_dict(), rows, [str(one) for one in sums]])


def _first(frame: Any) -> Any:
    """The one value of an aggregate; by Arrow, since rows of Python have their times in the zone of this machine."""
    value = pl.DataFrame(frame.toArrow()).item()
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value


def _term(term: Term, kinds: dict[str, str]) -> str | None:
    """A term as Spark's SQL; None where its types make Spark compare in a way of its own."""
    column, kind = _quoted(term.column), kinds[term.column].partition("(")[0]
    if term.operator == "is null":
        return f"{column} IS NULL"
    if term.operator == "is not null":
        return f"{column} IS NOT NULL"
    if not all(kind == "string" if isinstance(value, str) else kind in _NUMBERS for value in term.values):
        return None
    values = [_literal(value, kind) for value in term.values]
    return f"{column} IN ({', '.join(values)})" if term.operator == "in" else f"{column} {term.operator} {values[0]}"


def _span(column: str, kind: str, selection: Selection) -> list[str]:
    """A span that surely contains the one that is meant, whatever the zones are."""
    terms = []
    for value, sign, operator in ((selection.since, -1, ">="), (selection.until, 1, "<=")):
        if value is not None:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            bound = moment.replace(tzinfo=None) + sign * _ZONES
            terms.append(f"{_quoted(column)} {operator} {_literal(bound, kind)}")
    return terms


def _in_window(frame: Any, window: Window) -> str:
    """``after < cursor <= upto``; rows without a cursor value belong to the first window."""
    column, kind = _quoted(window.column), dict(frame.dtypes)[window.column].partition("(")[0]
    if window.after is not None:
        upto = window.after if window.upto is None else window.upto
        return f"{column} > {_literal(window.after, kind)} AND {column} <= {_literal(upto, kind)}"
    return f"{column} IS NULL" + ("" if window.upto is None else f" OR {column} <= {_literal(window.upto, kind)}")


def _literal(value: CursorValue, kind: str) -> str:
    """A value as Spark's SQL, whatever the session makes of backslashes and of its time zone.

    >>> _literal("it's", "string"), _literal(7, "int")
    ("CAST(X'69742773' AS STRING)", '7')
    >>> _literal(datetime(2013, 1, 1, 12), "timestamp")
    "TIMESTAMP_LTZ '2013-01-01 12:00:00.000000+00:00'"
    """
    if isinstance(value, str):
        return f"CAST(X'{value.encode().hex()}' AS STRING)"
    if isinstance(value, float):
        return f"CAST('{value!r}' AS DOUBLE)"
    if not isinstance(value, date):
        return str(value)
    if kind == "date" or not isinstance(value, datetime):
        return f"DATE '{value.isoformat()[:10]}'"
    if kind == "timestamp_ntz":
        return f"TIMESTAMP_NTZ '{value.replace(tzinfo=None).isoformat(' ', 'microseconds')}'"
    moment = value.isoformat(" ", "microseconds")
    return f"TIMESTAMP_LTZ '{moment if value.tzinfo else f'{moment}+00:00'}'"


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
