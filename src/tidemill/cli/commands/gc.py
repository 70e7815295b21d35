"""`tidemill gc`."""

from __future__ import annotations

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, size
from tidemill.data.sources.cache import cache_folder, cache_limit
from tidemill.data.sources.evicting import evict
from tidemill.project import use_project
from tidemill.store import gc
from tidemill.store.database import connect


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
    """Delete stored bytes that no record refers to, and what is kept of sources beyond the setting source_cache.

    Safe to repeat, and beside running pipelines.
    """
    project = setup.project()
    with use_project(project):
        sources = evict(cache_folder(project.root), cache_limit(), lease=grace, dry_run=dry_run)
    has_store = connect(project.store).exists()
    report = None
    if has_store or not sources.kept + sources.evicted + sources.swept:  # without either, say that nothing is here
        with setup.store() as store:
            report = gc.collect(store, dry_run=dry_run, grace=grace)
    if setup.json:
        emit({"status": "succeeded", "dry_run": dry_run, "report": report, "sources": sources})
        return
    verb, freed = ("would delete", "would free") if dry_run else ("deleted", "freed")
    if report is not None:
        click.echo(f"examined {report.examined:,} blobs, kept {report.kept:,}, {verb} {report.deleted:,}")
        click.echo(f"{freed} {size(report.bytes_freed)}")
    if sources.kept + sources.evicted + sources.swept:
        kept = f"kept {sources.kept:,} contents of sources ({size(sources.bytes_kept)})"
        click.echo(
            f"{kept}, {verb} {sources.evicted:,} and {sources.swept:,} leftovers, {freed} {size(sources.bytes_freed)}"
        )
