"""River's incremental models: the training rows are learnt one by one, in their order, once."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import MissingExtraError, ModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers

try:
    from river import base, compose
except ImportError as error:
    raise MissingExtraError("river", "river", purpose="a model of River") from error


class Learner(base.Base):  # type: ignore[misc]  # without River it is Any
    """A model of River with the columns that it knows by name, and how many numbers it answers with.

    It goes on learning with ``learner.model.learn_one(row, answer)``.

    Parameters
    ----------
    model
        River's own.
    names
        The columns, in the order of the matrix.
    outputs
        How many numbers an answer has: classes, or one.
    """

    def __init__(self, model: Any, names: tuple[str, ...], outputs: int) -> None:
        self.model = model
        self.names = names
        self.outputs = outputs

    def rows(self, matrix: Matrix) -> Iterator[dict[str, float]]:
        """Rows as River takes them: a missing value is not there."""
        for values in matrix.tolist():
            yield {name: value for name, value in zip(self.names, values, strict=True) if not math.isnan(value)}


def settle(estimator: Any, given: Given) -> Any:
    """Seeds that were left open, of a model or of the steps of a pipeline."""
    if not callable(getattr(estimator, "learn_one", None)):
        raise ModelError(
            f"build returned a {type(estimator).__name__} that does not learn",
            hint="Return a classifier or a regressor of River, alone or at the end of a pipeline.",
        )
    open_seeds: dict[str, Any] = {}
    if isinstance(estimator, compose.Pipeline):
        open_seeds = {
            name: {"seed": given.seed} for name, step in estimator.steps.items() if getattr(step, "seed", 0) is None
        }
    elif getattr(estimator, "seed", 0) is None:
        open_seeds = {"seed": given.seed}
    return estimator.clone(open_seeds) if open_seeds else estimator


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Learn the training rows in their order; a model that learns from a stream sees each of them once.

    Raises
    ------
    ModelError
        For a task that River has no answer for, and weights for a model that takes none.
    """
    kind = TASKS[fitting.task]
    if fitting.truth.ndim != 1 or (kind.scores != "one" and not kind.classifies):
        raise ModelError(
            f"models of River are not trained for the task {fitting.task!r} here", hint="Use another library for it."
        )
    learner = Learner(estimator, fitting.names, fitting.outputs)
    weights = [{}] * len(fitting.truth) if fitting.weights is None else [{"w": w} for w in fitting.weights.tolist()]
    if fitting.weights is not None and "w" not in inspect.signature(estimator.learn_one).parameters:
        raise ModelError(
            f"{type(estimator).__name__} takes no weights of rows", hint="Leave the weights out, or use another model."
        )
    for row, answer, weight in zip(learner.rows(fitting.matrix), _answers(fitting), weights, strict=True):
        try:
            estimator.learn_one(row, answer, **weight)
        except KeyError as error:
            if error.args[0] not in set(fitting.names) - set(row):
                raise
            raise ModelError(
                f"{type(estimator).__name__} does not take missing values",
                value=error.args[0],
                hint="Fill them by a learned repair: train(..., cleaning=[FillLearned(column)]).",
            ) from error
    return learner


def _answers(fitting: Fitting) -> list[Any]:
    if fitting.task == "multiclass":
        return [int(code) for code in fitting.truth.tolist()]
    if TASKS[fitting.task].classifies:
        return [bool(flag) for flag in fitting.truth.tolist()]
    return list(fitting.truth.tolist())


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities or values."""
    del outputs
    return predict(estimator, matrix, task)


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, outputs]."""
    learner: Learner = estimator
    try:
        if not TASKS[task].classifies:
            values = (learner.model.predict_one(row) for row in learner.rows(matrix))
            return np.fromiter(values, dtype=np.float64, count=len(matrix))
        found = [_chances(learner.model, row) for row in learner.rows(matrix)]
    except KeyError as error:
        if error.args[0] not in learner.names:
            raise
        raise ValueError(f"the model takes no row in which {error.args[0]!r} is missing (NaN)") from error
    if TASKS[task].scores == "one":
        return np.array([chances.get(True, 1.0 - sum(chances.values()) if chances else 0.5) for chances in found])
    out = np.zeros((len(matrix), learner.outputs))
    for place, chances in enumerate(found):
        for code, chance in chances.items():
            out[place, int(code)] = chance
    total = out.sum(axis=1, keepdims=True)
    return np.where(total > 0, out / np.where(total > 0, total, 1.0), 1.0 / learner.outputs)


def _chances(model: Any, row: dict[str, float]) -> dict[Any, float]:
    """Probabilities by class; a model without any is sure of its answer."""
    try:
        return dict(model.predict_proba_one(row))
    except NotImplementedError:
        answer = model.predict_one(row)
        return {} if answer is None else {answer: 1.0}
