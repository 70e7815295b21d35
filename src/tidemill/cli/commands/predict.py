"""`tidemill predict NAME FILE`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.options import Setup, allowing, shared
from tidemill.cli.output import emit, number, table
from tidemill.cli.written import writer_of
from tidemill.core.errors import DataError, InvalidRequestError, UsageError
from tidemill.project import find_modules, use_project
from tidemill.serving import Predictor, load
from tidemill.serving.tables import CHUNK_ROWS, flat, read_csv, typed_cells

_Rows = list[dict[str, Any]]
_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": lambda file: read_csv(file.read_bytes()),
    ".parquet": pl.read_parquet,
    ".ndjson": pl.read_ndjson,
    ".jsonl": pl.read_ndjson,
}


@click.command(name="predict")
@click.argument("reference", metavar="NAME[@ALIAS]")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), help="A .csv, .parquet or .ndjson file for the predictions.")
@allowing
@shared
def command(setup: Setup, reference: str, file: Path, out: Path | None, allow: tuple[str, ...]) -> None:
    """Predict every row of FILE (.csv, .parquet, .ndjson); a row that cannot be scored gets its error, not silence.

    The exit code is 4 if no row could be scored. A column with the answers is left out; so are other columns that the
    model does not take, if the file has all that it does.
    """
    if out is not None and _same(out, file):
        raise UsageError("the predictions would replace the rows", value=str(out), hint="Choose another --out.")
    writer = None if out is None else writer_of(out)
    predictor = _opened(setup, reference, allow)
    given = _given(file, predictor)
    answers = [answer for chunk in _chunks(given) for answer in predictor.predict(chunk)]
    refused = sum("error" in answer for answer in answers)
    if out is not None and writer is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        writer(pl.DataFrame([flat(answer) for answer in answers], infer_schema_length=None), out)
    elif setup.json:
        for row, answer in enumerate(answers):
            emit({"row": row, "prediction": answer})
    elif answers:
        click.echo(_as_table([flat(answer) for answer in answers]))
    if setup.json:
        emit({"status": "succeeded", "rows": len(answers), "refused": refused, "out": out})
    elif out is not None:
        click.echo(f"predicted {len(answers) - refused:,} rows, refused {refused:,}; written to {out}")
    if refused and not setup.json:
        first = next(flat(answer) for answer in answers if "error" in answer)
        reason = ", ".join(f"{name.removeprefix('error.')} {value}" for name, value in first.items())
        click.echo(f"{refused:,} of {len(answers):,} rows were refused, the first one: {reason}", err=True)
    if answers and refused == len(answers):
        sys.exit(DataError.exit_code)


def _opened(setup: Setup, reference: str, allow: tuple[str, ...]) -> Predictor:
    with use_project(project := setup.project()):
        if allow:
            find_modules(project)
        return load(reference, store=setup.store(), allow=allow)


def _given(file: Path, predictor: Predictor) -> _Rows:
    """The rows of the file without the column that is predicted, so that a table with known answers will do as well.

    Other columns are left aside too where none of the model's is missing: else one of them may be it, misspelt.
    """
    table = _read(file)
    if predictor.signature.target not in predictor.columns:
        table = table.drop(predictor.signature.target, strict=False)
    if set(predictor.columns) < set(table.columns):
        aside = [name for name in table.columns if name not in predictor.columns]
        shown = ", ".join(aside[:10]) + (", …" if len(aside) > 10 else "")
        click.echo(f"left aside what the model does not take: {shown}", err=True)
        table = table.select(predictor.columns)
    return typed_cells(table, predictor.signature) if file.suffix.lower() == ".csv" else table.to_dicts()


def _read(file: Path) -> pl.DataFrame:
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UsageError(
            "this kind of file cannot be read", value=file.name, hint=f"Give one of {', '.join(_READERS)}."
        )
    try:
        return reader(file)
    except InvalidRequestError as error:
        raise UsageError(f"the file cannot be read: {error}", value=str(file)) from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"the file cannot be read: {str(error).splitlines()[0]}", value=str(file)) from error


def _chunks(rows: _Rows) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]


def _as_table(answers: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for answer in answers for name in answer))
    rows = [(row, *(number(answer.get(name)) for name in names)) for row, answer in enumerate(answers)]
    return table(["row", *names], rows, right=["row"])


def _same(out: Path, file: Path) -> bool:
    return out.exists() and out.samefile(file)
