"""Keras 3 models on any backend: compiled for the task unless `build` did, stopped early, the best weights kept."""

from __future__ import annotations

import importlib
import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import ModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.integrations.keras_backend import keras
from tidemill.integrations.keras_file import load, save
from tidemill.integrations.keras_loop import train_model
from tidemill.training.checkpoints import Checkpoint, checkpoint_of, training_name
from tidemill.training.frameworks import generic
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers
from tidemill.training.frameworks.plan import ALL, Plan, joint, plan_of
from tidemill.training.seeding import seeded

__all__ = ["fit", "iterations", "joint", "load", "predict", "save", "scores", "settle"]

#: What the loop reads of the parameters.
KNOWN = ALL - {"schedule", "loss", "device"}
_LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy"}
_TORCH = "tidemill.integrations.torch_repeatable"


def settle(estimator: Any, given: Given) -> Any:
    """The model with its plan, which is read from the parameters."""
    if not isinstance(estimator, keras.Model):
        raise ModelError(
            f"build returned a {type(estimator).__name__}",
            hint="Return a keras.Model: Sequential, functional, or yours.",
        )
    estimator.tidemill_plan = plan_of(given.params, given.unread, KNOWN)
    estimator.tidemill_params = dict(given.params)
    return estimator


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Train on the training rows, stop early on the validation rows, and keep the best weights.

    Raises
    ------
    ModelError
        For missing or infinite values, an output of another shape than the task has, answers that are no
        probabilities, and a loss that is not a number.
    """
    plan: Plan = estimator.tidemill_plan
    generic.refuse_holes(estimator, fitting)
    if not estimator.built:
        estimator.build((None, fitting.matrix.shape[1]))
    _check_width(estimator, fitting)
    if not estimator.compiled:
        estimator.compile(optimizer=_optimizer(plan), loss=_loss(fitting))
    with _repeatable(fitting.threads), seeded(fitting.seed):
        train_model(estimator, plan, fitting, _checkpoint(estimator, plan, fitting))
    _check_range(estimator, fitting)
    return estimator


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """What the model answers."""
    return generic.labels(predict(estimator, matrix, task), task, outputs)


def iterations(estimator: Any) -> int | None:
    """After which epoch the weights were the best."""
    found = getattr(estimator, "tidemill_best", None)
    return None if found is None else int(found)


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, outputs]."""
    if not len(matrix):
        shape = (0,) if TASKS[task].scores == "one" else (0, int(estimator.output_shape[-1]))
        return np.zeros(shape)
    answer = np.asarray(estimator.predict(matrix, batch_size=8192, verbose=0), dtype=np.float64)
    return answer.reshape(len(matrix)) if TASKS[task].scores == "one" else answer


def _checkpoint(estimator: Any, plan: Plan, fitting: Fitting) -> Checkpoint | None:
    about = [repr(plan), *(_described(part) for part in (estimator.optimizer, *estimator.layers))]
    return checkpoint_of(training_name(fitting, estimator.tidemill_params, about, estimator.get_weights()))


def _described(part: Any) -> str:
    try:
        config = part.get_config()
    except NotImplementedError:  # of a class of the user's own that does not tell
        config = {}
    return type(part).__name__ + json.dumps(config, sort_keys=True, default=lambda value: type(value).__name__)


def _repeatable(threads: int) -> AbstractContextManager[None]:
    """PyTorch takes threads for a block; the other backends keep those that their process began with."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    made: AbstractContextManager[None] = importlib.import_module(_TORCH).repeatable(threads)
    return made


def _optimizer(plan: Plan) -> Any:
    clip = {} if plan.gradient_clip is None else {"global_clipnorm": plan.gradient_clip}
    if plan.optimizer == "sgd":
        decay = {"weight_decay": plan.weight_decay} if plan.weight_decay else {}
        return keras.optimizers.SGD(plan.learning_rate, momentum=plan.momentum, **decay, **clip)
    kind = keras.optimizers.Adam if plan.optimizer == "adam" else keras.optimizers.AdamW
    return kind(plan.learning_rate, weight_decay=plan.weight_decay or None, **clip)


def _loss(fitting: Fitting) -> Any:
    if TASKS[fitting.task].classifies:
        return _LOSSES.get(fitting.task, "binary_crossentropy")
    if fitting.levels:
        shares = keras.ops.convert_to_tensor(np.array(fitting.levels, dtype=np.float32))

        def pinball(truth: Any, answer: Any) -> Any:
            over = keras.ops.reshape(truth, (-1, 1)) - answer
            return keras.ops.mean(keras.ops.maximum(shares * over, (shares - 1) * over), axis=-1)

        return pinball
    if fitting.task not in ("regression", "forecasting"):
        raise ModelError(
            f"there is no loss for the task {fitting.task!r} here",
            hint="Compile the model in build with a loss of yours.",
        )
    return "mean_squared_error"


def _check_width(estimator: Any, fitting: Fitting) -> None:
    wanted = 1 if TASKS[fitting.task].scores == "one" else fitting.outputs
    shape = tuple(estimator.output_shape)
    if len(shape) != 2 or shape[1] != wanted:
        raise ModelError(
            f"{type(estimator).__name__} gives {shape} where a {fitting.task} needs (None, {wanted})",
            hint=f"Let its last layer be Dense({wanted}) with the activation of the task.",
        )


def _check_range(estimator: Any, fitting: Fitting) -> None:
    """Probabilities are what the model must give: Keras's losses take them, and so does whoever asks."""
    if not TASKS[fitting.task].classifies or not len(fitting.validation):
        return
    answer = predict(estimator, fitting.validation[:1000], fitting.task)
    if (answer < 0).any() or (answer > 1).any():
        raise ModelError(
            f"{type(estimator).__name__} answers from {answer.min():.3g} to {answer.max():.3g}, not with probabilities",
            hint="End it with activation='sigmoid', or 'softmax' for many classes.",
        )
