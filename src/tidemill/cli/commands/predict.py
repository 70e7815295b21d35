"""`tidemill predict NAME FILE`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, table
from tidemill.core.errors import UsageError
from tidemill.project import use_project
from tidemill.serving import load

_CHUNK = 10_000
_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": lambda file: pl.read_csv(file, infer_schema_length=None),
    ".parquet": pl.read_parquet,
    ".ndjson": pl.read_ndjson,
    ".jsonl": pl.read_ndjson,
}
_WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": lambda frame, out: frame.write_csv(out),
    ".parquet": lambda frame, out: frame.write_parquet(out),
    ".ndjson": lambda frame, out: frame.write_ndjson(out),
    ".jsonl": lambda frame, out: frame.write_ndjson(out),
}


@click.command(name="predict")
@click.argument("reference", metavar="NAME[@ALIAS]")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), help="A .csv, .parquet or .ndjson file for the predictions.")
@shared
def command(setup: Setup, reference: str, file: Path, out: Path | None) -> None:
    """Predict every row of FILE (.csv, .parquet, .ndjson); a row that cannot be scored gets its error, not silence."""
    if out is not None and _same(out, file):
        raise UsageError("the predictions would replace the rows", value=str(out), hint="Choose another --out.")
    writer = None if out is None else _writer(out)
    with use_project(setup.project()):
        predictor = load(reference, store=setup.store())
    answers = [answer for chunk in _chunks(_read(file)) for answer in predictor.predict(chunk)]
    refused = sum("error" in answer for answer in answers)
    if out is not None and writer is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        writer(pl.DataFrame([_flat(answer) for answer in answers], infer_schema_length=None), out)
    elif setup.json:
        for row, answer in enumerate(answers):
            emit({"row": row, "prediction": answer})
    elif answers:
        click.echo(_as_table([_flat(answer) for answer in answers]))
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
        return reader(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"the file cannot be read: {str(error).splitlines()[0]}", value=str(file)) from error


def _chunks(rows: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, rows.height, _CHUNK):
        yield rows.slice(start, _CHUNK).to_dicts()


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            flat[name] = "; ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _as_table(answers: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for answer in answers for name in answer))
    rows = [(row, *(number(answer.get(name)) for name in names)) for row, answer in enumerate(answers)]
    return table(["row", *names], rows, right=["row"])


def _writer(out: Path) -> Callable[[pl.DataFrame, Path], object]:
    if out.suffix.lower() not in _WRITERS:
        hint = f"Give one of {', '.join(_WRITERS)}."
        raise UsageError("this kind of file cannot be written", value=out.name, hint=hint)
    return _WRITERS[out.suffix.lower()]


def _same(out: Path, file: Path) -> bool:
    return out.exists() and out.samefile(file)
