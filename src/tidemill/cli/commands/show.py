"""`tidemill show RUN`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import duration, emit, moment, number, relative, size, table
from tidemill.cli.pipelines import modules_of
from tidemill.core.errors import ConfigError, NotFoundError
from tidemill.core.records import Artifact, Execution
from tidemill.project import use_project
from tidemill.store import Store, executions, lineage
from tidemill.tracking import run as find_run
from tidemill.tracking.views import RunView, is_bookkeeping


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
            with suppress(ConfigError):  # a value may be of a class of the project; a broken module hides only that
                modules_of(project)
            building = importlib.import_module("tidemill.server.report")
            summaries = importlib.import_module("tidemill.server.summary")
            building.write_report(summaries.summarise(store, view.id), html)
            _wrote(setup, view, html)
        elif step is not None:
            _one(setup, store, _found(view, step))
        elif setup.json:
            _emit(store, view)
        else:
            _print(store, view)


def _wrote(setup: Setup, view: RunView, html: Path) -> None:
    if setup.json:
        emit({"status": "succeeded", "run": view.id, "html": html})
    else:
        click.echo(f"wrote {relative(html)} ({size(html.stat().st_size)})")


def _emit(store: Store, view: RunView) -> None:
    origins = _origins(store, view)
    for execution in view.executions:
        emit({"execution": execution, "from_run": origins.get(execution.id)})
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


def _origins(store: Store, view: RunView) -> dict[str, str]:
    """For each cached execution, the run that made its outputs."""
    cached = {execution.id: execution.cached_from for execution in view.executions if execution.cached_from}
    with store.metadata.reading() as tx:
        return {execution: executions.get(tx, source).run_id for execution, source in cached.items()}


def _print(store: Store, view: RunView) -> None:
    record = view.record
    click.echo(f"run {record.id}  {record.pipeline} of {record.project}: {record.status}")
    took = "not finished" if view.seconds is None else f"took {duration(view.seconds)}"
    click.echo(f"started {moment(record.started_at)} UTC, {took}, by {record.user} on {record.host}")
    if record.commit:
        click.echo(f"commit {record.commit}")
    if record.resumed_from:
        click.echo(f"resumed from {record.resumed_from}")
    if record.error:
        click.echo(f"{click.style('error', fg='red', bold=True)} {record.error}")
    origins = _origins(store, view)
    rows = [
        (
            e.node,
            e.status,
            duration(e.seconds) if e.seconds else "",
            e.attempt if e.attempt > 1 else "",
            "" if e.executor == "inline" else e.executor,
            origins.get(e.id, ""),
        )
        for e in view.executions
    ]
    headers = ["step", "status", "took", "attempt", "executor", "from run"]
    if rows:
        click.echo("\n" + table(headers, rows, right=["took", "attempt"]))
    for title, values in (("param", view.params), ("tag", view.tags)):
        if values:
            click.echo("\n" + table([title, "value"], list(values.items())))
    metrics = {name: value for name, value in view.metrics.items() if not name.startswith("trial/")}
    if metrics:  # those of trials are for `tidemill studies show`; the best of them stands under "tuning"
        click.echo("\n" + metrics_table(metrics))
    made = [(name, a.record.type, a.record.metadata.get("rows"), a.record.id) for name, a in view.artifacts.items()]
    if made:
        click.echo("\n" + table(["artifact", "type", "rows", "id"], made, right=["rows"]))


def metrics_table(metrics: Mapping[str, float]) -> str:
    """The metrics by name, with a column for each context in which they were measured.

    >>> print(metrics_table({"test/auc": 0.71, "validation/auc": 0.75, "rows": 120.0}))
    metric       test  validation
    auc          0.71        0.75
    rows    120
    """
    contexts = sorted({name.rpartition("/")[0] for name in metrics})
    names = sorted({name.rpartition("/")[2] for name in metrics})
    rows = [[name, *(number(metrics.get(f"{c}/{name}" if c else name)) for c in contexts)] for name in names]
    headers = ["metric", *(context or ("value" if len(contexts) == 1 else " ") for context in contexts)]
    return table(headers, rows, right=headers[1:])


def _found(view: RunView, step: str) -> Execution:
    for execution in reversed(view.executions):
        if step in (execution.node, execution.step, execution.id):
            return execution
    nodes = ", ".join(dict.fromkeys(execution.node for execution in view.executions))
    raise NotFoundError("this run has no such step", value=step, hint=f"Steps are: {nodes}.")


def _one(setup: Setup, store: Store, execution: Execution) -> None:
    with store.metadata.reading() as tx:
        source = executions.get(tx, execution.cached_from) if execution.cached_from else execution
        inputs = _shown(lineage.inputs(tx, execution.id))
        outputs = _shown(lineage.outputs(tx, execution.id))
    log = source.log_text if source.log is None else store.artifacts.read(source.log).decode(errors="replace")
    if setup.json:
        emit({"status": "found", "execution": execution, "inputs": inputs, "outputs": outputs, "log": log})
        return
    if source is execution:
        click.echo(f"{execution.node}: {execution.status}, {duration(execution.seconds)}, attempt {execution.attempt}")
    else:
        click.echo(f"{execution.node}: cached from run {source.run_id}, where it took {duration(source.seconds)}")
    if execution.error:
        click.echo(click.style(execution.error.rstrip(), fg="red"))
    for title, found in (("input", inputs), ("output", outputs)):
        if found:
            rows = [(name, a.type, a.metadata.get("rows"), size(a.size), a.id) for name, a in found]
            click.echo("\n" + table([title, "type", "rows", "size", "id"], rows, right=["rows", "size"]))
    parts = sorted((name, digest[:16]) for name, digest in execution.key_parts.items())
    if parts:
        click.echo("\n" + table(["part of the key", "digest"], parts))
    click.echo(f"\nlog\n{log.rstrip() or '(nothing was written)'}")


def _shown(events: Sequence[tuple[str, Artifact]]) -> list[tuple[str, Artifact]]:
    return [(name, artifact) for name, artifact in events if not is_bookkeeping(name)]
