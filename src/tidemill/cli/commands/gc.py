"""`tidemill gc`."""

from __future__ import annotations

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, size
from tidemill.store import gc


@click.command(name="gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="Leave alone what is younger than this many seconds: a running step may just have written it.",
)
@shared
def command(setup: Setup, *, dry_run: bool, grace: float) -> None:
    """Delete stored bytes that no record refers to. Safe to repeat, and beside running pipelines."""
    with setup.store() as store:
        report = gc.collect(store, dry_run=dry_run, grace=grace)
    if setup.json:
        emit({"status": "succeeded", "dry_run": dry_run, "report": report})
        return
    verb, freed = ("would delete", "would free") if dry_run else ("deleted", "freed")
    click.echo(f"examined {report.examined:,} blobs, kept {report.kept:,}, {verb} {report.deleted:,}")
    click.echo(f"{freed} {size(report.bytes_freed)}")
