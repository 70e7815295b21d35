"""`tidemill runs`."""

from __future__ import annotations

from typing import get_args

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import duration, emit, moment, table
from tidemill.core.records import RunStatus
from tidemill.store import runs
from tidemill.store.studies import TRIAL


@click.command(name="runs")
@click.option("--pipeline", help="Only runs of this pipeline.")
@click.option(
    "--status",
    type=click.Choice(get_args(RunStatus)),
    help="Only runs with this status.",
)
@click.option("--trials", is_flag=True, help="The trials of tuning studies too.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most this many.")
@click.option("--before", metavar="RUN", help="Go on after this run of an earlier list.")
@shared
def command(
    setup: Setup,
    pipeline: str | None,
    status: RunStatus | None,
    trials: bool,  # noqa: FBT001 — click passes it by name
    limit: int,
    before: str | None,
) -> None:
    """List runs, newest first. Trials of tuning studies are left out, unless asked for: see tidemill studies."""
    with setup.store() as store, store.metadata.reading() as tx:
        shown = trials or pipeline == TRIAL
        found = runs.list_runs(tx, trials=shown, pipeline=pipeline, status=status, limit=limit, before=before)
    if setup.json:
        for run in found:
            emit({"run": run})
        emit({"status": "listed", "runs": len(found), "next": found[-1].id if len(found) == limit else None})
        return
    if not found:
        asked = pipeline or status or before
        click.echo("no runs like that; list all with: tidemill runs" if asked else "no runs yet; start: tidemill run")
        return
    rows = [
        (
            run.id,
            run.pipeline,
            run.status,
            moment(run.started_at),
            "" if run.ended_at is None else duration((run.ended_at - run.started_at) / 1e6),
            run.commit[:10],
        )
        for run in found
    ]
    click.echo(table(["run", "pipeline", "status", "started (UTC)", "took", "commit"], rows, right=["took"]))
