"""`tidemill plan PIPELINE`."""

from __future__ import annotations

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit
from tidemill.cli.pipelines import arguments_of, find_pipeline
from tidemill.project import use_project

_MARKS = {"cached": ("=", "cyan"), "run": ("▶", "green"), "effect": ("!", "yellow"), "unknown": ("?", "yellow")}
_WORDS = {"cached": "cached", "run": "to run", "effect": "effects", "unknown": "decided while it runs"}


@click.command(name="plan")
@click.argument("pipeline", required=False)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the pipeline.")
@click.option("--why", is_flag=True, help="Also say why cached steps are cached.")
@shared
def command(setup: Setup, pipeline: str | None, settings: tuple[str, ...], *, why: bool) -> None:
    """Say what running PIPELINE would do, and why: the helper, constant, parameter, package or input that changed."""
    project = setup.project()
    with use_project(project):
        found = find_pipeline(project, pipeline)
        plan = found.plan(**arguments_of(found, settings))
    if setup.json:
        for node in plan.nodes:
            emit({"node": node})
        counts = {action: sum(node.action == action for node in plan.nodes) for action in _MARKS}
        emit({"status": "planned", "pipeline": plan.pipeline, **counts, "stopped": plan.stopped or None})
        return
    for node in plan.nodes:
        mark, colour = _MARKS[node.action]
        click.echo(f"{click.style(mark, fg=colour)} {node.node:<28} {node.action}")
        if why or node.action != "cached":
            for reason in node.reasons:
                click.echo(f"    {reason}")
    if plan.stopped:
        click.echo(f"the plan ends here: {plan.stopped}")
    counted = {action: sum(node.action == action for node in plan.nodes) for action in _MARKS}
    click.echo(", ".join(f"{count} {_WORDS[action]}" for action, count in counted.items() if count) or "no steps")
