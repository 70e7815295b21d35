"""A project whose training ends its own process by kill -9, and what its store holds when it has run to its end."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Before a module that defines `build` and calls `alive()` once a batch.
BEFORE = '''
import os
import signal

import numpy as np
import polars as pl

import tidemill as tm

CALLS = 0


def alive():
    """Ends the process at a call that the environment says."""
    global CALLS
    CALLS += 1
    if str(CALLS) == os.environ.get("DIE_AT"):
        os.kill(os.getpid(), signal.SIGKILL)


@tm.step
def table() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=400), draw.normal(size=400)
    return pl.DataFrame({"a": a, "b": b, "y": a * b + draw.normal(size=400) / 3 > 0})
'''
#: After it.
TRAIN = """

@tm.pipeline
def train() -> tm.Model:
    data = tm.split(table(), tm.by_share(0.6, 0.2, seed=1), "y")
    params = {"epochs": 12, "batch_size": 64, "checkpoint_seconds": 0}
    return tm.train(build, params, data, name="mortal", baselines=False)
"""
_PROGRAM = """
import json
import models
from tidemill.project import current_project, open_project_store
from tidemill.store.statement import Statement

run = models.train.run()
if run.status != "succeeded":
    raise SystemExit(run.error)
store = open_project_store(current_project())
with store.metadata.reading() as tx:
    left = tx.all(Statement("SELECT id FROM artifacts WHERE type = 'checkpoint'"))
    digest = tx.all(Statement("SELECT digest FROM artifacts WHERE type = 'model'"))
    measured = Statement("SELECT step, name, value FROM metrics WHERE run_id = :run ORDER BY seq")
    measures = tx.all(measured, run=run.id)
print(json.dumps([[row[0] for row in digest], models.CALLS, len(left), [list(row) for row in measures]]))
"""


@dataclass(frozen=True)
class Ended:
    """What a run that came to its end left."""

    models: list[str]
    calls: int
    checkpoints: int
    measures: list[Any]


def project(folder: Path, module: str) -> Path:
    """A project in a new folder."""
    folder.mkdir()
    (folder / "tidemill.toml").write_text('[project]\nname = "killed"\n')
    (folder / "models.py").write_text(module)
    return folder


def run(folder: Path) -> Ended:
    """Run the project's pipeline to its end."""
    done = _started(folder, os.environ)
    assert done.returncode == 0, done.stderr
    return Ended(*json.loads(done.stdout.splitlines()[-1]))


def run_killed(folder: Path, at: int) -> None:
    """Run the project's pipeline until a call of `alive` kills it."""
    done = _started(folder, {**os.environ, "DIE_AT": str(at)})
    assert done.returncode == -9, done.stderr


def check_goes_on(folder: Path, module: str) -> None:
    """A training that is killed twice gives the same digest as one that is not, and does not begin anew."""
    whole, killed = run(project(folder / "whole", module)), project(folder / "killed", module)
    draw = random.Random()
    places = [draw.randrange(whole.calls // 4, whole.calls // 2) for _ in range(2)]
    for place in places:
        run_killed(killed, place)
    ended = run(killed)
    assert len(whole.models) == 1
    assert ended.models == whole.models, f"killed at calls {places}"
    assert ended.calls < whole.calls * 0.7, "it started anew"
    assert ended.checkpoints == 0, "checkpoints of a step that is done are garbage"
    assert ended.measures == whole.measures, "the run does not show the whole training"


def _started(folder: Path, environment: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
