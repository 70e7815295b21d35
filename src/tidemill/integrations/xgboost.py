"""XGBoost: fitted with early stopping on the validation rows, and kept as its own UBJSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import MissingExtraError, ModelError, UnsafeModelError
from tidemill.core.tasks import Task
from tidemill.integrations.xgboost_audit import audit
from tidemill.packaging.formats import of_each_class, only_file
from tidemill.training.frameworks import generic, unread
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers, Report

try:
    import xgboost
except ImportError as error:
    raise MissingExtraError("xgboost", "xgboost", purpose="a model of XGBoost") from error

FILE = "model.ubj"
#: A booster does not know what its estimator read as missing; it is told in an attribute.
_MISSING = "tidemill_missing"
#: How the names of the metrics begin of which XGBoost's early stopping wants more; of all others it wants less.
_GREATER_IS_BETTER = ("auc", "aucpr", "pre", "map", "ndcg")


def settle(estimator: Any, given: Given) -> Any:
    """Seeds, threads and quiet, where they were left open."""
    if not isinstance(estimator, xgboost.XGBModel):
        raise ModelError(
            f"build returned a {type(estimator).__name__} of XGBoost's native interface",
            hint="Return an XGBClassifier, XGBRegressor or XGBRanker: they take the same parameters.",
        )
    generic.settle(estimator, given)
    if estimator.get_params().get("verbosity") is None:
        estimator.set_params(verbosity=0)
    return estimator


def refuse_unread(estimator: Any) -> None:
    """Refuse a name that XGBoost would drop without a word: it is quiet here.

    Raises
    ------
    UsageError
        It names the nearest parameter.
    """
    if not isinstance(estimator, xgboost.XGBModel):
        return
    strange = unread.beyond_signature(estimator) - {"kwargs"}
    known = _configured(estimator) if strange else set()
    if known:
        booster = estimator.get_params().get("booster") or "gbtree"
        reads = f"The booster {booster!r} reads none of that name with this objective."
        unread.refuse(estimator, strange - known, known, reads)


def _configured(estimator: Any) -> set[str]:
    """The names that XGBoost has a value for with the booster and objective of an estimator; none if it cannot say."""
    given = {name: value for name, value in estimator.get_xgb_params().items() if value is not None}
    if callable(given.get("objective")):
        del given["objective"]
    rows = xgboost.DMatrix(np.zeros((2, 1)), label=[0, 1], nthread=1)
    try:
        found = xgboost.train({**given, "verbosity": 0, "n_jobs": 1}, rows, num_boost_round=0)
        return set(_keys(json.loads(found.save_config())))
    except (xgboost.core.XGBoostError, ValueError, TypeError):  # a value that cannot be: fitting says so
        return set()


def _keys(config: Any) -> Iterator[str]:
    for name, value in config.items() if isinstance(config, dict) else ():
        yield name
        yield from _keys(value)
    for value in config if isinstance(config, list) else ():
        yield from _keys(value)


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit; stop after `early_stopping` rounds without gain on the validation rows, unless `build` chose otherwise."""
    given, report = estimator.get_params(), fitting.pruned_by
    watched: dict[str, Any] = {}
    has_own = given.get("early_stopping_rounds") is not None
    if len(fitting.validation) and (fitting.early_stopping > 0 or has_own or report):
        watched = {"eval_set": [(fitting.validation, fitting.validation_truth)], "verbose": False}
    if watched and fitting.early_stopping > 0 and not has_own and not _is_whole(estimator):
        estimator.set_params(early_stopping_rounds=fitting.early_stopping)
    if fitting.groups is not None:
        watched["group"] = fitting.groups
        if fitting.validation_groups is not None and "eval_set" in watched:
            watched["eval_group"] = [fitting.validation_groups]
    if report:
        estimator.callbacks = [*(given.get("callbacks") or ()), _Telling(report)]
    try:
        estimator.fit(fitting.matrix, fitting.truth, **generic.weighted(fitting), **watched)
    except xgboost.core.XGBoostError as error:
        said = re.sub(r"^\[[^]]*\] |\S+\.(cc|cu|h|c):\d+: ", "", str(error).strip().splitlines()[0])
        raise ModelError(f"XGBoost cannot fit: {said}", hint="Correct the parameters that build sets.") from error
    finally:
        if report:  # not by set_params, which tells the booster of all parameters again
            estimator.callbacks = given.get("callbacks")
    return estimator


class _Telling(xgboost.callback.TrainingCallback):  # type: ignore[misc]  # without XGBoost it is Any
    """Reports after each round what XGBoost's own early stopping watches: the last metric on the validation rows."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """XGBoost calls it; it never stops by saying so."""
        del model
        if evals_log:
            name, values = list(list(evals_log.values())[-1].items())[-1]
            greater = name != "mape" and name.startswith(_GREATER_IS_BETTER)
            self._report(values[-1], epoch, greater_is_better=greater)
        return False


def _is_whole(estimator: Any) -> bool:
    """Whether its earlier rounds are no model: later ones change them (dart, linear), or there is one round only."""
    one = isinstance(estimator, xgboost.XGBRFClassifier | xgboost.XGBRFRegressor)
    return one or estimator.get_params().get("booster") in ("dart", "gblinear")


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities or values, up to the best iteration."""
    if isinstance(estimator, xgboost.Booster):
        return generic.labels(predict(estimator, matrix, task), task, outputs)
    return generic.scores(estimator, matrix, task, outputs)


def contributions(estimator: Any, matrix: Matrix) -> Numbers:
    """What each column adds to the raw score: exact for trees, shape (rows, outputs, columns + 1), the base last.

    Raises
    ------
    ModelError
        When the library cannot tell, as for trees of several outputs.
    """
    booster = booster_of(estimator)
    rows = xgboost.DMatrix(matrix, missing=missing_of(booster), nthread=1)
    try:
        found = booster.predict(rows, pred_contribs=True, validate_features=False, strict_shape=True)
    except xgboost.core.XGBoostError as error:
        said = str(error).strip().splitlines()[-1]
        raise ModelError(f"XGBoost cannot tell contributions: {said}", hint=generic.INSTEAD) from error
    return np.asarray(found, dtype=np.float64)


def iterations(estimator: Any) -> int | None:
    """How many rounds early stopping kept, if it was used."""
    if isinstance(estimator, xgboost.Booster) or estimator.get_params().get("early_stopping_rounds") is None:
        return None
    if estimator.get_params().get("booster") == "gblinear":
        return None
    return int(estimator.best_iteration) + 1


def booster_of(estimator: Any) -> Any:
    """The booster inside an estimator as it predicts: up to its best iteration; or the booster itself."""
    if isinstance(estimator, xgboost.Booster):
        return estimator
    booster, kept = estimator.get_booster(), iterations(estimator)
    booster = booster.copy() if kept is None else booster[:kept]
    booster.set_attr(best_iteration=None, best_score=None)  # all that is left is best
    if not math.isnan(estimator.missing):
        booster.set_attr(**{_MISSING: repr(float(estimator.missing))})
    return booster


def missing_of(booster: Any) -> float:
    """What a booster reads as missing."""
    return float(booster.attr(_MISSING) or "nan")


def save(estimator: Any) -> dict[str, bytes]:
    """The booster as UBJSON; equal models have equal bytes."""
    return {FILE: bytes(booster_of(estimator).save_raw("ubj"))}


def load(files: Mapping[str, bytes]) -> Any:
    """An `xgboost.Booster` that works on one thread."""
    data = only_file(files, FILE)
    if not data.startswith(b"{"):
        raise UnsafeModelError("this is not a UBJSON model of XGBoost", value=data[:40], hint="Package it again.")
    audit(data)
    try:
        booster = xgboost.Booster(model_file=bytearray(data))
    except xgboost.core.XGBoostError as error:
        said = str(error).strip().splitlines()[-1]
        raise UnsafeModelError(f"XGBoost cannot read {FILE}: {said}", hint="Package the model again.") from error
    except UnicodeDecodeError as error:
        raise UnsafeModelError(f"{FILE} holds what is no text: {error}", hint="Package the model again.") from error
    booster.set_param({"nthread": 1, "verbosity": 0})
    return booster


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, outputs]."""
    booster = booster_of(estimator)
    missing = missing_of(booster)
    try:
        found = booster.inplace_predict(matrix, missing=missing, validate_features=False)
    except xgboost.core.XGBoostError:  # linear boosters cannot; what else is wrong is raised again here
        found = booster.predict(xgboost.DMatrix(matrix, missing=missing, nthread=1), validate_features=False)
    return of_each_class(np.asarray(found, dtype=np.float64), task)
