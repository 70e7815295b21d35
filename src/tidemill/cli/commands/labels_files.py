"""`tidemill labels import|export|errors`: tables and Label Studio files in and out."""

from __future__ import annotations

from pathlib import Path

import click
import polars as pl

from tidemill.cli.commands.labels_input import queue_of, table_of
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, table
from tidemill.core.errors import UsageError
from tidemill.data.labels.answers import answers_table, pin
from tidemill.data.labels.exports import record_export
from tidemill.data.labels.label_studio import (
    export_label_studio,
    import_label_studio,
    label_config,
    read_label_studio,
    schema_of,
)
from tidemill.data.labels.mistakes import label_errors
from tidemill.data.labels.queues import label_queue, label_queues
from tidemill.data.types import require_columns
from tidemill.project import open_project_store, use_project


@click.command(name="import", short_help="Read a Label Studio file into a queue.")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--control", help="The from_name of the answers that are meant, if the file has several.")
@click.option("--overlap", default=1, show_default=True, help="Of a new queue: annotators for each task.")
@shared
def import_(setup: Setup, name: str, file: Path, control: str | None, overlap: int) -> None:
    """Read a Label Studio export (JSON) into the queue NAME; a new queue gets the classes that the file uses."""
    found = read_label_studio(file, control)
    project = setup.project()
    store = open_project_store(project)
    with use_project(project, store):
        is_known = any(queue.name == name for queue in label_queues(store))
        queue = label_queue(name, None if is_known else schema_of(found), overlap=overlap, store=store)
        done = import_label_studio(queue, file, control=control)
    if setup.json:
        emit({"status": "imported", "queue": name, "imported": done})
    else:
        click.echo(
            f"queue {name}: {done.tasks:,} new tasks, {done.labels:,} labels, {done.skips:,} skips, "
            f"{done.decisions:,} decisions, {done.suggestions:,} predictions"
        )


@click.command(name="export", short_help="Write labelled rows, or a Label Studio file.")
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--into", default="label", show_default=True, help="The name of the label's column.")
@click.option("--partial", is_flag=True, help="Also rows with fewer labels than the overlap.")
@click.option("--config", is_flag=True, help="For Label Studio: the labelling interface (XML) instead of the tasks.")
@shared
def export(setup: Setup, name: str, target: Path, *, into: str, partial: bool, config: bool) -> None:
    """Write the labelled rows of the queue NAME to a .csv or .parquet file, or all tasks to Label Studio's .json."""
    artifact = None
    with queue_of(setup, name) as queue:
        if config:
            first = queue.tasks(limit=1)
            columns = list(first[0].data) if first else ["text"]
            target.write_text(label_config(queue.schema, columns, queue.guidelines) + "\n", encoding="utf-8")
            rows = 1
        elif target.suffix == ".json":
            rows = export_label_studio(queue, target)
        elif target.suffix in (".csv", ".parquet"):
            pinned, tables = pin(queue.store, name)
            frame = answers_table(queue.store, pinned, tables, into=into, partial=partial)
            _write(frame, target)
            artifact, rows = record_export(queue.store, setup.project(), pinned, tables, frame), frame.height
        else:
            raise UsageError("this kind of file is not known", value=str(target), hint="Use .csv, .parquet or .json.")
    if setup.json:
        emit({"status": "exported", "queue": name, "file": str(target), "rows": rows, "artifact": artifact})
    else:
        click.echo(f"{target}: the labelling interface" if config else f"{target}: {rows:,} rows")


@click.command(name="errors", short_help="Find labels that are probably wrong.")
@click.argument("source", metavar="FILE|SOURCE")
@click.option("--label", required=True, help="The column of the labels.")
@click.option("--probabilities", required=True, help="The columns of the probabilities, CLASS=COLUMN, with commas.")
@click.option("--by", type=click.Choice(["noise_rate", "confident_joint"]), default="noise_rate", show_default=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@shared
def errors(setup: Setup, source: str, label: str, probabilities: str, by: str, limit: int) -> None:
    """Find labels in a table that are probably wrong, from the probabilities of models that have not seen the row."""
    pairs = [part.partition("=") for part in probabilities.split(",")]
    wrong = [name + equals for name, equals, column in pairs if not (name.strip() and column.strip())]
    if wrong:
        raise UsageError("probabilities are written CLASS=COLUMN", value=wrong[0], hint="--probabilities yes=p1,no=p0")
    columns = {name.strip(): column.strip() for name, _, column in pairs}
    rows = table_of(setup, source)
    require_columns(rows, [label, *columns.values()], purpose="finding label errors")
    found = label_errors(rows[label].cast(pl.String), rows.select(columns.values()).to_numpy(), list(columns), by=by)  # type: ignore[arg-type]
    if setup.json:
        for suspect in found.table.head(limit).to_dicts():
            emit({"suspect": suspect})
        emit({"status": "found", "suspects": found.table.height, "noise": found.noise, "confusions": found.confusions})
        return
    headers = ["row", "given", "suggested", "probability", "margin"]
    shown = [[number(cell) for cell in row] for row in found.table.head(limit).select(headers).rows()]
    if shown:
        click.echo(table(headers, shown, right=["row", "probability", "margin"]))
    click.echo(
        f"{found.table.height:,} suspects; {found.noise:.1%} of {rows.height:,} labels are estimated to be wrong"
    )


def _write(frame: pl.DataFrame, target: Path) -> None:
    if target.suffix == ".parquet":
        frame.write_parquet(target)
        return
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List) and dtype.inner == pl.String]
    frame.with_columns(pl.col(lists).list.join(",")).write_csv(target)
