"""`tidemill store backup|upgrade`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, size
from tidemill.store import backup as backups
from tidemill.store import migrations


@click.group(name="store", help="Back up or upgrade the store.")
def command() -> None:
    """Hold the two subcommands."""


@command.command(name="backup")
@click.argument("target", type=click.Path(path_type=Path))
@shared
def backup(setup: Setup, target: Path) -> None:
    """Copy the store's metadata and artifacts to TARGET, consistently, while runs go on."""
    with setup.store() as store:
        report = backups.backup(store, target)
    if setup.json:
        emit({"status": "succeeded", "report": report})
        return
    click.echo(f"backed up {report.records:,} records and {report.blobs:,} blobs ({size(report.bytes)}) to {target}")


@command.command(name="upgrade")
@shared
def upgrade(setup: Setup) -> None:
    """Migrate the store forward to the version of this Tidemill. A newer store is refused, never changed."""
    project = setup.project()
    before, after = migrations.upgrade(project.store)
    if setup.json:
        emit({"status": "succeeded", "from": before, "to": after})
    elif before == after:
        click.echo(f"the store is at version {after} already")
    else:
        click.echo(f"upgraded the store from version {before} to {after}")
