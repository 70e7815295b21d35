"""`tidemill explore FILE|SOURCE`."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from tidemill.cli.given import given, looking, named_tables, options_from, reading
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import as_error, emit, relative, size
from tidemill.cli.waiting import waiting, warned
from tidemill.core.errors import DataError, UsageError
from tidemill.core.sizes import bytes_of
from tidemill.data.exploration_text import screen
from tidemill.data.explore import MEMORY, Exploration, explore
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import Selection
from tidemill.project import Project

_TONES: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan"},
    "title": {"bold": True},
    "muted": {"dim": True},
}
_SEVERITIES = ("error", "warning", "note")
_PAGES = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options say."""

    what: str
    target: str | None
    references: dict[str, str]
    parts: dict[str, str]
    selection: Selection
    sample: int | None
    options: dict[str, Any]
    memory: int


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is explored."""
    several: dict[str, Any] = {"multiple": True, "metavar": "NAME=FILE"}
    for option in reversed(
        (
            click.option(
                "--target", metavar="COLUMN", help="The column to predict: looks at labels and relations too."
            ),
            click.option("--reference", "references", help="A table that columns may point into.", **several),
            click.option("--part", "parts", help="Another part to compare, as test=test.csv.", **several),
            click.option("--columns", metavar="A,B,…", help="Only these columns."),
            click.option("--where", metavar="SQL", help="Only rows like this, such as \"origin = 'EWR'\"."),
            click.option("--since", metavar="TIME", help="Rows from this event time on."),
            click.option("--until", metavar="TIME", help="Rows before this event time."),
            click.option("--sample", type=click.IntRange(min=1), metavar="ROWS", help="So many rows, evenly spread."),
            reading,
            click.option("--memory", default=f"{MEMORY}", metavar="SIZE", help="What it may take; 2GiB by default."),
        )
    ):
        function = option(function)
    return function


@click.command(name="explore")
@click.argument("what", metavar="FILE|SOURCE")
@_options
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with charts.")
@click.option("--fail-on", type=click.Choice(["error", "warning"]), help="Exit with 4 on findings as grave as this.")
@shared
def command(setup: Setup, what: str, html: Path | None, fail_on: str | None, columns: str | None, **asked: Any) -> None:
    """Look at a table: what it holds, what is wrong with it, and what goes together.

    The table is a file, a folder, a glob, a URI, or a declared source. Nothing is written but the --html page.
    """
    if html is not None and html.suffix.lower() not in _PAGES:
        raise UsageError("a page ends in .html", value=str(html), hint="Choose another --html.")
    wanted = _Asked(
        what,
        asked["target"],
        named_tables("--reference", asked["references"]),
        named_tables("--part", asked["parts"]),
        Selection(_names(columns), asked["where"], asked["since"], asked["until"]),
        asked["sample"],
        options_from(asked["pairs"]),
        bytes_of(asked["memory"]),
    )
    name = shown(what)
    found, size_of, messages = _explored(setup, wanted)
    title = f"{name}{f' ({size(size_of)})' if size_of else ''}"
    if html is not None:
        lead = f"{title}, explored with Tidemill. {found.basis.get('table', '')}".strip()
        page = importlib.import_module("tidemill.server.report.exploring")
        page.write_exploration(found, html, title=name, lead=lead)
    error = _failure(found, fail_on)
    if setup.json:
        for message in messages:
            emit({"warning": message})
        for line in _lines(found):
            emit(line)
        emit(_summary(found, wanted, html) | ({} if error is None else as_error(error, error.exit_code)))
    else:
        click.echo(screen(found, title=title, style=_styled))
        if html is not None:
            click.echo(f"\nwrote {relative(html)} ({size(html.stat().st_size)})")
        warned(messages)
    if error is not None:
        if setup.json:
            sys.exit(error.exit_code)
        raise error


def _names(columns: str | None) -> tuple[str, ...] | None:
    return None if columns is None else tuple(name.strip() for name in columns.split(",") if name.strip())


def _explored(setup: Setup, asked: _Asked) -> tuple[Exploration, int, list[str]]:
    """The exploration, the size of the table's files, and what was warned of on the way."""
    with (
        looking(setup.project()) as project,
        waiting(f"reading {shown(asked.what)}") as say,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", UserWarning)
        table = given(
            asked.what, project, options=asked.options, selection=asked.selection, sample=asked.sample
        )  # fmt: skip
        references = _tables(asked.references, project)
        parts = _tables(asked.parts, project)
        say(f"exploring {shown(asked.what)}")
        found = explore(
            table.table, target=asked.target, references=references, parts=parts, memory=asked.memory
        )  # fmt: skip
    if table.note:
        found = replace(found, basis={"table": table.note, **found.basis})
    return found, table.bytes, [str(item.message) for item in caught if issubclass(item.category, UserWarning)]


def _tables(named: dict[str, str], project: Project) -> dict[str, Any]:
    return {name: given(what, project).table for name, what in named.items()}


def _styled(text: str, tone: str) -> str:
    return click.style(text, **_TONES[tone])


def _failure(found: Exploration, fail_on: str | None) -> DataError | None:
    if fail_on is None:
        return None
    grave = _SEVERITIES[: _SEVERITIES.index(fail_on) + 1]
    counted = [finding for finding in found.findings if finding.severity in grave]
    if not counted:
        return None
    kinds = sorted({finding.kind for finding in counted})
    what = f"the table has {len(counted):,} findings of severity {' or '.join(grave)}"
    return DataError(what, value=kinds, hint="Repair them, or ask for less with --fail-on.")


def _lines(found: Exploration) -> Iterator[dict[str, Any]]:
    """Every part of the record, one object a line, with its kind as the key."""
    for column in found.columns:
        semantic = found.semantic.get(column.name)
        yield {"column": {**asdict(column), "semantic": None if semantic is None else asdict(semantic)}}
    kinds: dict[str, tuple[Any, ...]] = {
        "finding": found.findings, "association": found.associations, "relation": found.relations,
        "coverage": found.coverage, "missing": found.missing, "drift": found.drift,
    }  # fmt: skip
    for kind, items in kinds.items():
        yield from ({kind: item} for item in items)
    yield from ({"key": key} for key in found.keys)


def _summary(found: Exploration, asked: _Asked, html: Path | None) -> dict[str, Any]:
    counts = {kind: sum(finding.severity == kind for finding in found.findings) for kind in _SEVERITIES}
    return {
        "status": "succeeded", "table": shown(asked.what), "rows": found.rows, "columns": len(found.columns),
        "target": asked.target, "findings": counts, "basis": found.basis, "html": html, "exit_code": 0,
    }  # fmt: skip
