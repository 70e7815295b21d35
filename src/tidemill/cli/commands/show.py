"""`tidemill show RUN`."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import duration, emit, moment, relative, size, table
from tidemill.core.errors import NotFoundError
from tidemill.core.records import Execution
from tidemill.project import import_modules, use_project
from tidemill.store import Store
from tidemill.tracking import run as find_run
from tidemill.tracking.views import RunView


@click.command(name="show")
@click.argument("run", default="latest")
@click.option("--step", metavar="NODE", help="Show one step: its inputs, outputs, key and whole log.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the run as one HTML page.")
@shared
def command(setup: Setup, run: str, step: str | None, html: Path | None) -> None:
    """Show RUN (an id, the beginning of one, or latest): its steps, params, metrics, artifacts and errors."""
    project = setup.project()
    with use_project(project), setup.store() as store:
        view = find_run(run, store=store)
        if html is not None:
            import_modules(project)
            building = importlib.import_module("tidemill.server.report")
            summaries = importlib.import_module("tidemill.server.summary")
            building.write_report(summaries.summarise(store, view.id), html)
            _wrote(setup, view, html)
        elif step is not None:
            _one(setup, store, _found(view, step))
        elif setup.json:
            _emit(view)
        else:
            _print(view)


def _wrote(setup: Setup, view: RunView, html: Path) -> None:
    if setup.json:
        emit({"status": "succeeded", "run": view.id, "html": html})
    else:
        click.echo(f"wrote {relative(html)} ({size(html.stat().st_size)})")


def _emit(view: RunView) -> None:
    for execution in view.executions:
        emit({"execution": execution})
    artifacts = {name: artifact.record for name, artifact in view.artifacts.items()}
    emit(
        {
            "status": "found",
            "run": view.record,
            "params": view.params,
            "metrics": view.metrics,
            "tags": view.tags,
            "artifacts": {name: {"id": a.id, "type": a.type, "digest": a.digest} for name, a in artifacts.items()},
        }
    )


def _print(view: RunView) -> None:
    record = view.record
    click.echo(f"run {record.id}  {record.pipeline} of {record.project}: {record.status}")
    click.echo(
        f"started {moment(record.started_at)} UTC, took {duration(view.seconds)}, by {record.user} on {record.host}"
    )
    if record.commit:
        click.echo(f"commit {record.commit}")
    if record.resumed_from:
        click.echo(f"resumed from {record.resumed_from}")
    if record.error:
        click.echo(click.style(f"error {record.error}", fg="red"))
    rows = [
        (e.node, e.status, duration(e.seconds) if e.seconds else "", e.attempt if e.attempt > 1 else "", e.executor)
        for e in view.executions
    ]
    click.echo("\n" + table(["step", "status", "took", "attempt", "executor"], rows, right=["took"]))
    for title, values in (("params", view.params), ("metrics", view.metrics), ("tags", view.tags)):
        if values:
            click.echo(f"\n{title}\n" + table(["name", "value"], [(name, _number(v)) for name, v in values.items()]))
    made = [(name, a.record.type, a.record.metadata.get("rows", ""), a.record.id) for name, a in view.artifacts.items()]
    if made:
        click.echo("\n" + table(["artifact", "type", "rows", "id"], made, right=["rows"]))


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _found(view: RunView, step: str) -> Execution:
    for execution in reversed(view.executions):
        if step in (execution.node, execution.step, execution.id):
            return execution
    nodes = ", ".join(dict.fromkeys(execution.node for execution in view.executions))
    raise NotFoundError("this run has no such step", value=step, hint=f"Steps are: {nodes}.")


def _one(setup: Setup, store: Store, execution: Execution) -> None:
    log = execution.log_text if execution.log is None else store.artifacts.read(execution.log).decode(errors="replace")
    if setup.json:
        emit({"status": "found", "execution": execution, "log": log})
        return
    click.echo(f"{execution.node}: {execution.status}, {duration(execution.seconds)}, attempt {execution.attempt}")
    if execution.error:
        click.echo(click.style(execution.error, fg="red"))
    click.echo("\n" + table(["part of the key", "digest"], sorted((k, v[:16]) for k, v in execution.key_parts.items())))
    click.echo(f"\nlog\n{log.rstrip() or '(nothing was written)'}")
