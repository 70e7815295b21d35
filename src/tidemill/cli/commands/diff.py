"""`tidemill diff [RUN] [RUN]`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, table
from tidemill.core.errors import NotFoundError, UsageError
from tidemill.project import use_project
from tidemill.store import Store
from tidemill.tracking import RunView, compare, run, runs
from tidemill.tracking.comparing import Difference


@click.command(name="diff")
@click.argument("first", metavar="[RUN]", default="latest")
@click.argument("second", metavar="[RUN]", required=False)
@shared
def command(setup: Setup, first: str, second: str | None) -> None:
    """Show what differs between two runs: params, metrics, surroundings, and for each step why.

    One run is compared with the latest; the latest with the run of its pipeline before it.
    """
    with use_project(setup.project()), setup.store() as store:
        found = compare(*_pair(first, second, store), store=store)
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


def _pair(first: str, second: str | None, store: Store) -> tuple[RunView, RunView]:
    """The runs that are meant, never one run twice."""
    one, other = run(first, store=store), run(second or "latest", store=store)
    if one.id != other.id:
        return one, other
    if second is not None:
        raise UsageError("a run does not differ from itself", value=one.id, hint="Give two runs: tidemill runs")
    before = runs(pipeline=one.pipeline, before=one.id, project=one.record.project, limit=1, store=store)
    if not before:
        hint = "Run it again, or name two runs of different pipelines."
        raise NotFoundError(f"there is no run of {one.pipeline!r} before this one", value=one.id, hint=hint)
    return before[0], one


def _table(title: str, differences: Sequence[Difference]) -> None:
    if differences:
        rows = [(item.name, _shown(item.a), _shown(item.b)) for item in differences]
        click.echo(f"\n{table([title, 'first', 'second'], rows)}")


def _shown(value: object) -> str:
    return number(value) or "–"
