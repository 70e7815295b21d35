"""Lightning modules: Lightning's own trainer calls their steps; the best weights by their ``val_loss`` stay.

A training that is part of a run keeps Lightning's own checkpoint in the store, without its pickle, and goes on from it.
"""

from __future__ import annotations

import copy
import logging
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

from tidemill.core.errors import ModelError
from tidemill.integrations.torch_lightning_kept import PLACE, Kept, kept
from tidemill.integrations.torch_net import Net
from tidemill.training.checkpoints import Checkpoint
from tidemill.training.frameworks.fitting import Fitting, Matrix, Numbers, Report
from tidemill.training.noting import note_metrics

#: What a module logs in its ``validation_step``, by the name that Lightning's own examples use.
WATCHED = "val_loss"


def train_lightning(net: Net, fitting: Fitting, device: torch.device, checkpoint: Checkpoint | None) -> None:
    """Train the module inside a net; without ``val_loss`` all epochs are trained and the last weights stay.

    Raises
    ------
    ModelError
        For weights of rows, which a step of Lightning would not know, and for a loss that is not a number.
    """
    if fitting.weights is not None:
        raise ModelError(
            "a Lightning module would not know the weights of the rows",
            hint="Weigh the classes in its training_step, and leave the weights out.",
        )
    lightning = sys.modules.get("lightning.pytorch") or sys.modules["pytorch_lightning"]
    judged = _Judged(fitting.early_stopping, fitting.pruned_by)
    store = None if checkpoint is None else kept(lightning, checkpoint, net.plan.checkpoint_seconds)
    with _quiet(lightning):
        trainer = lightning.Trainer(
            max_epochs=net.plan.epochs,
            accelerator="cpu" if device.type == "cpu" else "gpu",
            devices=1,
            deterministic=True,
            gradient_clip_val=net.plan.gradient_clip,
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            **_stored(_keeper(lightning, judged), store),
        )
        whole, size = fitting.task == "multiclass", net.plan.batch_size
        learn = _loader(fitting.matrix, fitting.truth, size, whole=whole, seed=fitting.seed)
        judge = _loader(fitting.validation, fitting.validation_truth, size, whole=whole, seed=None)
        going_on = store is not None and store.is_there
        trainer.fit(
            net.module, learn, judge if len(fitting.validation) else None, ckpt_path=PLACE if going_on else None
        )
    if store is not None and store.problem:
        warnings.warn(f"the training could not have gone on after a kill: {store.problem}", stacklevel=2)
    if judged.weights:
        net.module.load_state_dict(judged.weights)
    net.epochs = judged.best_epoch or int(trainer.current_epoch)


def _stored(keeper: Any, store: Kept | None) -> dict[str, Any]:
    if store is None:
        return {"callbacks": [keeper], "enable_checkpointing": False}
    return {"callbacks": [keeper, store.callback], "plugins": [store.files], "enable_checkpointing": True}


@contextmanager
def _quiet(lightning: Any) -> Iterator[None]:
    log = logging.getLogger(lightning.__name__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice about workers and loggers
            yield
    finally:
        log.setLevel(level)


class _Shuffled(Sampler[int]):  # type: ignore[misc]  # for mypy, PyTorch is Any
    """The rows in an order that depends on the seed and the epoch alone, as Lightning tells it."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed, self.epoch = rows, seed, 0

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([self.seed, self.epoch])
        return iter(draw.permutation(self.rows).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls it before each epoch."""
        self.epoch = epoch


def _loader(matrix: Matrix, truth: Numbers, rows: int, *, whole: bool, seed: int | None) -> Any:
    targets = torch.from_numpy(truth.astype(np.int64 if whole else np.float32))
    pairs = TensorDataset(torch.from_numpy(np.ascontiguousarray(matrix)), targets)
    # A loader draws a number for workers that it does not have: not from those that the module draws from.
    apart = torch.Generator().manual_seed(seed or 0)
    sampler = None if seed is None else _Shuffled(len(truth), seed)
    return DataLoader(pairs, batch_size=rows, sampler=sampler, generator=apart)


@dataclass(slots=True)
class _Judged:
    """What is known of the epochs so far: all that was logged, and the best weights."""

    patience: int
    report: Report | None
    best: float = math.inf
    best_epoch: int = 0
    weights: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def add(self, logged: dict[str, float], module: Any) -> None:
        """Another epoch."""
        self.history.append(logged)
        epoch, value = len(self.history), logged.get(WATCHED)
        self.note(epoch)
        if value is not None and self.patience > 0 and value < self.best:
            self.best, self.best_epoch = value, epoch
            self.weights = copy.deepcopy(module.state_dict())

    def note(self, epoch: int) -> None:
        """Record on the run what an epoch has logged, and tell a pruner."""
        logged = self.history[epoch - 1]
        note_metrics(logged, "training", step=epoch)
        value = logged.get(WATCHED)
        if value is None:
            return
        if not math.isfinite(value):
            raise ModelError(f"{WATCHED} was {value} in epoch {epoch}", hint="Lower the learning rate.")
        if self.report:
            self.report(value, epoch - 1, greater_is_better=False)

    def is_enough(self) -> bool:
        """Whether there was no gain for so long that there will be none."""
        return self.patience > 0 and bool(self.best_epoch) and len(self.history) - self.best_epoch >= self.patience


def _keeper(lightning: Any, judged: _Judged) -> Any:
    """A callback that tells of each epoch, and stops without gain."""

    class Keeper(lightning.Callback):  # type: ignore[misc]  # of the Lightning in use
        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            """Lightning has validated before."""
            judged.add({name: float(value) for name, value in trainer.callback_metrics.items()}, module)
            trainer.should_stop = trainer.should_stop or judged.is_enough()

        def on_train_start(self, trainer: Any, module: Any) -> None:
            """What a training that was killed had measured belongs to this run as well."""
            for epoch in range(1, len(judged.history) + 1):
                judged.note(epoch)
            trainer.should_stop = trainer.should_stop or judged.is_enough()

        def state_dict(self) -> dict[str, Any]:
            """For a checkpoint."""
            return {"best": [judged.best, judged.best_epoch], "weights": judged.weights, "history": judged.history}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            """From a checkpoint."""
            judged.best, judged.best_epoch = state["best"]
            judged.weights, judged.history = state["weights"], state["history"]

    return Keeper()
