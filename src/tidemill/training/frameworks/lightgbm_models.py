"""LightGBM: repeatable, quiet, on as many threads as allowed, stopped early on the validation rows."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import lightgbm
import numpy as np

from tidemill.core.errors import ModelError
from tidemill.core.tasks import Task
from tidemill.training.frameworks import generic, unread
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers, Report
from tidemill.training.frameworks.generic import iterations

__all__ = ["contributions", "fit", "iterations", "refuse_unread", "scores", "settle"]

#: Without these LightGBM times two algorithms against each other, and prints while it works.
_QUIET = {"deterministic": True, "force_row_wise": True, "verbosity": -1}


def settle(estimator: Any, given: Given) -> Any:
    """Seeds and threads that were left open, and what makes a second fit give the same model."""
    generic.settle(estimator, given)
    if generic.has_params(estimator):
        params = estimator.get_params()
        estimator.set_params(**{name: value for name, value in _QUIET.items() if name not in params})
    return estimator


def refuse_unread(estimator: Any) -> None:
    """Refuse a name that LightGBM would drop without a word: it is quiet here.

    Raises
    ------
    UsageError
        It names the nearest parameter or alias.
    """
    known = _native_names()
    if known and isinstance(estimator, lightgbm.LGBMModel):
        unread.refuse(estimator, unread.beyond_signature(estimator) - known, known)


@cache
def _native_names() -> frozenset[str]:
    """LightGBM's parameters and their aliases; none where this version does not tell them, and then all pass."""
    try:
        told = lightgbm.basic._ConfigAliases._get_all_param_aliases()  # noqa: SLF001 (no public name tells them)
    except AttributeError:
        return frozenset()
    return frozenset(told) | {alias for aliases in told.values() for alias in aliases}


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit; stop after `early_stopping` rounds without gain on the validation rows."""
    callbacks: list[Any] = [lightgbm.log_evaluation(0)]
    watched: dict[str, Any] = {}
    report = fitting.pruned_by
    if len(fitting.validation) and (fitting.early_stopping > 0 or report):
        if "eval_X" in inspect.signature(estimator.fit).parameters:
            watched = {"eval_X": fitting.validation, "eval_y": fitting.validation_truth}
        else:  # before LightGBM 4.7
            watched = {"eval_set": [(fitting.validation, fitting.validation_truth)]}
        given = estimator.get_params()
        drops = given.get("boosting_type") == "dart"  # trees, later
        if fitting.early_stopping > 0 and given.get("early_stopping_round") is None and not drops:
            callbacks.append(lightgbm.early_stopping(fitting.early_stopping, verbose=False))
    if fitting.groups is not None:
        watched["group"] = list(fitting.groups)
        if fitting.validation_groups is not None and len(watched) > 1:
            watched["eval_group"] = [list(fitting.validation_groups)]
    if report:
        callbacks.append(lambda so_far: _tell(report, so_far))
    estimator.fit(fitting.matrix, fitting.truth, callbacks=callbacks, **generic.weighted(fitting), **watched)
    return estimator


def _tell(report: Report, so_far: Any) -> None:
    """Report the first thing that LightGBM watches on the validation rows, after each round."""
    if so_far.evaluation_result_list:
        _, _, value, greater_is_better, *_ = so_far.evaluation_result_list[0]
        report(value, so_far.iteration, greater_is_better=greater_is_better)


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities or values; a bare booster is asked on one thread.

    Steps run beside each other; OpenMP threads that wait for each other's cores spin, and cost minutes for seconds. An
    `LGBMModel` knows how many it was given, a booster that was read back does not.
    """
    if not isinstance(estimator, lightgbm.Booster):
        return generic.scores(estimator, matrix, task, outputs)
    return generic.labels(np.asarray(estimator.predict(matrix, num_threads=1), dtype=np.float64), task, outputs)


def contributions(estimator: Any, matrix: Matrix) -> Numbers:
    """What each column adds to the raw score: exact for trees, shape (rows, outputs, columns + 1), the base last.

    Raises
    ------
    ModelError
        When the library cannot tell, as for linear trees.
    """
    booster = estimator if isinstance(estimator, lightgbm.Booster) else estimator.booster_
    try:
        found = booster.predict(matrix, pred_contrib=True, num_threads=1)
    except lightgbm.basic.LightGBMError as error:
        said = str(error).strip().splitlines()[0]
        raise ModelError(f"LightGBM cannot tell contributions: {said}", hint=generic.INSTEAD) from error
    return np.asarray(found, dtype=np.float64).reshape(len(matrix), -1, matrix.shape[1] + 1)
