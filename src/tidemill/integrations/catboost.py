"""CatBoost: quiet and repeatable, stopped early on the validation rows, and kept as its own binary format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import MissingExtraError, ModelError, UnsafeModelError
from tidemill.core.tasks import Task
from tidemill.integrations.catboost_audit import audit
from tidemill.packaging.formats import only_file
from tidemill.training.frameworks import generic
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers, Report

try:
    import catboost
except ImportError as error:
    raise MissingExtraError("catboost", "catboost", purpose="a model of CatBoost") from error

FILE = "model.cbm"
_MAGIC = b"CBM1"
#: Never the same twice, and no prediction depends on it.
_OF_THE_MOMENT = ("model_guid", "train_finish_time")
#: Names for one parameter; CatBoost refuses two of them.
_SEEDS, _THREADS = ("random_seed", "random_state"), ("thread_count", "n_jobs")
_LOUDNESS = ("verbose", "logging_level", "silent", "verbose_eval")
#: Losses whose answer is not the sum of the trees -> what to ask for.
_ANSWERS: Mapping[str, str] = {
    **dict.fromkeys(("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll", "MultiLogloss"), "Probability"),
    **dict.fromkeys(("Poisson", "Tweedie"), "Exponent"),
}


def settle(estimator: Any, given: Given) -> Any:
    """Seed, threads and quiet where they were left open; no folder with its log is left in the working directory."""
    chosen = estimator.get_params()
    left_open = ((_SEEDS, given.seed), (_THREADS, given.threads), (_LOUDNESS, False), (("allow_writing_files",), False))
    for names, value in left_open:
        if not any(chosen.get(name) is not None for name in names):
            estimator.set_params(**{names[0]: value})
    return estimator


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit; stop after `early_stopping` rounds without gain on the validation rows, and keep the best."""
    given, report = estimator.get_params(), fitting.pruned_by
    watched: dict[str, Any] = {}
    if len(fitting.validation) and (fitting.early_stopping > 0 or report):
        watched["eval_set"] = _pool(fitting.validation, fitting.validation_truth, None, fitting.validation_groups)
        if fitting.early_stopping > 0 and not {"early_stopping_rounds", "od_type", "od_wait"} & set(given):
            watched["early_stopping_rounds"] = fitting.early_stopping
    telling = _Telling(report, given.get("eval_metric")) if report and given.get("task_type") != "GPU" else None
    if telling:  # on a graphics card CatBoost calls nobody
        watched["callbacks"] = [telling]
    try:
        estimator.fit(_pool(fitting.matrix, fitting.truth, fitting.weights, fitting.groups), **watched)
    except catboost.CatBoostError as error:
        said = str(error).strip().splitlines()[0]
        raise ModelError(f"CatBoost cannot fit: {said}", hint="Correct the parameters that build sets.") from error
    if telling and telling.raised is not None:
        raise telling.raised
    return estimator


class _Telling:
    """Reports after each round what CatBoost's own early stopping watches on the validation rows.

    What is raised on the way is kept, to be raised when CatBoost has returned: it would make an error of its own of it.
    """

    def __init__(self, report: Report, watched: Any) -> None:
        self.raised: Exception | None = None
        self._report = report
        self._watched = watched

    def after_iteration(self, info: Any) -> bool:
        """CatBoost calls it; False ends the fit."""
        found = info.metrics.get("validation")
        if not found:
            return True
        name = self._watched if self._watched in found else list(found)[-1]
        try:
            self._report(found[name][-1], info.iteration - 1, greater_is_better=self._is_greater_better(name))
        except Exception as error:
            self.raised = error
            return False
        return True

    def _is_greater_better(self, name: str) -> bool:
        if callable(getattr(self._watched, "is_max_optimal", None)):  # a metric of the user's own
            return bool(self._watched.is_max_optimal())
        try:
            return bool(catboost.core.is_maximizable_metric(name))
        except catboost.CatBoostError:  # parameters that it refuses where it does not know the rows
            return bool(catboost.core.is_maximizable_metric(name.partition(":")[0]))


def _pool(matrix: Matrix, truth: Numbers, weights: Numbers | None, groups: tuple[int, ...] | None) -> Any:
    queries = None if groups is None else np.repeat(np.arange(len(groups)), groups)
    return catboost.Pool(matrix, truth, weight=weights, group_id=queries)


def joint(estimator: Any, task: Task) -> bool:
    """Whether it was told a loss of many numbers: MultiLogloss, MultiQuantile."""
    del task
    return str(estimator.get_params().get("loss_function", "")).startswith("Multi")


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities or values."""
    return generic.labels(predict(estimator, matrix, task), task, outputs)


def contributions(estimator: Any, matrix: Matrix) -> Numbers:
    """What each column adds to the raw score: exact for trees, shape (rows, outputs, columns + 1), the base last.

    Raises
    ------
    ModelError
        When the library cannot tell.
    """
    try:
        found = estimator.get_feature_importance(catboost.Pool(matrix), type="ShapValues", thread_count=1)
    except catboost.CatBoostError as error:
        said = str(error).strip().splitlines()[0]
        raise ModelError(f"CatBoost cannot tell contributions: {said}", hint=generic.INSTEAD) from error
    return np.asarray(found, dtype=np.float64).reshape(len(matrix), -1, matrix.shape[1] + 1)


def iterations(estimator: Any) -> int | None:
    """How many trees early stopping kept, if it was used."""
    return None if estimator.best_iteration_ is None else int(estimator.tree_count_)


def loss_of(estimator: Any) -> str:
    """The loss that it was trained with, which says what its answer is."""
    return str(json.loads(estimator.get_metadata()["params"])["loss_function"]["type"])


def save(estimator: Any) -> dict[str, bytes]:
    """The model in CatBoost's binary format, without the moment at which it was trained."""
    model = estimator.copy()
    for name in _OF_THE_MOMENT:
        model.get_metadata()[name] = ""
    return {FILE: bytes(model._serialize_model())}  # noqa: SLF001  the public way goes through a file


def load(files: Mapping[str, bytes]) -> Any:
    """A `catboost.CatBoost`."""
    data = only_file(files, FILE)
    if not data.startswith(_MAGIC):
        raise UnsafeModelError("this is not a model of CatBoost", value=data[:40], hint="Package the model again.")
    audit(data)
    try:
        return catboost.CatBoost().load_model(blob=data)
    except (catboost.CatBoostError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UnsafeModelError(f"CatBoost cannot read {FILE}: {said}", hint="Package the model again.") from error


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, outputs]; one thread."""
    kind = _ANSWERS.get(loss_of(estimator), "RawFormulaVal")
    found = catboost.CatBoost.predict(estimator, matrix, prediction_type=kind, thread_count=1)
    answer = np.asarray(found, dtype=np.float64)
    return answer[:, 1] if task == "binary" and answer.ndim == 2 else answer
