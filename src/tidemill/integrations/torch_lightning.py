"""Lightning modules: Lightning's own trainer calls their steps; the best weights by their ``val_loss`` stay."""

from __future__ import annotations

import copy
import logging
import math
import sys
import warnings
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from tidemill.core.errors import ModelError
from tidemill.integrations.torch_net import Net
from tidemill.training.frameworks.fitting import Fitting, Matrix, Numbers, Report
from tidemill.training.noting import note_metrics

#: What a module logs in its ``validation_step``, by the name that Lightning's own examples use.
WATCHED = "val_loss"


def train_lightning(net: Net, fitting: Fitting, device: torch.device) -> None:
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
    keeper = _keeper(lightning, fitting.early_stopping, fitting.pruned_by)
    quiet = logging.getLogger(lightning.__name__)
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice about workers and loggers
            trainer = lightning.Trainer(
                max_epochs=net.plan.epochs,
                accelerator="cpu" if device.type == "cpu" else "gpu",
                devices=1,
                deterministic=True,
                gradient_clip_val=net.plan.gradient_clip,
                callbacks=[keeper],
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=sys.stderr.isatty(),
            )
            whole, size = fitting.task == "multiclass", net.plan.batch_size
            learn = _loader(fitting.matrix, fitting.truth, size, whole=whole, seed=fitting.seed)
            judge = _loader(fitting.validation, fitting.validation_truth, size, whole=whole, seed=None)
            trainer.fit(net.module, learn, judge if len(fitting.validation) else None)
    finally:
        quiet.setLevel(level)
    if keeper.weights:
        net.module.load_state_dict(keeper.weights)
    net.epochs = keeper.best_epoch or int(trainer.current_epoch)


def _loader(matrix: Matrix, truth: Numbers, rows: int, *, whole: bool, seed: int | None) -> Any:
    targets = torch.from_numpy(truth.astype(np.int64 if whole else np.float32))
    pairs = TensorDataset(torch.from_numpy(np.ascontiguousarray(matrix)), targets)
    if seed is None:
        return DataLoader(pairs, batch_size=rows)
    return DataLoader(pairs, batch_size=rows, shuffle=True, generator=torch.Generator().manual_seed(seed))


def _keeper(lightning: Any, patience: int, report: Report | None) -> Any:
    """A callback that keeps the best weights, stops without gain, notes what the module logs, and tells a pruner."""

    class Keeper(lightning.Callback):  # type: ignore[misc]  # of the Lightning in use
        best, best_epoch = math.inf, 0

        def __init__(self) -> None:
            self.weights: dict[str, Any] = {}

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            """Lightning has validated before."""
            epoch = int(trainer.current_epoch) + 1
            logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
            note_metrics(logged, "training", step=epoch)
            value = logged.get(WATCHED)
            if value is None:
                return
            if not math.isfinite(value):
                raise ModelError(f"{WATCHED} was {value} in epoch {epoch}", hint="Lower the learning rate.")
            if report:
                report(value, epoch - 1, greater_is_better=False)
            if patience > 0 and value < self.best:
                self.best, self.best_epoch = value, epoch
                self.weights = copy.deepcopy(module.state_dict())
            if patience > 0 and epoch - self.best_epoch >= patience:
                trainer.should_stop = True

    return Keeper()
