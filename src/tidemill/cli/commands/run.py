"""`tidemill run PIPELINE`."""

from __future__ import annotations

import importlib
from typing import Any

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.outcomes import emit_end, fail
from tidemill.cli.output import duration, emit
from tidemill.cli.pipelines import arguments_of, find_pipeline, modules_of
from tidemill.cli.progress import listener
from tidemill.core.errors import CancelledError, NotFoundError, UsageError
from tidemill.core.records import Execution, ModelVersion
from tidemill.engine import RunResult
from tidemill.engine.rerun import rerun_step
from tidemill.project import open_project_store, use_project
from tidemill.store import Store, executions, models, runs


@click.command(name="run")
@click.argument("pipeline", required=False)
@click.argument("extra", nargs=-1, metavar="")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the pipeline.")
@click.option(
    "--resume", is_flag=False, flag_value="last", metavar="[RUN]", help="Go on from a run (default: the last)."
)
@click.option("--no-cache", is_flag=True, help="Run every step, also what has not changed.")
@click.option("--only", metavar="STEP", help="One step again, on the inputs recorded for it in --run or its last run.")
@click.option("--run", "run_id", metavar="RUN", help="With --only: the run whose inputs are taken.")
@shared
def command(
    setup: Setup,
    pipeline: str | None,
    extra: tuple[str, ...],
    settings: tuple[str, ...],
    resume: str | None,
    only: str | None,
    run_id: str | None,
    *,
    no_cache: bool,
) -> None:
    """Run PIPELINE of this project: plan, run, record; skip what has not changed and say why.

    With --only STEP, nothing is recorded; add --debug to stop in the debugger.
    """
    if extra:
        meant = " ".join(f"--set {each}" for each in extra)
        hint = f"Write {meant}." if all("=" in each for each in extra) else "Run one pipeline at a time."
        raise UsageError("run takes one pipeline, and its parameters by --set", value=list(extra), hint=hint)
    if only is not None:
        _again(setup, only, run_id)
        return
    if run_id is not None:
        raise UsageError("--run goes with --only", value=run_id, hint="To go on from a run: --resume RUN")
    project = setup.project()
    with use_project(project):
        found = find_pipeline(project, pipeline)
        arguments = arguments_of(found, settings, complete=resume is None)
        try:
            with listener(as_json=setup.json) as on_event:
                result = found.using(listeners=[on_event], cache=not no_cache).run(resume=resume, **arguments)
        except KeyboardInterrupt:
            hint = f"Go on with: tidemill run {found.name} --resume"
            raise CancelledError("the run was interrupted", hint=hint) from None
    if setup.json:
        emit_end(result, summary_of(result))
    else:
        _show(result)
        _show_gates(open_project_store(project), result)
    fail(setup, result)


def summary_of(result: RunResult) -> dict[str, Any]:
    """The last line of ``--json``."""
    return {
        "status": result.status,
        "run": result.id,
        "pipeline": result.pipeline,
        "seconds": round(result.seconds, 4),
        "resumed_from": result.resumed_from,
        "steps": result.steps,
    }


def _show(result: RunResult) -> None:
    counts = [
        f"{result.count(kind)} {kind}" for kind in ("succeeded", "cached", "failed", "skipped") if result.count(kind)
    ]
    click.echo(f"  {', '.join(counts) or 'no step was run'}; see: tidemill show {result.id}")


def _show_gates(store: Store, result: RunResult) -> None:
    """Say at once what the gate said of the versions that the run registered, or found registered already."""
    with store.metadata.reading() as tx:
        found = models.list_versions(tx, run_id=result.id)
        if not found and isinstance(again := _registered(result), ModelVersion):
            found = [models.get_version(tx, again.model, again.version)]
    if not found:
        return
    promise_of = importlib.import_module("tidemill.evaluation.promises").promise_of  # most runs register nothing
    for version in found:
        promises = version.gate.get("promises", ())
        broken = [promise for promise in promises if promise["status"] != "passed"]
        word = ("gate not passed" if broken else "gate passed") if promises else "registered; no requirement to check"
        click.echo(f"  {version.model}@{version.version}: {word}")
        for promise in broken:
            click.echo(f"    {promise_of(promise).sentence}")


def _registered(result: RunResult) -> object:
    """What a pipeline that ends with a registration returned; nothing is loaded of the others."""
    ends = result.status == "succeeded" and result.steps and result.steps[-1].step == "register_model"
    return result.result if ends else None


def _again(setup: Setup, step: str, run_id: str | None) -> None:
    project = setup.project()
    with use_project(project), setup.store() as store:
        modules_of(project)
        execution = _recorded(store, project.name, step, run_id)
        done = rerun_step(store, execution.id, debug=setup.debug)
        same = {True: "the same result", False: "another result", None: "no recorded result to compare"}[done.is_same]
        if setup.json:
            emit({"status": "succeeded", "execution": execution.id, "same": done.is_same, "seconds": done.seconds})
        else:
            click.echo(f"{execution.node} of run {execution.run_id} again in {duration(done.seconds)}: {same}")
            click.echo(str(done.value)[:2000])


def _recorded(store: Store, project: str, step: str, run_id: str | None) -> Execution:
    with store.metadata.reading() as tx:
        chosen = [runs.get(tx, run_id)] if run_id else runs.list_runs(tx, project=project, limit=20, trials=False)
        for run in chosen:
            for execution in executions.of_run(tx, run.id):
                if step in (execution.node, execution.step) and execution.status in ("succeeded", "failed", "cached"):
                    return execution
        nodes = sorted({execution.node for run in chosen for execution in executions.of_run(tx, run.id)})
    if not chosen:
        raise UsageError("there is no run to take inputs from", hint="Run the pipeline once: tidemill run")
    raise NotFoundError("no run has executed this step", value=step, hint=f"Steps are: {', '.join(nodes)}.")
