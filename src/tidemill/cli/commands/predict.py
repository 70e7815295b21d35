"""`tidemill predict NAME FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit
from tidemill.core.errors import UsageError
from tidemill.project import use_project
from tidemill.serving import load

_CHUNK = 10_000
_READERS = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".ndjson": pl.read_ndjson, ".jsonl": pl.read_ndjson}


@click.command(name="predict")
@click.argument("reference", metavar="NAME[@ALIAS]")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), help="A .csv, .parquet or .ndjson file for the predictions.")
@shared
def command(setup: Setup, reference: str, file: Path, out: Path | None) -> None:
    """Predict every row of FILE (.csv, .parquet, .ndjson); a row that cannot be scored gets its error, not silence."""
    with use_project(setup.project()):
        predictor = load(reference, store=setup.store())
    table = _read(file)
    answers = [answer for chunk in _chunks(table) for answer in predictor.predict(chunk)]
    refused = sum("error" in answer for answer in answers)
    if out is not None:
        _write(pl.DataFrame([_flat(answer) for answer in answers], infer_schema_length=None), out)
    for row, answer in enumerate(answers) if out is None else ():
        if setup.json:
            emit({"row": row, "prediction": answer})
        else:
            click.echo(f"{row}\t{_flat(answer)}")
    if setup.json:
        emit({"status": "succeeded", "rows": len(answers), "refused": refused, "out": out})
    elif out is not None:
        click.echo(f"predicted {len(answers) - refused:,} rows, refused {refused:,}; written to {out}")
    elif refused:
        click.echo(f"{refused:,} of {len(answers):,} rows were refused", err=True)
    if answers and refused == len(answers):
        sys.exit(4)


def _read(file: Path) -> pl.DataFrame:
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UsageError(
            "this kind of file cannot be read", value=file.name, hint=f"Give one of {', '.join(_READERS)}."
        )
    try:
        frame: pl.DataFrame = reader(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"the file cannot be read: {str(error).splitlines()[0]}", value=str(file)) from error
    return frame


def _chunks(table: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, table.height, _CHUNK):
        yield table.slice(start, _CHUNK).to_dicts()


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            flat[name] = "; ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _write(frame: pl.DataFrame, out: Path) -> None:
    writers = {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".ndjson": frame.write_ndjson}
    writer = writers.get(out.suffix.lower())
    if writer is None:
        raise UsageError(
            "this kind of file cannot be written", value=out.name, hint=f"Give one of {', '.join(writers)}."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    writer(out)
