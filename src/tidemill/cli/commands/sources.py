"""`tidemill sources [NAME|URI]`."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Sequence

import click

from tidemill.cli.given import looking, options_from, reading, source_named
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, moment, size, table
from tidemill.cli.waiting import waiting, warned
from tidemill.data.read import SourceInfo, source_info
from tidemill.data.sources.incremental import Position, positions
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import Source, parse_source
from tidemill.project import Project, open_project_store, use_project
from tidemill.store.database import connect

_FILES = 20


@click.command(name="sources")
@click.argument("what", required=False, metavar="[NAME|URI]")
@reading
@shared
def command(setup: Setup, what: str | None, pairs: tuple[str, ...]) -> None:
    """List the declared sources; with a name or a URI, read that one and show what it holds now.

    Shown are its schema, rows, size, fingerprint and files, and where the cursors of pipelines stand that read it.
    """
    project = setup.project()
    if what is None:
        _list(setup, project)
        return
    options = options_from(pairs)
    with looking(project) as here, waiting(f"reading {shown(what)}"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        source = source_named(what, here, options)
        info = source_info(source, root=here.root, sources=here.sources)
    cursors = _positions(project, source)
    messages = [str(item.message) for item in caught if issubclass(item.category, UserWarning)]
    messages += _misnamed(source, [column.name for column in info.schema])
    if setup.json:
        for message in messages:
            emit({"warning": message})
        for position in cursors:
            emit({"cursor": position})
        emit({"status": "found", "source": info})
        return
    _show(info, source, cursors)
    warned(messages)


def _misnamed(source: Source, columns: Sequence[str]) -> Iterator[str]:
    """What the declaration says of columns that the source does not have."""
    uses = {"event_time": "since and until cannot be used", "cursor": "it cannot be read incrementally"}
    for key, loss in uses.items():
        name = getattr(source, key)
        if name is not None and name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            yield f"{key} = {name!r} is no column of source {source.name!r}: {loss}.{meant}"


def _list(setup: Setup, project: Project) -> None:
    found = [parse_source(name, raw) for name, raw in project.sources.items()]
    if setup.json:
        for source in found:
            emit({"source": {**_declared(source), "options": sorted(source.options)}})
        emit({"status": "listed", "sources": len(found)})
    elif not found:
        click.echo('no sources yet; declare one in tidemill.toml: [sources.NAME] with uri = "…"')
    else:
        rows = [list(_declared(source).values()) for source in found]
        click.echo(table(["source", "uri", "format", "event time", "cursor"], rows))


def _declared(source: Source) -> dict[str, str | None]:
    return {
        "name": source.name, "uri": shown(source.uri), "format": source.format, "event_time": source.event_time,
        "cursor": source.cursor,
    }  # fmt: skip


def _positions(project: Project, source: Source) -> tuple[Position, ...]:
    """Where cursors stand; to look does not make a store."""
    if source.cursor is None or project.file is None or not connect(project.store).exists():
        return ()
    with use_project(project), open_project_store(project) as store:
        return positions(store, project.name, source.name)


def _show(info: SourceInfo, source: Source, cursors: tuple[Position, ...]) -> None:
    click.echo(f"{info.name}  {info.uri}" if info.name != info.uri else info.uri)
    known = [f"{info.rows:,} rows", f"{len(info.schema):,} columns"]
    known += [size(info.bytes)] if info.bytes else []
    known += [info.format] if info.format else []
    known += [f"{info.bad_lines:,} bad lines left out"] if info.bad_lines else []
    click.echo(f"{', '.join(known)}; read {moment(info.read_at)} UTC")
    click.echo(f"fingerprint {info.fingerprint}")
    known_at = {**({source.event_time: "event time"} if source.event_time else {}), **source.available_at}
    rows = [(column.name, column.type, known_at.get(column.name, "")) for column in info.schema]
    click.echo("\n" + table(["column", "type", "known at"], rows))
    _show_files(info)
    if source.cursor is not None:
        _show_cursors(source.cursor, cursors)


def _show_files(info: SourceInfo) -> None:
    rows = []
    for file in info.files[:_FILES]:
        partition = ", ".join(f"{name}={value}" for name, value in file.partition)
        rows.append((file.path, size(file.size) if file.size else "", file.digest[:16], partition))
    click.echo("\n" + table(["read from", "size", "digest", "partition"], rows, right=["size"]))
    if len(info.files) > _FILES:
        click.echo(f"… and {len(info.files) - _FILES:,} more files; --json has all")


def _show_cursors(column: str, cursors: tuple[Position, ...]) -> None:
    rows = [(item.pipeline, item.column, item.value, item.run, moment(item.ended_at)) for item in cursors]
    headers = ["pipeline", "cursor", "stands at", "since run", "ended (UTC)"]
    click.echo("\n" + (table(headers, rows) if rows else f"cursor {column}: no pipeline has read it yet"))
