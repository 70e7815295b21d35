"""Pin a source to what it holds now, and find it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.core.errors import ConfigError, DataError, NotFoundError, UsageError
from tidemill.data.sources.applicable import require_applicable
from tidemill.data.sources.cache import cached
from tidemill.data.sources.fingerprint import file_digest
from tidemill.data.sources.formats import format_of
from tidemill.data.sources.partitions import partition_of
from tidemill.data.sources.remote import fetch
from tidemill.data.sources.schemes import REMOTE, Found, connector_of, locator_of, scheme_of
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window, parse_source
from tidemill.project import reveal

_ALL = Selection()


def find_source(
    name_or_uri: str | Source | ResolvedSource,
    *,
    root: Path,
    sources: Mapping[str, Mapping[str, Any]],
    options: Mapping[str, Any] | None = None,
) -> Source:
    """The declaration behind a name, a path or a URI.

    Parameters
    ----------
    name_or_uri, root, sources
        See `resolve_source`.
    options
        Keys of a ``[sources.*]`` table that are added to the declaration, or replace what it says.

    Raises
    ------
    NotFoundError
        If it is neither a declared name nor looks like a place.
    ConfigError
        If an option is unknown or of the wrong type.
    """
    if options:
        return _with_options(find_source(name_or_uri, root=root, sources=sources), options)
    if isinstance(name_or_uri, ResolvedSource):
        return name_or_uri.source
    if isinstance(name_or_uri, Source):
        return name_or_uri
    if not isinstance(name_or_uri, str):
        raise UsageError("not a source", value=name_or_uri, hint="Give a declared name, a path or a URI as text.")
    if name_or_uri in sources:
        return parse_source(name_or_uri, sources[name_or_uri])
    looks_like_place = "://" in name_or_uri or "/" in name_or_uri or "." in name_or_uri
    if not looks_like_place and not (root / name_or_uri).exists():
        raise NotFoundError(
            "no source of this name is declared",
            value=name_or_uri,
            hint=f"Declared: {', '.join(sorted(sources)) or 'none'}. Add [sources.{name_or_uri}] to tidemill.toml.",
        )
    return Source(shown(name_or_uri), name_or_uri)


def _with_options(source: Source, options: Mapping[str, Any]) -> Source:
    if "uri" in options:
        raise UsageError("the uri of a source is no option", value=options["uri"], hint="Read that one instead.")
    told = {
        "uri": source.uri, "format": source.format, "event_time": source.event_time,
        "available_at": source.available_at, "cursor": source.cursor, **source.options,
    }  # fmt: skip
    return parse_source(source.name, {**told, **options})


def resolve_source(
    name_or_uri: str | Source | ResolvedSource,
    *,
    root: Path,
    sources: Mapping[str, Mapping[str, Any]],
    selection: Selection = _ALL,
    window: Window | None = None,
) -> ResolvedSource:
    """Pin a source to what it holds now.

    Parameters
    ----------
    name_or_uri
        A name in `sources`, a path or URI, or a source made in code.
    root
        Where relative paths count from: the project's folder.
    sources
        The ``[sources.*]`` tables of the project.
    selection
        What is wanted of it: a database or an API is asked for no more.
    window
        Of an incremental source: what comes after ``after``; an ``upto`` that is given is kept.

    Raises
    ------
    NotFoundError
        If it is neither a declared name nor a file.
    ConfigError
        If it has options that what reads it would ignore.
    """
    if isinstance(name_or_uri, ResolvedSource):
        return name_or_uri
    source = find_source(name_or_uri, root=root, sources=sources)
    connector = connector_of(source)
    if connector is not None:
        require_applicable(source, getattr(connector, "__name__", ""))
        files, window = connector.pin(source, root, selection, window)
        return ResolvedSource(source, files, window)
    found = _found(source, root)
    kind = source.format or _one_format(source, [path for _, path in found])
    require_applicable(source, kind)
    pinned = Source(
        source.name, source.uri, kind, source.event_time, source.available_at, source.options, source.cursor
    )
    return ResolvedSource(pinned, tuple(_pin(item, source, root) for item in found), window)


def _one_format(source: Source, paths: Sequence[Path]) -> str:
    """The format of all files; a folder of several is no table."""
    kinds = {format_of(path.name): path.name for path in reversed(paths)}
    if len(kinds) > 1:
        raise ConfigError(
            f"source {source.name!r} has files of several formats",
            value=dict(sorted(kinds.items())),
            hint='Name those of one format with a glob, such as uri = "data/*.csv".',
        )
    return next(iter(kinds))


def paths_of(resolved: ResolvedSource, root: Path) -> list[Path]:
    """Where the pinned files are, after checking that they still hold the pinned bytes.

    Raises
    ------
    DataError
        If one has changed or gone.
    """
    remote = scheme_of(resolved.source.uri) in REMOTE
    here = [cached(root, file.digest, _name(file)) if remote else None for file in resolved.files]
    if all(path is not None for path in here):
        return [path for path in here if path is not None]
    found = {_address(item, resolved.source, root): item[1] for item in _found(resolved.source, root)}
    paths = []
    for file in resolved.files:
        path = found.get(file.path)
        if path is None or file_digest(path)[1] != file.digest:
            raise changed(resolved.source, file)
        paths.append(path)
    return paths


def changed(source: Source, file: SourceFile) -> DataError:
    """What was pinned is not there any more."""
    return DataError(
        f"source {source.name!r} changed after the run was planned",
        value=file.path,
        hint="Run again: the new content has a new fingerprint.",
    )


def _found(source: Source, root: Path) -> list[Found]:
    if scheme_of(source.uri) in REMOTE:
        return fetch(source.uri, root, source.options.get("storage_options", {}))
    paths = locator_of(source.uri)(reveal(source.uri, root=root), root)
    return [(str(path), path) for path in paths]


def _address(item: Found, source: Source, root: Path) -> str:
    address, path = item
    if scheme_of(source.uri) in REMOTE:
        return address
    if source.uri.startswith("package://"):
        return source.uri
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else address


def _pin(item: Found, source: Source, root: Path) -> SourceFile:
    size, digest = file_digest(item[1])
    address = _address(item, source, root)
    partition = partition_of(_inside(address, shown(source.uri))) if source.options.get("partitions", True) else ()
    return SourceFile(address, size, digest, partition)


def _inside(address: str, uri: str) -> str:
    """The part of an address below the folder that the source names: only there do folders name columns."""
    fixed = uri.removeprefix("file://")
    for sign in "*?[":
        fixed = fixed.partition(sign)[0]
    if len(fixed) < len(uri.removeprefix("file://")):
        fixed = fixed[: fixed.rfind("/") + 1]
    return address.removeprefix(fixed).removeprefix("/") if address != fixed else ""


def _name(file: SourceFile) -> str:
    return file.path.partition("?")[0].rstrip("/").rpartition("/")[2] or "data"
