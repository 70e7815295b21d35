"""`tidemill store backup|restore|upgrade`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, size
from tidemill.store import backup as backups
from tidemill.store import migrations


@click.group(name="store", help="Back up, restore or upgrade the store.")
def command() -> None:
    """Hold the subcommands."""


@command.command(name="backup", short_help="Copy metadata and artifacts, while runs go on.")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--portable", is_flag=True, help="Write the metadata as text that any database can take: see restore.")
@shared
def backup(setup: Setup, target: Path, *, portable: bool) -> None:
    """Copy the store's metadata and artifacts to TARGET, consistently, while runs go on."""
    with setup.store() as store:
        report = backups.backup(store, target, portable=portable)
    if setup.json:
        emit({"status": "succeeded", "report": report})
        return
    click.echo(f"backed up {report.metadata.name} and {report.blobs:,} blobs ({size(report.bytes)}) to {target}")
    if report.metadata.suffix == ".db":
        place = f"TIDEMILL_STORE=sqlite:///{target}/store.db TIDEMILL_ARTIFACTS={target}/artifacts"
        click.echo(f"it is a store; to open it: {place}")


@command.command(name="upgrade", short_help="Migrate the store to the version of this Tidemill.")
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


@command.command(name="restore", short_help="Read a backup into a new, empty database.")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("url")
@shared
def restore(setup: Setup, source: Path, url: str) -> None:
    """Read the metadata of a portable backup into the new, empty database at URL; also from SQLite to PostgreSQL."""
    count = backups.restore(source, url)
    if setup.json:
        emit({"status": "succeeded", "records": count})
    else:
        click.echo(f"restored {count:,} records")
