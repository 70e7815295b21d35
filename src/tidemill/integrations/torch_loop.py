"""The plain loop: batches, loss, optimizer, early stopping, checkpoints; the best weights stay.

A training that goes on from a checkpoint does what it would have done: weights, optimizer, schedule, random numbers and
all that was measured are restored as they were after an epoch.
"""

from __future__ import annotations

import copy
import math
import sys
import warnings
from typing import Any

import numpy as np
import torch

from tidemill.core.clock import elapsed
from tidemill.core.errors import ModelError
from tidemill.integrations.torch_chance import chance, restore_chance
from tidemill.integrations.torch_device import full, is_full
from tidemill.integrations.torch_loss import loss_of
from tidemill.integrations.torch_net import Net
from tidemill.integrations.torch_state import packed, unpacked
from tidemill.training.checkpoints import Checkpoint
from tidemill.training.frameworks.fitting import Fitting
from tidemill.training.noting import note_metrics

#: Rows at a time when nothing is learnt from them, in batches of training.
_WIDER = 4


def train_net(net: Net, fitting: Fitting, device: torch.device, checkpoint: Checkpoint | None) -> None:
    """Train on a device; a full one is tried again with half as many rows at a time.

    Raises
    ------
    ModelError
        When the loss is not a number, or the device is full with one row at a time.
    """
    fresh = copy.deepcopy(net.state_dict())
    drawn, rows = chance(), net.plan.batch_size
    while True:
        try:
            _Training(net, fitting, device, rows, checkpoint).run()
            return
        except RuntimeError as error:
            if not is_full(error):
                raise
            rows = min(rows, len(fitting.truth)) // 2
            if rows < 1:
                raise full(device, "with one row at a time", error) from error
        warnings.warn(f"{device} is full: training starts again with {rows} rows at a time", stacklevel=2)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        net.load_state_dict(fresh)
        restore_chance(drawn)


class _Training:
    """A training between two epochs: all of it is in `state`, and goes into a checkpoint."""

    def __init__(
        self, net: Net, fitting: Fitting, device: torch.device, rows: int, checkpoint: Checkpoint | None
    ) -> None:
        self.net, self.plan, self.fitting, self.device = net.to(device), net.plan, fitting, device
        self.rows, self.checkpoint = rows, checkpoint
        self.loss = loss_of(net, fitting, device)
        self.parts = tuple(
            (torch.from_numpy(np.ascontiguousarray(matrix)).to(device), self.loss.target(truth))
            for matrix, truth in (
                (fitting.matrix, fitting.truth),
                (fitting.validation, fitting.validation_truth),
            )
        )
        weights = fitting.weights
        self.weights = None if weights is None else torch.from_numpy(weights.astype(np.float32)).to(device)
        self.optimizer = _optimizer(net)
        self.schedule = _schedule(self.optimizer, net)
        self.epoch, self.best_epoch, self.best = 0, 0, math.inf
        self.best_weights: dict[str, Any] = {}
        self.history: list[tuple[float, float]] = []
        self.noted = 0
        self.shown = sys.stderr.isatty()

    def run(self) -> None:
        """Epoch after epoch, until there is no gain or no epoch left; the best weights are the ones that stay."""
        self._resume()
        saved = elapsed()
        while self.epoch < self.plan.epochs and not self._is_enough():
            self._note()
            self._learn()
            self._judge()
            if self.checkpoint is not None and elapsed() - saved >= self.plan.checkpoint_seconds:
                self.checkpoint.save(packed(self._state()), {"epoch": self.epoch, "validation_loss": self.best})
                saved = elapsed()
        self._note()
        if self.shown:
            print(file=sys.stderr)  # noqa: T201  the line of progress ends
        if self.best_weights:
            self.net.load_state_dict(self.best_weights)
        self.net.epochs = self.best_epoch or self.epoch

    def _is_enough(self) -> bool:
        patience = self.fitting.early_stopping
        return patience > 0 and bool(self.best_epoch) and self.epoch - self.best_epoch >= patience

    def _learn(self) -> None:
        """One epoch over the training rows, in random order."""
        rows, truth = self.parts[0]
        self.net.train()
        total = 0.0
        order = torch.randperm(len(rows)).to(self.device)
        for places in _batches(order, self.rows):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss.of(rows[places], truth[places], None if self.weights is None else self.weights[places])
            value = float(loss.detach())
            if not math.isfinite(value):
                raise self._not_finite(value)
            loss.backward()
            if self.plan.gradient_clip is not None:
                torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.plan.gradient_clip)
            self.optimizer.step()
            total += value * len(places)
        if self.schedule is not None:
            self.schedule.step()
        self.epoch += 1
        self.history.append((total / len(rows), math.nan))

    def _judge(self) -> None:
        """The loss on the validation rows, and whether it is the best so far."""
        rows, truth = self.parts[1]
        if not len(rows):
            return
        self.net.eval()
        total = 0.0
        with torch.no_grad():
            for places in torch.arange(len(rows), device=self.device).split(self.rows * _WIDER):
                total += float(self.loss.of(rows[places], truth[places], None)) * len(places)
        value = total / len(rows)
        if not math.isfinite(value):
            raise self._not_finite(value)
        self.history[-1] = (self.history[-1][0], value)
        if self.fitting.early_stopping > 0 and value < self.best:
            self.best, self.best_epoch = value, self.epoch
            self.best_weights = copy.deepcopy(self.net.state_dict())

    def _note(self) -> None:
        """Record what was measured since the last time on the run, show it on a terminal, and tell a pruner."""
        for number, (learnt, judged) in enumerate(self.history[self.noted :], start=self.noted + 1):
            note_metrics({"loss": learnt}, "training", step=number)
            note_metrics({"loss": judged}, "validation", step=number)
            if self.fitting.pruned_by and math.isfinite(judged):  # it is NaN where there are no validation rows
                self.fitting.pruned_by(judged, number - 1, greater_is_better=False)
            if self.shown:
                line = f"\repoch {number}/{self.plan.epochs}  loss {learnt:.4g}  validation {judged:.4g}  "
                print(line, end="", file=sys.stderr, flush=True)  # noqa: T201  progress, on a terminal only
        self.noted = len(self.history)

    def _state(self) -> dict[str, Any]:
        return {
            "weights": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "chance": chance(),
            "rows": self.rows,
            "epoch": self.epoch,
            "best": [self.best_epoch, self.best, dict(self.best_weights)],
            "history": self.history,
        }

    def _resume(self) -> None:
        data = None if self.checkpoint is None else self.checkpoint.load()
        if data is None:
            return
        state = unpacked(data)
        self.net.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        restore_chance(state["chance"])
        self.rows, self.epoch = state["rows"], state["epoch"]
        self.best_epoch, self.best, best_weights = state["best"]
        self.best_weights = {name: tensor.to(self.device) for name, tensor in best_weights.items()}
        self.history = list(state["history"])

    def _not_finite(self, value: float) -> ModelError:
        rate = self.optimizer.param_groups[0]["lr"]
        rows = self.fitting.matrix
        column = int(np.abs(rows).max(axis=0).argmax())
        return ModelError(
            f"the loss was {value} in epoch {self.epoch + 1} at learning rate {rate:g}; the inputs are finite, the "
            f"largest of them is {float(np.abs(rows[:, column]).max()):g} in {self.fitting.names[column]!r}",
            hint="Lower learning_rate, set gradient_clip, or begin the module with a BatchNorm1d, which scales inputs.",
        )


def _batches(order: torch.Tensor, rows: int) -> list[torch.Tensor]:
    """Pieces of so many rows; a last one of a single row, of which no variance can be taken, joins the one before."""
    parts = list(order.split(rows))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _optimizer(net: Net) -> Any:
    plan, weights = net.plan, [weight for weight in net.parameters() if weight.requires_grad]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(weights, plan.learning_rate, momentum=plan.momentum, weight_decay=plan.weight_decay)
    kind = torch.optim.Adam if plan.optimizer == "adam" else torch.optim.AdamW
    return kind(weights, plan.learning_rate, weight_decay=plan.weight_decay)


def _schedule(optimizer: Any, net: Net) -> Any:
    if net.plan.schedule == "constant":
        return None
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, net.plan.epochs)
