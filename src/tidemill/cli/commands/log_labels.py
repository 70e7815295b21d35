"""`tidemill log-labels MODEL FILE`: write the truth about earlier answers into the prediction log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import polars as pl

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit
from tidemill.core.errors import DataError, InvalidRequestError, UsageError
from tidemill.project import use_project
from tidemill.project.settings import nearest
from tidemill.serving.log.querying import log_folder, log_labels
from tidemill.serving.log.reading import check_logged
from tidemill.serving.tables import read_csv

_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": lambda file: read_csv(file.read_bytes()),
    ".parquet": pl.read_parquet,
    ".ndjson": pl.read_ndjson,
    ".jsonl": pl.read_ndjson,
}
_WANTED = {"request_id": ("row",), "entity": ("as_of",)}


@click.command(name="log-labels")
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", type=click.Choice(sorted(_WANTED)), help="What the rows are found by; by default what FILE has.")
@click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN", help="Another name of a column: label=late.")
@click.option("--unseen", is_flag=True, help="Take classes that the model has yet to learn, too.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@shared
def command(
    setup: Setup, *, model: str, file: Path, key: str | None, columns: tuple[str, ...], unseen: bool, log: Path | None
) -> None:
    """Write the labels of FILE (.csv, .parquet, .ndjson) into the log of MODEL: all of them or none.

    Its columns are label, request_id (and row) or entity (and as_of), and at; others are left out. Cells of a .csv are
    taken as they are written, 007 too.
    """
    with use_project(setup.project()):
        root = log or log_folder()
    check_logged(root, model)
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise UsageError("files of this kind are not read", value=file.name, hint=f"Use {', '.join(_READERS)}.")
    try:
        frame = read(file)
    except InvalidRequestError as error:
        problem = f"the labels of {file} cannot be read: {error.what}"
        raise DataError(problem, value=error.value, hint=error.hint) from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"the labels cannot be read: {error}", value=str(file)) from error
    labels = _chosen(frame, key, dict(map(_pair, columns))).with_columns(unseen=unseen)
    with use_project(setup.project()):
        written = log_labels(labels, model, root=root)
    if setup.json:
        emit({"status": "written", "labels": written})
    else:
        click.echo(f"wrote {written:,} labels of {model}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    known = ("request_id", "row", "entity", "as_of", "label", "at")
    if not equals or name not in known:
        raise UsageError("--column takes NAME=COLUMN", value=text, hint=nearest(name, known))
    return name, column


def _chosen(frame: pl.DataFrame, key: str | None, renamed: dict[str, str]) -> pl.DataFrame:
    for column in renamed.values():
        if column not in frame.columns:
            raise UsageError("the file has no such column", value=column, hint=nearest(column, frame.columns))
    where = {name: renamed.get(name, name) for name in ("request_id", "row", "entity", "as_of", "label", "at")}
    there = [name for name in _WANTED if where[name] in frame.columns]
    if key is None and len(there) == 1:
        key = there[0]
    if key is None or key not in there or where["label"] not in frame.columns:
        problem = "the file needs the columns label and request_id, or label and entity"
        hint = "Choose with --key." if len(there) == 2 else "Say what they are called: --column label=late."
        raise UsageError(problem, value=frame.columns, hint=hint)
    names = ["label", key, "at", *_WANTED[key]]
    found = frame.select(pl.col(where[name]).alias(name) for name in names if where[name] in frame.columns)
    if key == "request_id":  # one of digits is text in a file and would be a number here
        found = found.with_columns(pl.col("request_id").cast(pl.String))
    return _numbered(found) if found.schema.get("row") == pl.String else found


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Labels with their rows as numbers, which are text in a CSV file."""
    rows = pl.when(pl.col("row").str.contains(r"^[0-9]+$")).then(pl.col("row")).cast(pl.Int64, strict=False)
    wrong = frame.with_row_index("place").filter(pl.col("row").is_not_null() & rows.is_null())
    for place, row in wrong.select("place", "row").head(1).rows():
        hint = "Write 0 for the first row, and nothing where a request had one."
        raise DataError(f"label {place}: the row is no place in a request", value=row, hint=hint)
    return frame.with_columns(rows)
