"""The process that repeats a run: ``python -m tidemill.registry.reproduction.repeating`` with a task on standard input.

The task is one JSON object: ``folder``, ``run``, ``store``, ``artifacts``, ``options``, ``profile``. Standard output
gets the run's events as JSON lines, and last ``{"run": …, "problem": …}``; whatever the project itself prints goes to
standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from tidemill.core.errors import TidemillError, UsageError, message_of
from tidemill.core.records import Run
from tidemill.engine import RunResult, parameters
from tidemill.engine.caching import Hit
from tidemill.engine.events import Listener
from tidemill.engine.finding import all_pipelines
from tidemill.engine.logged import LOGGED
from tidemill.engine.pipeline import Pipeline
from tidemill.project import import_modules, load_project, use_project
from tidemill.project.project import Place
from tidemill.registry.reproduction.ground import going_on
from tidemill.store import Store, executions, lineage, open_store, runs


def stand_ins(store: Store, run_id: str) -> dict[str, Hit]:
    """The executions that succeeded of a run, or of those that went on from it, with their outputs, by node."""
    found: dict[str, Hit] = {}
    made = going_on(store, run_id)
    with store.metadata.reading() as tx:
        for execution in (one for run in made for one in executions.of_run(tx, run)):
            if execution.status in ("succeeded", "cached") and execution.node not in found:
                outputs = dict(lineage.outputs(tx, execution.id))
                logged = outputs.pop(LOGGED, None)
                origin = executions.get(tx, execution.cached_from) if execution.cached_from else execution
                found[execution.node] = Hit(origin, outputs, logged)
    return found


def repeat(task: Mapping[str, Any], lines: IO[str]) -> RunResult:
    """Run the recorded pipeline again with its recorded arguments, on what it read then, without its effects."""
    store = open_store(task["store"], task["artifacts"], **task["options"])
    with store.metadata.reading() as tx:
        run = runs.get(tx, task["run"])
    project = load_project(Path(task["folder"]), profile=task["profile"])
    project = replace(project, place=Place(task["store"], task["artifacts"], task["options"]))
    with use_project(project, store):
        pipeline = _pipeline(all_pipelines(import_modules(project)), run)
        again = Pipeline(pipeline.function, f"{run.pipeline} (again)")
        tell: list[Listener] = [lambda event: print(json.dumps(asdict(event), default=str), file=lines, flush=True)]
        arguments = parameters.read(run.arguments, {})
        repeated = again.using(
            store=store,
            project=run.project,
            root=project.root,
            cache=False,
            listeners=tell,
            stand_ins=stand_ins(store, run.id),
        )
        return repeated.run(**arguments)


def _pipeline(found: Mapping[str, Pipeline[Any, Any]], run: Run) -> Pipeline[Any, Any]:
    if run.pipeline not in found:
        raise UsageError(
            f"the recorded code has no pipeline {run.pipeline!r}", value=sorted(found), hint="It was recorded in part."
        )
    return found[run.pipeline]


def main() -> None:
    """Repeat the run that standard input names."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what modules print when they are imported is no event
    end = {"run": "", "problem": ""}
    try:
        result = repeat(json.load(sys.stdin), lines)
        end["run"] = result.id
        if result.error is not None:
            end["problem"] = message_of(result.error) or type(result.error).__name__
    except TidemillError as error:
        end["problem"] = str(error)
    print(json.dumps(end), file=lines, flush=True)


if __name__ == "__main__":
    main()
