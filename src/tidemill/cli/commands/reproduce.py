"""`tidemill reproduce MODEL@VERSION`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, table
from tidemill.cli.progress import listener
from tidemill.core.errors import ModelError
from tidemill.project import use_project
from tidemill.registry.reproduction.records import Reproduction
from tidemill.registry.reproduction.verb import reproduce


@click.command(name="reproduce")
@click.argument("version", metavar="MODEL@VERSION")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where to lay the recorded code out, and to leave it (new or empty).",
)
@click.option("--environment", is_flag=True, help="Install packages that differ as recorded, for this run.")
@shared
def command(setup: Setup, version: str, folder: Path | None, *, environment: bool) -> None:
    """Make a model version again from its recorded code, data and arguments, and compare every step.

    Ends with 0 when it is equal, with 5 when it is not.
    """
    with use_project(setup.project()), setup.store(), listener(as_json=setup.json) as on_event:
        found = reproduce(version, folder=folder, environment=environment, on_event=on_event)
    if setup.json:
        emit({"status": "equal" if found.is_equal else "different", **found.to_dict()})
    else:
        _show(found)
    if not found.is_equal:
        sys.exit(ModelError.exit_code)


def _show(found: Reproduction) -> None:
    rows = [(step.node, step.outcome, step.detail) for step in found.steps]
    click.echo(table(["step", "result", ""], rows))
    click.echo(f"code: {_code(found)}")
    for name, (was, now) in (found.packages or {}).items():
        click.echo(f"package {name}: {was} then, {now or 'not installed'} now (--environment installs what was)")
    click.echo(found.sentence)


def _code(found: Reproduction) -> str:
    if not found.commit:
        return "the files that the run kept; it was in no git repository"
    if not found.unsaved:
        return f"commit {found.commit[:12]}"
    return f"commit {found.commit[:12]}, and over it {', '.join(found.unsaved)} as the run kept them"
