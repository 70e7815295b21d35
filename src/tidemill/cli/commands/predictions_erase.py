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
from tidemill.serving.log.privacy import Privacy
from tidemill.serving.log.proofs import Erasure
from tidemill.serving.log.querying import hash_key, log_folder
from tidemill.store.audit import current_user


@click.command(short_help="Erase everything about an entity, with a proof.")
@click.argument("model", required=False)
@click.option("--entity", metavar="KEY", help="Whom: the key as it was sent with the requests.")
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would be erased.")
@click.option("--proofs", is_flag=True, help="List what was erased; with --entity, what was of that one.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@shared
def erase(setup: Setup, *, model: str | None, entity: str | None, yes: bool, proofs: bool, log: Path | None) -> None:
    """Erase the predictions of MODEL about an entity and their labels, hashed or not; files are rewritten without them.

    Servers are asked to finish the segments that they write, so that those can be rewritten too. Backups are not known
    here.
    """
    if proofs and (model or yes):
        raise UsageError("--proofs goes with --entity only", hint="Leave MODEL and --yes out.")
    if not proofs and not (model and entity):
        raise UsageError("MODEL and --entity are needed", hint="Write: tidemill predictions erase MODEL --entity KEY.")
    with use_project(setup.project()):
        folder = log or log_folder()
        if proofs:
            _show(setup, erasures_about(folder, entity, hash_key()))
        else:
            _erase(setup, folder, model or "", entity or "", Privacy(key=hash_key()), really=yes)


def _erase(setup: Setup, folder: Path, model: str, entity: str, privacy: Privacy, *, really: bool) -> None:
    found = erase_entity(folder, model, entity, by=current_user(), privacy=privacy, really=really)
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
        click.echo("nothing about this entity is in the log of this model")


def _show(setup: Setup, found: list[Erasure]) -> None:
    if setup.json:
        for one in found:
            emit({"proof": _told(one)})
        emit({"status": "listed", "proofs": len(found)})
        return
    headings = ["id", "at", "model", "by", "rows", "files", "finished"]
    lines = [
        [one.id, f"{one.at:%Y-%m-%d %H:%M:%S}", one.model, one.by, f"{one.erased:,}", len(one.files),
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
        "id": one.id, "model": one.model, "entity": one.entity, "salt": one.salt, "keyed": one.keyed, "by": one.by,
        "at": one.at, "finished": one.finished, "erased": one.erased, "files": files,
    }  # fmt: skip
