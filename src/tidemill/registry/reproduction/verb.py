"""`reproduce`: make a model version again from what was recorded, and say whether it is the same."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tidemill.core.errors import RunError, UsageError
from tidemill.core.records import ModelVersion, Run
from tidemill.engine.events import RunEvent
from tidemill.project import Project, current_project, open_project_store
from tidemill.registry.reproduction.ground import install, lay_out, other_packages, recorded_table
from tidemill.registry.reproduction.records import Reproduction
from tidemill.registry.reproduction.verdicts import verdicts
from tidemill.registry.versions import resolve
from tidemill.store import Store, runs

_CHILD = "tidemill.registry.reproduction.repeating"


def reproduce(
    version: str,
    *,
    folder: str | Path | None = None,
    environment: bool = False,
    on_event: Callable[[RunEvent], None] | None = None,
) -> Reproduction:
    """Make a model version again, and compare every step with what was recorded.

    The pipeline that made it runs again in a process of its own: with the code that was recorded (the commit, and over
    it the files that the run kept), the arguments, and the data that its sources gave then, which are in the store.
    Effects, such as registering and promoting, are not repeated. The new run is recorded beside the old one, under the
    pipeline's name with ``(again)``.

    Parameters
    ----------
    version
        ``flight-delay@3``, ``flight-delay@champion``.
    folder
        Where to lay the code out, new or empty; a temporary folder by default, which is deleted in the end.
    environment
        Install the recorded versions of the packages that differ beside the others, for this run only. Without, the
        installed ones are used, and the result says which differ.
    on_event
        Told what the run does.

    Returns
    -------
    Reproduction
        Whether it is equal, or the first step that diverges, why, and by what.

    Raises
    ------
    UsageError
        When the version was not made by a run of a pipeline.
    NotFoundError
        When there is no such version, or its code is nowhere.
    RunError
        When the packages cannot be installed, or the process ended without an answer.

    Examples
    --------
    >>> reproduce("flight-delay@3").sentence  # doctest: +SKIP
    'flight-delay@3 is reproduced: 19 steps done again gave equal results'
    """
    project = current_project()
    store = open_project_store(project)
    found = resolve(store, version)
    run = _run_of(store, found)
    with tempfile.TemporaryDirectory(prefix="tidemill-reproduce-") as scratch:
        ground = _empty(Path(folder) if folder is not None else Path(scratch) / "project")
        unsaved = lay_out(store, run, project.root, ground)
        packages = other_packages(recorded_table(store, run, "packages"))
        overlay = Path(scratch) / "packages"
        if environment and packages:
            install(packages, overlay)
        end = _repeated(_task(project, store, run, ground), overlay, on_event)
    return Reproduction(
        model=found.model,
        version=found.version,
        recorded=run.id,
        repeated=end["run"],
        steps=verdicts(store, run.id, end["run"]),
        commit=run.commit,
        unsaved=unsaved,
        packages={} if environment else packages,
        problem=end["problem"],
    )


def _run_of(store: Store, version: ModelVersion) -> Run:
    name = f"{version.model}@{version.version}"
    if version.run_id is None:
        raise UsageError(f"{name} was registered outside of a run", hint="Register models in a pipeline.")
    with store.metadata.reading() as tx:
        run = runs.get(tx, version.run_id)
    if run.pipeline == "notebook":
        raise UsageError(
            f"{name} was made in a notebook session, which has no pipeline to run again",
            value=run.id,
            hint="Put its steps into a pipeline.",
        )
    return run


def _empty(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("the code is laid out in a new or empty folder", value=str(folder), hint="Choose another.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _task(project: Project, store: Store, run: Run, ground: Path) -> dict[str, Any]:
    return {
        "folder": str(ground),
        "run": run.id,
        "store": project.store,
        "artifacts": store.artifacts.url,
        "options": dict(store.artifacts.options),
        "profile": project.profile,
    }


def _repeated(task: Mapping[str, Any], overlay: Path, on_event: Callable[[RunEvent], None] | None) -> dict[str, str]:
    """Run the child to its end, passing on its events; its last line is the answer."""
    own = str(Path(importlib.import_module("tidemill").__file__ or "").parent.parent)
    paths = f"import sys; sys.path[:0] = [{str(overlay)!r}]; sys.path.append({own!r})"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{paths}; import runpy; runpy.run_module({_CHILD!r}, run_name='__main__')"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=task["folder"],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        child.stdin.write(json.dumps(task))
        child.stdin.close()
        end: dict[str, str] | None = None
        for line in child.stdout:
            told = json.loads(line)
            if "problem" in told:
                end = told
            elif on_event is not None:
                on_event(RunEvent(**{**told, "reasons": tuple(told["reasons"])}))
    if end is None:
        raise RunError(
            f"the process that repeats the run ended with {child.returncode} and without an answer",
            hint="What it wrote to standard error says why.",
        )
    return end
