"""`tidemill cancel RUN`."""

from __future__ import annotations

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit
from tidemill.core.errors import UsageError
from tidemill.engine import cancel
from tidemill.store import runs


@click.command(name="cancel")
@click.argument("run")
@shared
def command(setup: Setup, run: str) -> None:
    """Ask RUN (an id or the beginning of one) to stop; it stops within about a second and can be resumed."""
    with setup.store() as store:
        with store.metadata.reading() as tx:
            found = runs.get(tx, run)
        if found.status != "running":
            raise UsageError(f"run {found.id} is not running", value=found.status, hint="See: tidemill runs")
        cancel(store, found.id)
    if setup.json:
        emit({"status": "requested", "run": found.id})
    else:
        click.echo(f"asked run {found.id} to stop; see: tidemill show {found.id}")
