"""`tidemill diff RUN RUN`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, table
from tidemill.project import use_project
from tidemill.tracking import compare
from tidemill.tracking.comparing import Difference


@click.command(name="diff")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN", default="latest")
@shared
def command(setup: Setup, first: str, second: str) -> None:
    """Show what differs between two runs: params, metrics, surroundings, and for each step why."""
    with use_project(setup.project()), setup.store() as store:
        found = compare(first, second, store=store)
    if setup.json:
        emit({"status": "compared", **found.to_dict(), "computes_the_same": found.computes_the_same})
        return
    click.echo(f"{found.a} → {found.b}")
    for title, differences in (
        ("params", found.params),
        ("metrics", found.metrics),
        ("tags", found.tags),
        ("surroundings", found.surroundings),
    ):
        _table(title, differences)
    for step in found.steps:
        click.echo(f"\n{step.node}: {step.status.a or 'absent'} → {step.status.b or 'absent'}")
        for reason in step.reasons:
            click.echo(f"    {reason}")
        changed = [f"{item.name}" for item in step.outputs]
        if changed:
            click.echo(f"    other output: {', '.join(changed)}")
    if not found.steps:
        click.echo("\nevery step computes the same")


def _table(title: str, differences: Sequence[Difference]) -> None:
    if differences:
        rows = [(item.name, _shown(item.a), _shown(item.b)) for item in differences]
        click.echo(f"\n{table([title, 'first', 'second'], rows)}")


def _shown(value: object) -> str:
    return number(value) or "–"
