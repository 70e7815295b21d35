"""Keras's own loop, stopped early, the best weights kept, and its state stored after an epoch.

A training that goes on from a checkpoint does what it would have done: the order of the rows and the random numbers of
an epoch depend on the seed and the epoch alone; all else is in the variables of the model and of its optimizer.
"""

from __future__ import annotations

import io
import json
import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.clock import elapsed
from tidemill.core.errors import ModelError
from tidemill.integrations.keras_backend import keras
from tidemill.training.checkpoints import Checkpoint
from tidemill.training.frameworks.fitting import Fitting
from tidemill.training.frameworks.plan import Plan
from tidemill.training.noting import note_metrics

_PLAIN = "plain"


#: The variables of the model, random numbers of its layers among them; of its optimizer; its best weights.
_GROUPS = ("model", "optimizer", "best")


def train_model(estimator: Any, plan: Plan, fitting: Fitting, checkpoint: Checkpoint | None) -> None:
    """Train a compiled model, and leave the best weights in it; `tidemill_best` says of which epoch they are."""
    state, rows = _State(estimator, plan, fitting, checkpoint), _Rows(plan, fitting)
    state.resume()
    estimator.fit(
        rows,
        validation_data=(fitting.validation, fitting.validation_truth) if len(fitting.validation) else None,
        validation_batch_size=plan.batch_size,
        initial_epoch=state.epoch,
        epochs=state.epoch if state.is_enough() else plan.epochs,
        callbacks=[_Order(rows, fitting.seed), state],
        shuffle=False,  # the rows come in an order of ours
        verbose=1 if sys.stderr.isatty() else 0,
    )
    if state.best_weights:
        estimator.set_weights(state.best_weights)
    estimator.tidemill_best = state.best_epoch or plan.epochs


class _Rows(keras.utils.PyDataset):  # type: ignore[misc]  # for mypy, Keras is Any
    """Batches of the training rows, in an order that is set for each epoch."""

    def __init__(self, plan: Plan, fitting: Fitting) -> None:
        super().__init__(workers=0)
        truth = fitting.truth.astype(np.int64 if fitting.task == "multiclass" else np.float32)
        self.parts = [fitting.matrix, truth] + ([] if fitting.weights is None else [fitting.weights])
        self.size, self.order = plan.batch_size, np.arange(len(truth))

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.size)

    def __getitem__(self, batch: int) -> tuple[NDArray[Any], ...]:
        places = self.order[batch * self.size : (batch + 1) * self.size]
        return tuple(part[places] for part in self.parts)


class _Order(keras.callbacks.Callback):  # type: ignore[misc]  # for mypy, Keras is Any
    """What is random in an epoch, made anew for each."""

    def __init__(self, rows: _Rows, seed: int) -> None:
        super().__init__()
        self.rows, self.seed = rows, seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras calls it."""
        source = np.random.SeedSequence([self.seed, epoch])
        keras.utils.set_random_seed(int(source.generate_state(1)[0]))
        self.rows.order = np.random.default_rng(source).permutation(len(self.rows.order))


class _State(keras.callbacks.Callback):  # type: ignore[misc]  # for mypy, Keras is Any
    """What is known between two epochs; it notes each on the run, tells a pruner of it, and decides to stop."""

    def __init__(self, estimator: Any, plan: Plan, fitting: Fitting, checkpoint: Checkpoint | None) -> None:
        super().__init__()
        self.estimator, self.plan, self.fitting, self.checkpoint = estimator, plan, fitting, checkpoint
        self.epoch, self.best_epoch, self.best = 0, 0, math.inf
        self.best_weights: list[NDArray[Any]] = []
        self.history: list[dict[str, float]] = []
        self.saved = elapsed()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keras calls it."""
        found = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(found["loss"]):
            raise self._not_finite(found["loss"], epoch)
        self.epoch = epoch + 1
        self.history.append(found)
        value = found.get("val_loss", math.inf)
        if self.fitting.early_stopping > 0 and value < self.best:
            self.best, self.best_epoch, self.best_weights = value, self.epoch, self.estimator.get_weights()
        self.note(self.epoch)
        if self.checkpoint is not None and elapsed() - self.saved >= self.plan.checkpoint_seconds:
            self.checkpoint.save(self.packed(), {"epoch": self.epoch, "validation_loss": self.best})
            self.saved = elapsed()
        self.estimator.stop_training = self.is_enough()

    def is_enough(self) -> bool:
        """Whether there was no gain for so long that there will be none."""
        patience = self.fitting.early_stopping
        return patience > 0 and bool(self.best_epoch) and self.epoch - self.best_epoch >= patience

    def note(self, number: int) -> None:
        """Record what was measured in an epoch."""
        found = self.history[number - 1]
        judged = {name[4:]: value for name, value in found.items() if name.startswith("val_")}
        learnt = {name: value for name, value in found.items() if not name.startswith("val_")}
        note_metrics(learnt, "training", step=number)
        note_metrics(judged, "validation", step=number)
        if self.fitting.pruned_by and "loss" in judged:
            self.fitting.pruned_by(judged["loss"], number - 1, greater_is_better=False)

    def packed(self) -> bytes:
        """All of it as an archive of arrays."""
        plain = {"epoch": self.epoch, "best": [self.best_epoch, self.best], "history": self.history}
        arrays: dict[str, Any] = {_PLAIN: np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)}
        variables = (self.estimator.variables, self.estimator.optimizer.variables)
        for name, group in zip(_GROUPS, (*map(_values, variables), self.best_weights), strict=True):
            arrays |= {f"{name}{place}": value for place, value in enumerate(group)}
        out = io.BytesIO()
        np.savez(out, **arrays)
        return out.getvalue()

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        data = None if self.checkpoint is None else self.checkpoint.load()
        if data is None:
            return
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            plain = json.loads(arrays[_PLAIN].tobytes())
            model, optimizer, self.best_weights = (_group(arrays, name) for name in _GROUPS)
        self.estimator.optimizer.build(self.estimator.trainable_variables)
        for kept, values in ((self.estimator, model), (self.estimator.optimizer, optimizer)):
            for variable, value in zip(kept.variables, values, strict=True):
                variable.assign(value)
        self.epoch, (self.best_epoch, self.best), self.history = plain["epoch"], plain["best"], plain["history"]
        for number in range(1, self.epoch + 1):
            self.note(number)

    def _not_finite(self, value: float, epoch: int) -> ModelError:
        return ModelError(
            f"the loss was {value} in epoch {epoch + 1} at learning rate {self.plan.learning_rate:g}; the inputs are "
            f"finite, the largest of them is {float(np.abs(self.fitting.matrix).max()):g}",
            hint="Lower learning_rate, set gradient_clip, or begin with a BatchNormalization layer.",
        )


def _values(variables: Any) -> list[NDArray[Any]]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _group(arrays: Any, name: str) -> list[NDArray[Any]]:
    count = sum(one.startswith(name) for one in arrays)
    return [arrays[f"{name}{place}"] for place in range(count)]
