"""`tidemill init`."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import unicodedata
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

import click
import polars as pl

from tidemill.cli.extras import extras, missing
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, relative
from tidemill.core.errors import DataError, NotFoundError, SchemaError, UsageError
from tidemill.data.contract_text import contract_to_toml
from tidemill.data.infer import inferred
from tidemill.data.read import read
from tidemill.data.split.features import unfit_features
from tidemill.project import FILE

#: Whole numbers with more distinct values than this are quantities, with fewer they are classes.
_FEW = 20
_SUFFIX = ".tmpl"
#: What a template is told of the target.
_WORDS = ("task", "estimator", "metric", "bound", "promise")
#: Below this, a split has parts on which nothing can be measured.
_LEAST_ROWS = 30


@click.command(name="init")
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]")
@click.option("--name", help="The project's name; the folder's by default.")
@click.option("--data", type=click.Path(path_type=Path), help="A table to start from: .csv, .parquet, .ndjson, ….")
@click.option("--target", metavar="COLUMN", help="With --data: the column to predict.")
@shared
def command(setup: Setup, folder: Path, name: str | None, data: Path | None, target: str | None) -> None:
    """Start a project in DIR: a small pipeline, or with --data and --target one that trains on your table."""
    if (data is None) != (target is None):
        raise UsageError("--data and --target belong together", hint="Give both, or neither for a blank project.")
    chosen = _slug(name or folder.resolve().name)
    left_out: Mapping[str, str] = {}
    if data is None or target is None:
        texts = _filled("blank", {"name": chosen, "title": chosen})
    else:
        texts, left_out = _from_table(folder, chosen, data, target)
    written = _write(folder, texts)
    lacking = [] if data is None else missing(extras()["ml"])
    if setup.json:
        made = {"project": chosen, "files": [str(path) for path in written], "left_out": left_out}
        emit({"status": "succeeded", **made, "lacking": lacking})
        return
    for path in written:
        click.echo(f"wrote {relative(path)}")
    for column, reason in left_out.items():
        click.echo(f"left out of the features: {column} ({reason})")
    if lacking:
        click.echo(f'first: pip install "tidemill[ml]"  (lacking: {", ".join(lacking)})')
    where = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(relative(folder))} && "
    click.echo(f"next: {where}tidemill run train")


def _slug(text: str) -> str:
    """A name that everything can bear: ``Größe 2`` becomes ``grosse-2``."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "project"


def _from_table(folder: Path, name: str, data: Path, target: str) -> tuple[dict[str, str], dict[str, str]]:
    """The files of a project that trains on a table, and the columns that its model will not learn from, with why."""
    if not data.is_file():
        raise NotFoundError("there is no such file", value=str(data), hint="Give the path of a table.")
    table = read(str(data.resolve())).collect()
    if target not in table.columns:
        near = difflib.get_close_matches(target, table.columns, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Columns: {', '.join(table.columns)}."
        raise SchemaError("the table has no such column", value=target, hint=hint)
    if table.height < _LEAST_ROWS:
        hint = f"Give {_LEAST_ROWS} or more: some to learn from, some to choose by, some to test on."
        raise DataError("the table has too few rows to train and test a model on", value=table.height, hint=hint)
    if table.width < 2:
        raise SchemaError("the table has nothing but its target", value=target, hint="Add columns to predict from.")
    task = _task(table[target], target)
    values = _quoted({"name": name, "target": target, "uri": _uri(folder, data), **task})
    texts = _filled("table", {**values, **_labels(table[target], values)})
    return {**texts, "contract.toml": contract_to_toml(*inferred(table, "data"))}, unfit_features(table, {target})


def _quoted(values: Mapping[str, str]) -> dict[str, str]:
    """The values as they may stand between double quotes, in Python and in TOML alike."""
    return {key: json.dumps(value, ensure_ascii=False)[1:-1] for key, value in values.items()}


def _task(column: pl.Series, target: str) -> Mapping[str, str]:
    """What kind of answer the target calls for, and a first promise about it."""
    known = column.drop_nulls()
    if isinstance(known.dtype, pl.List):
        promise = f"Ranks the rows of each of {target} better than chance"
        words = ("multilabel classification", "LGBMClassifier", "macro_roc_auc", "0.55", promise)
        return dict(zip(_WORDS, words, strict=True))
    classes = known.n_unique()
    if classes <= 1:
        raise SchemaError(f"the target {target!r} has fewer than two values", value=known.unique().to_list())
    if classes == 2:
        words = ("binary classification", "LGBMClassifier", "roc_auc", "0.55", f"Ranks {target} better than chance")
    elif known.dtype.is_float() or (known.dtype.is_integer() and classes > _FEW):
        words = ("regression", "LGBMRegressor", "r2", "0.0", f"Explains some of {target}")
    else:
        most = known.unique_counts().max() / known.len()  # type: ignore[operator]  # counts of a series that has rows
        promise = f"Names {target} more often than the most frequent answer does"
        words = ("multiclass classification", "LGBMClassifier", "accuracy", f"{most:.3f}", promise)
    return dict(zip(_WORDS, words, strict=True))


def _labels(column: pl.Series, values: Mapping[str, str]) -> Mapping[str, str]:
    """The code that makes a flag of a target with two words: the rarer one is what is asked for."""
    if isinstance(column.dtype, pl.List):
        return {"imports": "", "labelled": "", "rows": "checked.valid"}
    counts = column.drop_nulls().value_counts(sort=True)
    is_flag = column.dtype == pl.Boolean or set(counts[column.name].to_list()) <= {0, 1}
    if is_flag or values["estimator"] != "LGBMClassifier" or counts.height > 2:
        return {"imports": "", "labelled": "", "rows": "checked.valid"}
    positive = json.dumps(counts[column.name][-1], ensure_ascii=False, default=str)
    step = (
        "@tm.step\ndef labelled(table: pl.LazyFrame) -> pl.LazyFrame:\n"
        f'    """Ask one question of the target: is it {positive[:40].strip(chr(34))}?"""\n'
        f'    return table.with_columns(pl.col("{values["target"]}") == {positive})\n\n\n'
    )
    return {"imports": "import polars as pl\n", "labelled": step, "rows": "labelled(checked.valid)"}


def _uri(folder: Path, data: Path) -> str:
    """The table as seen from the project, if it lies in it; else its whole path."""
    root, place = folder.resolve(), data.resolve()
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else os.fspath(place)


def _filled(template: str, values: Mapping[str, str]) -> dict[str, str]:
    """The files of a template, by name."""
    source = files("tidemill.cli").joinpath("templates", template)
    templates = [item for item in source.iterdir() if item.name.endswith(_SUFFIX)]
    return {
        item.name.removesuffix(_SUFFIX): Template(item.read_text(encoding="utf-8")).substitute(values)
        for item in templates
    }


def _write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write all of the files, or none where one is there already."""
    if (folder / FILE).exists():
        raise UsageError("there is a project here already", value=str(folder / FILE), hint="Choose another folder.")
    taken = [name for name in texts if (folder / name).exists()]
    if taken:
        raise UsageError("these files are there already", value=taken, hint="Choose another folder, or move them away.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sorted(texts.items()):
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in sorted(texts)]
