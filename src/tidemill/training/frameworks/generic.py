"""Any object with ``fit(X, y)`` and ``predict_proba(X)`` or ``predict(X)``, scikit-learn's estimators first of all."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.training.frameworks.fitting import Fitting, Matrix, Numbers


def settle(estimator: Any, seed: int, threads: int) -> None:
    """Seeds and thread counts that are None, of all its parts, where it has parameters as scikit-learn has them."""
    if not has_params(estimator):
        return
    params = estimator.get_params(deep=True)
    chosen: dict[str, Any] = {}
    for name in [name for name, value in params.items() if value is None]:
        prefix, _, last = name.rpartition("__")
        if last == "random_state":
            chosen[name] = seed
        elif last in {"n_jobs", "thread_count"}:
            owner = type(params[prefix] if prefix else estimator).__module__.partition(".")[0]
            if owner != "sklearn" or threads > 1:  # there None is one thread, and some warn when they are told
                chosen[name] = threads
    estimator.set_params(**chosen)


def has_params(estimator: Any) -> bool:
    """Whether its parameters can be read and set."""
    return all(callable(getattr(estimator, name, None)) for name in ("get_params", "set_params"))


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit on the training rows; an estimator whose ``fit`` has a parameter `report` is told whom to report to."""
    told = {"report": fitting.report} if fitting.report is not None and _reports(estimator) else {}
    estimator.fit(fitting.matrix, fitting.truth, **told)
    return estimator


def _reports(estimator: Any) -> bool:
    try:
        return "report" in inspect.signature(estimator.fit).parameters
    except (TypeError, ValueError):  # written in another language, without a signature
        return False


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities where there are any, else what it predicts."""
    if not TASKS[task].classifies or not callable(getattr(estimator, "predict_proba", None)):
        return labels(np.asarray(estimator.predict(matrix), dtype=np.float64), task, outputs)
    raw = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
    if raw.ndim == 2 and raw.shape[1] != outputs:
        raise ModelError(
            f"{type(estimator).__name__} gives {raw.shape[1]} probabilities for {outputs} classes",
            hint="Fit it on rows of every class.",
        )
    return raw[:, 1] if task == "binary" and raw.ndim == 2 else raw


def labels(predicted: Numbers, task: Task, outputs: int) -> Numbers:
    """Predictions as scores: of many classes a code is certain of its class."""
    if task == "multiclass" and predicted.ndim == 1:
        return np.eye(outputs)[predicted.astype(np.int64)]
    return predicted


def iterations(estimator: Any) -> int | None:
    """How many trees early stopping kept, if it was used."""
    found = getattr(estimator, "best_iteration_", None)
    return int(found) if isinstance(found, int | np.integer) and found > 0 else None
