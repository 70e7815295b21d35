"""`tidemill predict NAME FILE`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.options import Setup, allowing, shared
from tidemill.cli.output import emit, number, table
from tidemill.cli.written import writer_of
from tidemill.core.errors import DataError, UsageError
from tidemill.project import find_modules, use_project
from tidemill.serving import Predictor, load
from tidemill.serving.answer_files import counted, joined
from tidemill.serving.scoring.scorer import Scorer
from tidemill.serving.tables import ENDINGS, Chunks, judge_chunk, open_chunks


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
    chunks, scorer = _chunks(file, predictor), Scorer(predictor)
    rows, refused, frames, first = 0, 0, list[pl.DataFrame](), dict[str, Any]()
    for chunk in chunks:
        judged = judge_chunk(scorer, chunk)
        if judged.problems and not refused:
            first = judged.problems[0].to_dict() | {"row": judged.problems[0].row + rows}
        if setup.json and out is None:
            for row, answer in enumerate(judged.predictions(predictor.decide), rows):
                emit({"row": row, "prediction": counted(answer, rows)})
        else:
            frames.append(judged.file(predictor.signature, rows))
        rows, refused = rows + judged.height, refused + len(judged.problems)
    if out is not None and writer is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        writer(joined(frames), out)
    elif rows and not setup.json:
        click.echo(_as_table(joined(frames)))
    told = {"status": "succeeded", "rows": rows, "refused": refused, "left_aside": list(chunks.left_aside), "out": out}
    if setup.json:
        emit(told)
    else:
        _say(told, first)
    if rows and refused == rows:
        sys.exit(DataError.exit_code)


def _opened(setup: Setup, reference: str, allow: tuple[str, ...]) -> Predictor:
    with use_project(project := setup.project()):
        if allow:
            find_modules(project)
        return load(reference, store=setup.store(), allow=allow)


def _chunks(file: Path, predictor: Predictor) -> Chunks:
    if file.suffix.lower() not in ENDINGS:
        hint = f"Give one of {', '.join(ENDINGS)}."
        raise UsageError("this kind of file cannot be read", value=file.name, hint=hint)
    return open_chunks(file, predictor.signature, completed=predictor.features is not None)


def _say(told: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """What became of the rows, for people."""
    rows, refused, aside, out = told["rows"], told["refused"], told["left_aside"], told["out"]
    if out is not None:
        click.echo(f"predicted {rows - refused:,} rows, refused {refused:,}; written to {out}")
    if aside:
        shown = ", ".join(aside[:10]) + (", …" if len(aside) > 10 else "")
        click.echo(f"left aside what the model does not take: {shown}", err=True)
    if refused:
        reason = ", ".join(f"{name} {value}" for name, value in first.items() if name != "others")
        click.echo(f"{refused:,} of {rows:,} rows were refused, the first one: {reason}", err=True)


def _as_table(answers: pl.DataFrame) -> str:
    rows = [(row, *map(number, cells)) for row, cells in enumerate(answers.iter_rows())]
    return table(["row", *answers.columns], rows, right=["row"])


def _same(out: Path, file: Path) -> bool:
    return out.exists() and out.samefile(file)
