"""A training that was killed must go on where it was, and give the very model that an undisturbed one gives."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from killed import BEFORE, TRAIN, check_goes_on, project, run, run_killed

pytest.importorskip("torch", reason="torch is not installed: make test-services does, where it can")
pytestmark = [pytest.mark.services, pytest.mark.slow]

PLAIN = """
import torch


class Mortal(torch.nn.Module):
    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(nn.LazyBatchNorm1d(), nn.LazyLinear(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, rows):
        alive()
        return self.layers(rows)


def build(params):
    return Mortal()
"""
COSINE = TRAIN.replace('"batch_size": 64', '"batch_size": 64, "schedule": "cosine"')
LIGHTNING = """
import lightning.pytorch as pl_
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Mortal(pl_.LightningModule):
    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, rows):
        return self.layers(rows)

    def loss(self, batch):
        return torch.nn.functional.binary_cross_entropy_with_logits(self.layers(batch[0])[:, 0], batch[1])

    def training_step(self, batch, index):
        alive()
        return self.loss(batch)

    def validation_step(self, batch, index):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), 0.05)
        schedule = {"scheduler": ReduceLROnPlateau(optimizer, patience=0), "monitor": "val_loss"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def build(params):
    return Mortal()
"""
#: Two trainings in one step, of which nothing that is hashed is different: only the code that `build` runs.
TWO = """
import torch


class Scaled(torch.nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.rate = rate

    def forward(self, rows):
        alive()
        return self.layer(rows) * self.rate


@tm.step
def both(data: tm.TrainingParts) -> tm.Model:
    params = {"epochs": 6, "batch_size": 64, "checkpoint_seconds": 0}
    for rate in (0.01, 10.0):
        model = tm.train(lambda params, rate=rate: Scaled(rate), params, data, name="last", baselines=False)
    return model


@tm.pipeline
def train() -> tm.Model:
    return both(tm.split(table(), tm.by_share(0.6, 0.2, seed=1), "y"))
"""


def test_a_killed_training_goes_on_and_gives_the_same_digest(tmp_path):
    check_goes_on(tmp_path, BEFORE + PLAIN + COSINE)


@pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed: make test-services does")
def test_a_killed_training_with_lightning_goes_on_and_gives_the_same_digest(tmp_path):
    check_goes_on(tmp_path, BEFORE + LIGHTNING + TRAIN)


def test_a_killed_training_of_other_code_or_parameters_starts_anew(tmp_path):
    killed = project(tmp_path / "killed", BEFORE + PLAIN + COSINE)
    calls = run(project(tmp_path / "whole", BEFORE + PLAIN + COSINE)).calls
    run_killed(killed, calls // 2)
    text = BEFORE + PLAIN + COSINE.replace('"batch_size": 64', '"batch_size": 32')
    (killed / "models.py").write_text(text)
    (tmp_path / "whole" / "models.py").write_text(text)
    ended = run(killed)
    assert ended.models == run(tmp_path / "whole").models[-1:]
    assert ended.calls > calls


def test_a_second_training_in_a_step_never_goes_on_with_what_the_first_has_left(tmp_path):
    both = run(project(tmp_path / "both", BEFORE + TWO))
    alone = run(project(tmp_path / "alone", BEFORE + TWO.replace("(0.01, 10.0)", "(10.0,)")))
    assert both.measures[-1] == alone.measures[-1]
    assert both.calls > 1.8 * alone.calls
