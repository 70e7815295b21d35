"""`tidemill artifact ID`."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, jsonable, moment, number, size, table
from tidemill.cli.pipelines import modules_of
from tidemill.core.errors import ConfigError, MaterialiserError, NotFoundError, UsageError
from tidemill.core.records import Artifact, Execution
from tidemill.engine import materialisers
from tidemill.project import use_project
from tidemill.store import Store, lineage

_PREVIEW = 2000


@click.command(name="artifact")
@click.argument("identifier", metavar="ID")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the stored bytes to this file.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@shared
def command(setup: Setup, identifier: str, out: Path | None, *, force: bool) -> None:
    """Show one artifact: what it is, who made it, who used it, and its value.

    ID is an id, the beginning of one, or a digest.
    """
    project = setup.project()
    with use_project(project), setup.store() as store:
        with store.metadata.reading() as tx:
            artifact = lineage.get_artifact(tx, identifier)
            made_by = _producer(tx, artifact.id)
            used_by = lineage.users(tx, artifact.id)
        if out is not None:
            _write(store, artifact, out, force=force)
        if setup.json:
            emit(
                {
                    "artifact": artifact,
                    "made_by": _step(made_by),
                    "used_by": [_step(user) for user in used_by],
                    "value": None if artifact.inline is None else json.loads(artifact.inline),
                    "out": out,
                    "status": "found",
                }
            )
            return
        _show(artifact, made_by, used_by)
        if out is not None:
            click.echo(f"written to {out}")
        else:
            with suppress(ConfigError):  # a value may be of a class of the project; a broken module hides only that
                modules_of(project)
            click.echo("\n" + preview(store, artifact))


def _producer(tx: Any, artifact_id: str) -> Execution | None:
    try:
        return lineage.producer(tx, artifact_id)
    except NotFoundError:  # a value given to a run from outside
        return None


def _step(execution: Execution | None) -> dict[str, str] | None:
    return None if execution is None else {"run": execution.run_id, "step": execution.node, "execution": execution.id}


def _show(artifact: Artifact, made_by: Execution | None, used_by: list[Execution]) -> None:
    click.echo(f"{artifact.type} {artifact.id}, {size(artifact.size)}, {moment(artifact.created_at)} UTC")
    click.echo(f"digest   {artifact.digest}")
    click.echo(f"made by  {'a value given to the run' if made_by is None else _place(made_by)}")
    for user in used_by:
        click.echo(f"used by  {_place(user)}")
    for key, value in artifact.metadata.items():
        if key != "schema":
            click.echo(f"{key:<8} {jsonable(value)}")


def _place(execution: Execution) -> str:
    return f"{execution.node} of run {execution.run_id}"


def preview(store: Store, artifact: Artifact) -> str:
    """The value as text: the columns of a table with their first values, the JSON of a plain value, else what it is."""
    if artifact.type in ("model", "package", "folder", "file", "bytes"):
        return f"A stored {artifact.type}; write it to a file with --out."
    try:
        if artifact.type == "table":
            return _columns(materialisers.load(artifact, pl.DataFrame, store.artifacts))
        text = str(materialisers.load(artifact, None, store.artifacts))
    except MaterialiserError as error:  # its class is gone or cannot be imported from here: the stored text will do
        text = f"{artifact.inline or ''}\n({error.what})".lstrip()
    return text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]}… ({len(text):,} characters; --out FILE writes all)"


def _columns(frame: Any) -> str:
    first = {name: ", ".join(number(value) or "–" for value in frame[name].head(4)) for name in frame.columns}
    return table(["column", "type", "first values"], [(name, frame.schema[name], text) for name, text in first.items()])


def _write(store: Store, artifact: Artifact, out: Path, *, force: bool) -> None:
    if out.exists() and not force:
        raise UsageError("the file exists", value=str(out), hint="Choose another name, or replace it with --force.")
    out.parent.mkdir(parents=True, exist_ok=True)
    if artifact.blob is None:
        out.write_text(artifact.inline or "", encoding="utf-8")
    else:
        shutil.copyfile(store.artifacts.path(artifact.blob), out)
