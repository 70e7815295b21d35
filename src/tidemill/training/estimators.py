"""How an estimator is made, fitted and asked, with the checks that hold for every library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError, TidemillError, UsageError, message_of
from tidemill.core.tasks import TASKS, Task
from tidemill.training.frameworks import Fitting, Given, Matrix, Numbers, framework_for, iterations, refuse_unread
from tidemill.training.frameworks.generic import last_of, steps_of, tags_of
from tidemill.training.seeding import loaded_sources, seeded

Build = Callable[[dict[str, Any]], Any]

#: A target of so few whole numbers may stand for classes.
_MOST_CLASSES = 20

#: Distributions whose versions are recorded with a model where they are loaded -> the module that they bring.
_RECORDED: Mapping[str, str] = {
    "tidemill": "tidemill",
    "numpy": "numpy",
    "polars": "polars",
    "scikit-learn": "sklearn",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "xgboost-cpu": "xgboost",
    "catboost": "catboost",
    "torch": "torch",
    "lightning": "lightning",
    "keras": "keras",
    "river": "river",
    "pyspark": "pyspark",
}


def built(build: Build, params: Mapping[str, Any], *, seed: int, threads: int) -> Any:
    """A new estimator with its free seeds and thread counts set.

    A parameter that `build` has set itself is left alone.

    Raises
    ------
    ModelError
        When it has no ``fit``, or nothing to ask it for predictions with.
    UsageError
        When it took a parameter that its library would not read.
    """
    if not callable(build) or isinstance(build, type):
        raise ModelError(
            "train and tune take a function that makes the estimator, so that each trial gets a new one",
            value=build,
            hint="Write def build(params): return LGBMClassifier(**params), and pass build.",
        )
    asked = _Read(params)
    with seeded(seed) as known:
        estimator = build(asked)
    if loaded_sources() != known:  # build itself loaded what draws the weights, so that nobody had seeded it
        with seeded(seed):
            estimator = build(_Read(params))
    refuse_unread(estimator)
    given = Given(params=dict(params), unread=frozenset(set(params) - asked.read), seed=seed, threads=threads)
    return framework_for(estimator).settle(estimator, given)


#: What is asked of a trial of Optuna -> how a space says it here.
_SUGGESTED: Mapping[str, str] = {
    "suggest_int": "tm.integers(2, 64)",
    "suggest_float": "tm.uniform(0.01, 0.3, log=True)",
    "suggest_uniform": "tm.uniform(0.01, 0.3)",
    "suggest_loguniform": "tm.uniform(0.01, 0.3, log=True)",
    "suggest_discrete_uniform": "tm.uniform(0.1, 0.9, step=0.1)",
    "suggest_categorical": 'tm.choice(["gbdt", "dart"])',
}


class _Read(dict[str, Any]):
    """Parameters that know which of them were looked at; what takes them all together looks at all."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name in _SUGGESTED:
            example = f'tm.tune(build, {{"NAME": {_SUGGESTED[name]}}}, data)'
            raise UsageError(
                "build is given the parameters of one trial as a dict, not a trial of Optuna",
                value=f"params.{name}",
                hint=f'Say where to search beside it, {example}, and read params["NAME"] in build.',
            )
        raise AttributeError(f"the parameters are a dict, which has no attribute {name!r}")

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        self.read.add(name)
        return super().pop(name, *default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())  # also what ``**params`` goes through

    def keys(self) -> Any:
        self.read.update(dict.keys(self))
        return super().keys()

    def items(self) -> Any:
        self.read.update(dict.keys(self))
        return super().items()

    def values(self) -> Any:
        self.read.update(dict.keys(self))
        return super().values()

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()


def _require_kind(estimator: Any, fitting: Fitting) -> None:
    """Raise for a classifier where a number is asked, and for a regressor where a class is."""
    kind = getattr(tags_of(estimator), "estimator_type", None)
    classifies, name = TASKS[fitting.task].classifies, type(last_of(estimator)).__name__
    if not classifies and kind == "classifier":
        raise ModelError(
            f"{name} is a classifier, and the answer of a {fitting.task} is a number",
            hint=f"Return a regressor{_as_classes(fitting)}.",
        )
    if classifies and kind == "regressor":
        raise ModelError(
            f"{name} is a regressor, and the answer of a {fitting.task} question is the probability of a class",
            hint=f"Return {_classifier_for(last_of(estimator))}, or say task='regression' if the target is a quantity.",
        )


#: Regressors whose classifier has another name.
_CLASSIFIERS: Mapping[str, str] = {
    **dict.fromkeys(("ElasticNet", "Lasso", "LinearRegression", "Ridge", "SGDRegressor"), "LogisticRegression"),
    "SVR": "SVC(probability=True)",
    "LinearSVR": "LinearSVC",
}


def _classifier_for(regressor: Any) -> str:
    """What to take in the place of a regressor: its sibling of the same library, where there is one."""
    name = type(regressor).__name__
    sibling = name.removesuffix("Regressor") + "Classifier"
    modules = [sys.modules.get(kind.__module__) for kind in type(regressor).__mro__]
    has_sibling = name.endswith("Regressor") and any(hasattr(module, sibling) for module in modules)
    return _CLASSIFIERS.get(name, sibling if has_sibling else "a classifier, with predict_proba()")


def _as_classes(fitting: Fitting) -> str:
    """The other way out where the target may be meant as classes: a few whole numbers."""
    values = np.unique(fitting.truth)
    if fitting.task != "regression" or len(values) > _MOST_CLASSES or (values % 1).any():
        return ""
    return f", or say the task: task='{'binary' if len(values) == 2 else 'multiclass'}', or the task in the canvas"


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit an estimator on the training rows; where its library can, stop early on the validation rows.

    Raises
    ------
    ModelError
        When the estimator is of another kind of question, or the library refuses missing values; it names the columns
        that have them.
    """
    _require_kind(estimator, fitting)
    try:
        return framework_for(estimator).fit(estimator, fitting)
    except Exception as error:  # of a library, which knows nothing of the rows that it was given
        if not _is_of_the_estimator(error):
            raise
        having = [name for index, name in enumerate(fitting.names) if np.isnan(fitting.matrix[:, index]).any()]
        if having and isinstance(error, ValueError) and "NaN" in str(error):
            raise ModelError(
                f"{_name(estimator)} does not take missing values",
                value=having,
                hint="Put an imputer before it in build (sklearn.impute.SimpleImputer), or repair these columns.",
            ) from error
        raise _failed(estimator, "be fitted on", fitting.matrix, error) from error


def _is_of_the_estimator(error: Exception) -> bool:
    """Whether a library raised it about what it was given: not the machine, and not we to end a trial."""
    is_ours = isinstance(error, TidemillError) or type(error).__module__.partition(".")[0] in ("tidemill", "optuna")
    return not is_ours and not isinstance(error, MemoryError | OSError | ImportError)


def _failed(estimator: Any, what: str, matrix: Matrix, error: Exception) -> ModelError:
    """What could not be done, with which rows, and what the library says."""
    rows, columns = matrix.shape
    hint = "Correct the parameters that build sets, or the columns of the split."
    if "out of memory" in str(error).lower():  # of a graphics card: each library has an error of its own for it
        hint = "Let fewer rows be learnt from at a time, use a smaller model, or free the device."
    return ModelError(
        f"{_name(estimator)} cannot {what} {rows:,} rows of {columns:,} columns: "
        f"{type(error).__name__}: {message_of(error).strip()}",
        hint=hint,
    )


def _name(estimator: Any) -> str:
    """The class of an estimator, of a pipeline also those of its parts.

    >>> from sklearn.linear_model import Ridge
    >>> _name(Ridge())
    'Ridge'
    """
    parts = [type(part).__name__ for _, part in steps_of(estimator)]
    return f"{type(estimator).__name__}({', '.join(parts)})" if parts else type(estimator).__name__


def scores_of(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Predictions of a fitted estimator.

    Parameters
    ----------
    estimator, matrix
        The estimator and encoded rows.
    task, outputs
        The kind of answer, and how many numbers it has: classes, or one.

    Returns
    -------
    array of float64
        Binary: the probability (or score) of the positive class, shape (rows,). Many classes: probabilities, shape
        (rows, outputs). Regression: values, shape (rows,).

    Raises
    ------
    ModelError
        When a prediction is NaN, or the answers are not of the task's shape.
    """
    try:
        scores = framework_for(estimator).scores(estimator, matrix, task, outputs)
    except Exception as error:
        if not _is_of_the_estimator(error):
            raise
        raise _failed(estimator, "predict", matrix, error) from error
    if TASKS[task].scores == "one" and scores.ndim != 1:
        raise ModelError(
            f"{type(estimator).__name__} gives {scores.shape[1]} numbers a row where a {task} needs one",
            hint="If it is a classifier, say so: task='multiclass', or the task in the canvas.",
        )
    if TASKS[task].scores != "one" and (scores.ndim != 2 or scores.shape[1] != outputs):
        raise ModelError(
            f"{type(estimator).__name__} gives an answer of the shape {scores.shape} where a {task} needs {outputs} "
            "numbers a row",
            hint="Use an estimator of this task, or let build return one for a single number.",
        )
    if np.isnan(scores).any():
        holes = bool(np.isnan(matrix[np.isnan(scores).reshape(len(scores), -1).any(axis=1)]).any(axis=1).all())
        raise ModelError(
            f"{type(estimator).__name__} predicted {int(np.isnan(scores).sum())} NaN for {len(scores)} rows"
            + (", all with missing values" if holes else ""),
            hint="Fill them by a learned repair: train(..., cleaning=[FillLearned(column)])."
            if holes
            else "Lower the learning rate, scale the inputs, or look for infinite values among them.",
        )
    return scores


def best_iteration(estimator: Any) -> int | None:
    """How many rounds early stopping kept, if it was used."""
    return iterations(estimator)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a model depends on and that are loaded now."""
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for package, module in _RECORDED.items():
        if module in sys.modules:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
    return found
