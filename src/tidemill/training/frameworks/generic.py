"""Any object with ``fit(X, y)`` and ``predict_proba(X)`` or ``predict(X)``, scikit-learn's estimators first of all."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers

#: What helps when a library cannot tell what each column contributes.
INSTEAD = 'Use importance="permutation", or explain(..., background=rows) with the package shap.'


def settle(estimator: Any, given: Given) -> Any:
    """Seeds and thread counts that are None, of all its parts, where it has parameters as scikit-learn has them.

    Raises
    ------
    ModelError
        When it has no ``fit``, or nothing to ask it for predictions with.
    """
    _check(estimator)
    if not has_params(estimator):
        return estimator
    params = estimator.get_params(deep=True)
    chosen: dict[str, Any] = {}
    for name in [name for name, value in params.items() if value is None]:
        prefix, _, last = name.rpartition("__")
        if last == "random_state":
            chosen[name] = given.seed
        elif last in {"n_jobs", "thread_count"}:
            owner = type(params[prefix] if prefix else estimator).__module__.partition(".")[0]
            if owner != "sklearn" or given.threads > 1:  # there None is one thread, and some warn when they are told
                chosen[name] = given.threads
    estimator.set_params(**chosen)
    return estimator


def _check(estimator: Any) -> None:
    if isinstance(estimator, type):
        raise ModelError(
            f"the build function returned the class {estimator.__name__} itself",
            hint=f"Return an object of it: {estimator.__name__}(**params).",
        )
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


def has_params(estimator: Any) -> bool:
    """Whether its parameters can be read and set."""
    return all(callable(getattr(estimator, name, None)) for name in ("get_params", "set_params"))


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit on the training rows; an estimator whose ``fit`` has a parameter `report` is told whom to report to.

    Raises
    ------
    ModelError
        When rows have weights and its ``fit`` takes none.
    """
    told = {"report": fitting.report} if fitting.report is not None and _reports(estimator) else {}
    truth = None if fitting.task == "anomaly" else fitting.truth  # what is strange is learned without being told
    estimator.fit(fitting.matrix, truth, **_weighted_as_it_takes(estimator, fitting), **told)
    return estimator


def refuse_holes(estimator: Any, fitting: Fitting) -> None:
    """Refuse missing and infinite values, of which a network would learn nothing but more of them.

    Raises
    ------
    ModelError
        It names the columns.
    """
    for what, found in (("missing", np.isnan), ("infinite", np.isinf)):
        bad = np.asarray(found(fitting.matrix).any(axis=0) | found(fitting.validation).any(axis=0))
        if bad.any():
            raise ModelError(
                f"{type(estimator).__name__} does not take {what} values",
                value=[name for name, is_bad in zip(fitting.names, bad.tolist(), strict=True) if is_bad],
                hint="Fill them by a learned repair: train(..., cleaning=[FillLearned(column)]).",
            )


def weighted(fitting: Fitting) -> dict[str, Any]:
    """The weights of the rows by the name that most libraries give them; nothing if all rows count alike."""
    return {} if fitting.weights is None else {"sample_weight": fitting.weights}


def _weighted_as_it_takes(estimator: Any, fitting: Fitting) -> dict[str, Any]:
    given = weighted(fitting)
    if not given:
        return given
    steps = steps_of(estimator)  # a pipeline of scikit-learn hands them to its last step
    last = last_of(estimator)
    if "sample_weight" not in inspect.signature(last.fit).parameters:
        raise ModelError(
            f"{type(last).__name__}.fit() takes no sample_weight, so classes or rows cannot be weighted",
            hint="Leave the weights out, or use an estimator that takes them.",
        )
    return {f"{steps[-1][0]}__sample_weight": fitting.weights} if steps else given


def last_of(estimator: Any) -> Any:
    """What answers: the last step of a pipeline of scikit-learn, otherwise the estimator."""
    steps = steps_of(estimator)
    return steps[-1][1] if steps else estimator


def steps_of(estimator: Any) -> list[tuple[str, Any]]:
    """The named parts of a pipeline of scikit-learn; those of other libraries have steps of other types."""
    steps = getattr(estimator, "steps", None)
    return steps if isinstance(steps, list) else []


def _reports(estimator: Any) -> bool:
    try:
        return "report" in inspect.signature(estimator.fit).parameters
    except (TypeError, ValueError):  # written in another language, without a signature
        return False


def tags_of(estimator: Any) -> Any:
    """What scikit-learn knows of an estimator; None of one that does not tell.

    >>> from sklearn.linear_model import Ridge
    >>> tags_of(Ridge()).estimator_type, tags_of(object())
    ('regressor', None)
    """
    told = getattr(estimator, "__sklearn_tags__", None)
    try:
        return None if told is None else told()
    except AttributeError:  # one that passes on the attributes of another, without being an estimator itself
        return None


def joint(estimator: Any, task: Task) -> bool:
    """Whether one estimator answers all labels at once: scikit-learn's say so in their tags."""
    tags = tags_of(estimator)
    if task != "multilabel" or tags is None:
        return False
    among = tags.classifier_tags is not None and bool(tags.classifier_tags.multi_label)
    return among or bool(tags.target_tags.multi_output and not tags.target_tags.single_output)


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities where there are any, else what it predicts; of an anomaly how strange a row is."""
    if task == "anomaly":
        return strangeness(estimator, matrix)
    if not TASKS[task].classifies or not callable(getattr(estimator, "predict_proba", None)):
        return labels(np.asarray(estimator.predict(matrix), dtype=np.float64), task, outputs)
    raw = probabilities(estimator, matrix)
    if raw.ndim == 2 and raw.shape[1] != outputs:
        raise ModelError(
            f"{type(estimator).__name__} gives {raw.shape[1]} probabilities for {outputs} classes",
            hint="Fit it on rows of every class.",
        )
    return raw[:, 1] if task == "binary" and raw.ndim == 2 else raw


def probabilities(estimator: Any, matrix: Matrix) -> Numbers:
    """What ``predict_proba`` gives; of one array for each label the column of its presence."""
    raw = estimator.predict_proba(matrix)
    if not isinstance(raw, list):
        return np.asarray(raw, dtype=np.float64)
    columns = [
        one[:, 1] if one.shape[1] == 2 else np.full(len(one), float(known[0]))  # the only value seen in training
        for one, known in zip(raw, estimator.classes_, strict=True)
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def strangeness(estimator: Any, matrix: Matrix) -> Numbers:
    """How strange rows are, more is stranger.

    scikit-learn's ``decision_function`` falls below 0 for an outlier, so its negative is above 0; any other object is
    asked by ``predict``.
    """
    if hasattr(estimator, "offset_") and callable(getattr(estimator, "decision_function", None)):
        return -np.asarray(estimator.decision_function(matrix), dtype=np.float64)
    return np.asarray(estimator.predict(matrix), dtype=np.float64)


def labels(predicted: Numbers, task: Task, outputs: int) -> Numbers:
    """Predictions as scores: of many classes a code is certain of its class."""
    if task == "multiclass" and predicted.ndim == 1:
        return np.eye(outputs)[predicted.astype(np.int64)]
    return predicted


def iterations(estimator: Any) -> int | None:
    """How many trees early stopping kept, if it was used."""
    found = getattr(estimator, "best_iteration_", None)
    return int(found) if isinstance(found, int | np.integer) and found > 0 else None
