"""`tidemill predictions erase`: take everything about one entity out of the prediction log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, table
from tidemill.core.errors import UsageError
from tidemill.project import use_project
from tidemill.serving.log.erasing import erase_entity, erasures_about
from tidemill.serving.log.privacy import ENTITY, Privacy
from tidemill.serving.log.proofs import Erasure
from tidemill.serving.log.querying import hash_key, log_folder
from tidemill.store.audit import current_user


@click.command(short_help="Erase everything about an entity, with a proof.")
@click.argument("model", required=False)
@click.option("--entity", metavar="KEY", help="Whom: the key as it was sent with the requests.")
@click.option("--where", metavar="COLUMN=VALUE", help="Instead of --entity: an input or client, as it was sent.")
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would be erased.")
@click.option("--proofs", is_flag=True, help="List what was erased; with --entity or --where, what was of that one.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@shared
def erase(
    setup: Setup, *, model: str | None, entity: str | None, where: str | None, yes: bool, proofs: bool, log: Path | None
) -> None:
    """Erase the predictions of MODEL about an entity and their labels, hashed or not; files are rewritten without them.

    Servers are asked to finish the segments that they write, so that those can be rewritten too. Backups are not known
    here.
    """
    if proofs and (model or yes):
        raise UsageError("--proofs goes with --entity or --where only", hint="Leave MODEL and --yes out.")
    if entity and where:
        raise UsageError("--entity and --where are two ways to say whom", value=where, hint="Give one.")
    column, whom = _pair(where) if where else (ENTITY, entity)
    if not proofs and not (model and whom):
        hint = "Write: tidemill predictions erase MODEL --entity KEY."
        raise UsageError("MODEL and --entity or --where are needed", hint=hint)
    with use_project(setup.project()):
        folder = log or log_folder()
        if proofs:
            _show(setup, erasures_about(folder, whom, hash_key(), column=column))
            return
        found = erase_entity(
            folder, model or "", whom or "", by=current_user(), privacy=Privacy(key=hash_key()), really=yes,
            column=column,
        )  # fmt: skip
    _report(setup, found, really=yes)


def _pair(where: str) -> tuple[str, str]:
    column, _, value = where.partition("=")
    if not column or not value:
        raise UsageError("--where takes COLUMN=VALUE", value=where, hint="For example: --where email=ann@mill.org")
    return column, value


def _report(setup: Setup, found: Erasure, *, really: bool) -> None:
    if setup.json:
        emit({"status": "erased" if really else "looked at", **_told(found)})
        return
    for file in found.files:
        click.echo(f"{file.erased:,} of {file.rows:,} rows of {file.file}")
    if really:
        click.echo(f"erased {found.erased:,} rows; the proof is {found.id}")
    elif found.files:
        click.echo(f"{found.erased:,} rows would be erased; to erase them, add --yes")
    else:
        click.echo(f"nothing about this {found.column} is in the log of this model")


def _show(setup: Setup, found: list[Erasure]) -> None:
    if setup.json:
        for one in found:
            emit({"proof": _told(one)})
        emit({"status": "listed", "proofs": len(found)})
        return
    headings = ["id", "at", "model", "column", "by", "rows", "files", "finished"]
    lines = [
        [one.id, f"{one.at:%Y-%m-%d %H:%M:%S}", one.model, one.column, one.by, f"{one.erased:,}", len(one.files),
         "no: run it again" if one.finished is None else f"{one.finished:%Y-%m-%d %H:%M:%S}"]
        for one in found
    ]  # fmt: skip
    click.echo(table(headings, lines, right=["rows", "files"]) if found else "nothing was erased")


def _told(one: Erasure) -> dict[str, Any]:
    files = [
        {"file": file.file, "rows": file.rows, "erased": file.erased, "before": file.before, "after": file.after}
        for file in one.files
    ]
    return {
        "id": one.id, "model": one.model, "column": one.column, "entity": one.entity, "salt": one.salt,
        "keyed": one.keyed, "by": one.by, "at": one.at, "finished": one.finished, "erased": one.erased, "files": files,
    }  # fmt: skip
