"""A training that was killed must go on where it was, and give the very model that an undisturbed one gives."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: make test-services does, where it can")
pytestmark = [pytest.mark.services, pytest.mark.slow]

PROJECT = '[project]\nname = "killed"\n'
MODULE = '''
import json
import os
import signal

import numpy as np
import polars as pl
import torch

import tidemill as tm

CALLS = 0


class Mortal(torch.nn.Module):
    """Ends its process at a call that the environment says."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(nn.LazyBatchNorm1d(), nn.LazyLinear(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, rows):
        global CALLS
        CALLS += 1
        if str(CALLS) == os.environ.get("DIE_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.layers(rows)


def build(params):
    return Mortal()


@tm.step
def table() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=400), draw.normal(size=400)
    return pl.DataFrame({"a": a, "b": b, "y": a * b + draw.normal(size=400) / 3 > 0})


@tm.pipeline
def train() -> tm.Model:
    data = tm.split(table(), tm.by_share(0.6, 0.2, seed=1), "y")
    params = {"epochs": 12, "batch_size": 64, "schedule": "cosine", "checkpoint_seconds": 0}
    return tm.train(build, params, data, name="mortal", baselines=False)
'''
PROGRAM = """
import json
import models
from tidemill.project import current_project, open_project_store
from tidemill.store.statement import Statement

run = models.train.run()
store = open_project_store(current_project())
with store.metadata.reading() as tx:
    left = tx.all(Statement("SELECT id FROM artifacts WHERE type = 'checkpoint'"))
    digest = tx.all(Statement("SELECT digest FROM artifacts WHERE type = 'model'"))
    measured = Statement("SELECT step, value FROM metrics WHERE name = 'loss' AND run_id = :run ORDER BY seq")
    losses = tx.all(measured, run=run.id)
print(json.dumps([[row[0] for row in digest], models.CALLS, len(left), [list(row) for row in losses]]))
"""


def project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "tidemill.toml").write_text(PROJECT)
    (folder / "models.py").write_text(MODULE)
    return folder


def run(folder: Path, die_at: int | None = None) -> tuple[list[str], int, int, list]:
    environment = {**os.environ, **({} if die_at is None else {"DIE_AT": str(die_at)})}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if die_at is not None:
        assert done.returncode == -9, done.stderr
        return [], 0, 0, []
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def test_a_killed_training_goes_on_and_gives_the_same_digest(tmp_path):
    whole, calls, _, losses = run(project(tmp_path / "whole"))
    killed = project(tmp_path / "killed")
    draw = random.Random()
    places = [draw.randrange(calls // 4, calls // 2), draw.randrange(calls // 4, calls // 2)]
    for place in places:
        run(killed, place)
    digest, rest, left, again = run(killed)
    assert digest == whole, f"killed at calls {places}"
    assert rest < calls * 0.7, "it started anew"
    assert left == 0, "checkpoints of a step that is done are garbage"
    assert again == losses, "the run does not show the whole training"


def test_a_killed_training_of_other_code_or_parameters_starts_anew(tmp_path):
    killed = project(tmp_path / "killed")
    _, calls, _, _ = run(project(tmp_path / "whole"))
    run(killed, calls // 2)
    text = MODULE.replace('"batch_size": 64', '"batch_size": 32')
    (killed / "models.py").write_text(text)
    (tmp_path / "whole" / "models.py").write_text(text)
    digest, rest, _, _ = run(killed)
    assert digest == run(tmp_path / "whole")[0][-1:]
    assert rest > calls
