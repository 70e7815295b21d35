"""`tidemill score NAME@ALIAS --source … --to … --entity COLUMN`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tidemill.cli.options import Setup, allowing, shared
from tidemill.cli.output import duration, emit
from tidemill.core.errors import DataError
from tidemill.project import find_modules, use_project
from tidemill.serving.scoring.job import CHUNK_ROWS, Scoring, score

Tell = Callable[[int, int], object]


@click.command(name="score")
@click.argument("reference", metavar="NAME[@ALIAS]")
@click.option("--source", required=True, help="A declared source, a file or a URI (of a database with #table).")
@click.option(
    "--to", required=True, metavar="URI",
    help="sqlite:///FILE#TABLE, postgresql://…, duckdb:///FILE, redis://…#PREFIX, a folder, a .parquet file.",
)  # fmt: skip
@click.option("--entity", required=True, metavar="COLUMN", help="Whom a row is about.")
@click.option("--at", metavar="COLUMN", help="As of when; by default the source's event time, if it declares one.")
@click.option("--incremental", is_flag=True, help="Only rows that are new or changed, or of another version.")
@click.option(
    "--errors", type=click.Path(path_type=Path), metavar="FILE",
    help="Write rows without a prediction there, as NDJSON: one JSON object a line, to a .ndjson file.",
)  # fmt: skip
@click.option("--chunk-rows", default=CHUNK_ROWS, show_default=True, type=click.IntRange(1), help="Rows at a time.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes that score.")
@click.option("--dry-run", is_flag=True, help="Check everything and score the first rows; write nothing.")
@allowing
@shared
def command(setup: Setup, reference: str, source: str, to: str, allow: tuple[str, ...], **options: Any) -> None:
    """Predict every row of a source into a table, before anybody asks; run it again after a crash and it goes on.

    A row that cannot be scored is written with its error. The exit code is 4 if no row could be scored.
    """
    errors = options.pop("errors")
    where = None if errors is None else Path(os.path.abspath(errors))  # noqa: PTH100  resolve() would follow links
    with use_project(project := setup.project()):
        if allow:
            find_modules(project)
        with _shown(setup) as progress:
            done = score(
                reference, source, to, errors=where, store=setup.store(), allow=allow, progress=progress, **options
            )
    if setup.json:
        emit({"status": "tried" if done.dry_run else "succeeded"} | {n: getattr(done, n) for n in done.__slots__})
    else:
        click.echo("\n".join(_told(done, incremental=options["incremental"])))
    if done.refused + done.without_key and not done.scored and not done.unchanged:
        sys.exit(DataError.exit_code)


def _told(done: Scoring, *, incremental: bool) -> Iterator[str]:
    """What happened, for people."""
    who = f"{done.model} v{done.version}"
    if done.dry_run:
        tried = done.scored + done.refused
        yield f"would score {done.rows:,} rows of {done.source} with {who} into {done.target}, {done.chunks:,} chunks"
        yield f"of the first {tried:,} rows, {done.scored:,} can be scored and {done.refused:,} cannot"
    else:
        yield f"scored {done.scored:,} of {done.rows:,} rows with {who} into {done.target} in {duration(done.seconds)}"
    if done.resumed:
        yield f"went on after {done.resumed:,} of {done.chunks:,} chunks that were done before"
    if incremental and not done.dry_run:
        yield f"skipped {done.unchanged:,} rows: the same inputs, scored by the same version"
        why = f"new: {done.new:,}, changed: {done.changed:,}, of another version: {done.of_other_version:,}"
        yield f"scored the rest, {why}"
    if done.repeated:
        yield f"{done.repeated:,} rows have the key of a later row, which counts"
    if done.refused and not done.dry_run:
        yield f"{done.refused:,} rows could not be scored; the column error says why"
    if done.without_key:
        yield f"{done.without_key:,} rows have no entity or time"
    if done.errors:
        yield f"rows without a prediction: {done.errors}"


@contextmanager
def _shown(setup: Setup) -> Iterator[Tell]:
    """Tell how far it is: a bar on a terminal, JSON lines for machines, else nothing."""
    if setup.json:
        yield lambda done, rows: emit({"event": "progress", "done": done, "rows": rows})
    elif not sys.stderr.isatty():
        yield lambda _done, _rows: None
    else:
        columns = (TextColumn("scoring"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True, redirect_stdout=False) as bar:
            task = bar.add_task("scoring", total=None)
            yield lambda done, rows: bar.update(task, completed=done, total=rows)
