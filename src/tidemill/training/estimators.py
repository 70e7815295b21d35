"""How an estimator of some library is seeded, fitted and asked: the only place that knows their differences."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import ModelError
from tidemill.core.model import Task

Matrix = NDArray[np.float32]
Numbers = NDArray[np.float64]
Build = Callable[[dict[str, Any]], Any]

#: Versions of these are recorded with a model, where they are loaded.
_RECORDED = ("tidemill", "numpy", "polars", "scikit-learn", "lightgbm", "xgboost", "catboost")


@dataclass(frozen=True, slots=True)
class Fitting:
    """What fitting needs besides the estimator: encoded rows of both parts, and how to go about it."""

    matrix: Matrix
    truth: Numbers
    validation: Matrix
    validation_truth: Numbers
    names: tuple[str, ...]
    seed: int = 0
    threads: int = 1
    early_stopping: int = 30


def built(build: Build, params: Mapping[str, Any], *, seed: int, threads: int) -> Any:
    """A new estimator with its free seeds and thread counts set.

    A parameter that `build` has set itself is left alone.

    Raises
    ------
    ModelError
        When it has no ``fit``, or nothing to ask it for predictions with.
    """
    if not callable(build) or isinstance(build, type):
        raise ModelError(
            "train and tune take a function that makes the estimator, so that each trial gets a new one",
            value=build,
            hint="Write def build(params): return LGBMClassifier(**params), and pass build.",
        )
    estimator = build(dict(params))
    if not callable(getattr(estimator, "fit", None)):
        raise ModelError(
            f"the build function returned a {type(estimator).__name__}, which has no fit()",
            value=estimator,
            hint="Return an unfitted estimator: an object with fit(X, y) and predict_proba(X) or predict(X).",
        )
    if not any(callable(getattr(estimator, name, None)) for name in ("predict_proba", "predict")):
        raise ModelError(
            f"{type(estimator).__name__} has neither predict_proba() nor predict()",
            hint="Return an estimator that can be asked.",
        )
    _seed(estimator, seed, threads)
    return estimator


def framework_of(estimator: Any) -> str:
    """The library that an estimator comes from: the first part of its class's module."""
    return type(estimator).__module__.partition(".")[0]


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit an estimator on the training rows; where its library can, stop early on the validation rows.

    Raises
    ------
    ModelError
        When the library refuses missing values; it names the columns that have them.
    """
    try:
        if framework_of(estimator) == "lightgbm":
            _fit_lightgbm(estimator, fitting)
        else:
            estimator.fit(fitting.matrix, fitting.truth)
    except ValueError as error:
        if "NaN" not in str(error):
            raise
        having = [name for index, name in enumerate(fitting.names) if np.isnan(fitting.matrix[:, index]).any()]
        raise ModelError(
            f"{type(estimator).__name__} does not take missing values",
            value=having,
            hint="Put an imputer before it in build (sklearn.impute.SimpleImputer), or repair these columns.",
        ) from error
    return estimator


def scores_of(estimator: Any, matrix: Matrix, task: Task, classes: int) -> Numbers:
    """Predictions of a fitted estimator.

    Returns
    -------
    array of float64
        Binary: the probability (or score) of the positive class, shape (rows,). Many classes: probabilities, shape
        (rows, classes). Regression: values, shape (rows,).

    Raises
    ------
    ModelError
        When a prediction is NaN, or the probabilities are not of all classes.
    """
    if task != "regression" and callable(getattr(estimator, "predict_proba", None)):
        raw = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
        if raw.ndim == 2 and raw.shape[1] != classes:
            raise ModelError(
                f"{type(estimator).__name__} gives {raw.shape[1]} probabilities for {classes} classes",
                hint="Fit it on rows of every class.",
            )
        scores = raw[:, 1] if task == "binary" and raw.ndim == 2 else raw
    else:
        scores = np.asarray(estimator.predict(matrix, **_one_thread(estimator)), dtype=np.float64)
        if task == "multiclass" and scores.ndim == 1:
            scores = np.eye(classes)[scores.astype(np.int64)]
    if task == "regression" and scores.ndim != 1:
        raise ModelError(
            f"{type(estimator).__name__} gives {scores.shape[1]} numbers a row where a regression needs one",
            hint="If it is a classifier, say so: task='multiclass', or the task in the canvas.",
        )
    if np.isnan(scores).any():
        raise ModelError(
            f"{type(estimator).__name__} predicted {int(np.isnan(scores).sum())} NaN for {len(scores)} rows",
            hint="Lower the learning rate, scale the inputs, or look for infinite values among them.",
        )
    return scores


def _one_thread(estimator: Any) -> dict[str, int]:
    """Options that keep a prediction to one thread, where the estimator does not know how many it was given.

    Steps run beside each other; OpenMP threads that wait for each other's cores spin, and cost minutes for seconds.
    """
    is_booster = type(estimator).__module__.startswith("lightgbm.") and type(estimator).__name__ == "Booster"
    return {"num_threads": 1} if is_booster else {}


def best_iteration(estimator: Any) -> int | None:
    """How many trees early stopping kept, if it was used."""
    found = getattr(estimator, "best_iteration_", None)
    return int(found) if isinstance(found, int | np.integer) and found > 0 else None


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a model depends on and that are loaded now."""
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for package in _RECORDED:
        module = {"scikit-learn": "sklearn"}.get(package, package)
        if module in sys.modules:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
    return found


def _seed(estimator: Any, seed: int, threads: int) -> None:
    if not callable(getattr(estimator, "get_params", None)) or not callable(getattr(estimator, "set_params", None)):
        return
    params = estimator.get_params(deep=True)
    chosen: dict[str, Any] = {}
    for name in [name for name, value in params.items() if value is None]:
        prefix, _, last = name.rpartition("__")
        if last == "random_state":
            chosen[name] = seed
        elif last in {"n_jobs", "thread_count"}:
            owner = framework_of(params[prefix] if prefix else estimator)
            if owner != "sklearn" or threads > 1:  # there None is one thread, and some warn when they are told
                chosen[name] = threads
    if framework_of(estimator) == "lightgbm":
        # Without these LightGBM times two algorithms against each other, and prints while it works.
        quiet = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
        chosen |= {name: value for name, value in quiet.items() if name not in params}
    estimator.set_params(**chosen)


def _fit_lightgbm(estimator: Any, fitting: Fitting) -> None:
    lightgbm = sys.modules["lightgbm"]  # loaded, since an object of it is here
    callbacks = [lightgbm.log_evaluation(0)]
    watched: dict[str, Any] = {}
    if len(fitting.validation) and fitting.early_stopping > 0:
        if "eval_X" in inspect.signature(estimator.fit).parameters:
            watched = {"eval_X": fitting.validation, "eval_y": fitting.validation_truth}
        else:  # before LightGBM 4.7
            watched = {"eval_set": [(fitting.validation, fitting.validation_truth)]}
        given = estimator.get_params()
        if given.get("early_stopping_round") is None and given.get("boosting_type") != "dart":  # it drops trees later
            callbacks.append(lightgbm.early_stopping(fitting.early_stopping, verbose=False))
    estimator.fit(fitting.matrix, fitting.truth, callbacks=callbacks, **watched)
