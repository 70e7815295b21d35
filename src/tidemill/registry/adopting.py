"""An estimator that was trained elsewhere becomes a model: its signature from an example, its answers proved equal."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import DataError, ModelError, SchemaError, UsageError
from tidemill.core.model import Model, Signature
from tidemill.core.tasks import TASKS, Task
from tidemill.data.types import collected
from tidemill.packaging.formats import FORMATS
from tidemill.training.encoding import encode_columns, fit_encoding, kind_of
from tidemill.training.estimators import library_versions, scores_of
from tidemill.training.frames import columns_of, input_schema
from tidemill.training.frameworks import Numbers, framework_name
from tidemill.training.profile import reference_profile

#: Answers about the matrix of float32 may differ by this much from those about the example as it was given, relative to
#: the largest answer: the estimator was fitted on wider numbers.
TOLERANCE = 1e-3
#: The share of the example's rows that may differ by more.
MOST_DIFFERING = 0.01
_KINDS = ("number", "flag")
_WAY_OUT = (
    "Fit it on numbers, or train it with tm.train: there text, categories and moments are encoded, and the encoding is "
    "part of the model."
)


def adopt(estimator: Any, example: Any, *, name: str, target: Any = None) -> Model:
    """Make a model of a fitted estimator.

    Parameters
    ----------
    estimator
        A fitted estimator of a library whose models have a safe format: scikit-learn, LightGBM.
    example
        Rows as it was fitted on, a table or a matrix: types, ranges and the reference profile come from them. Numbers
        and flags only, in the order of the fit: the estimator is given a matrix, here and when it serves.
    name
        What the registry will call it.
    target
        The column of `example` with the truth, which is then no feature; or the truth as a series or array; or what to
        call the answer. It is profiled, and nothing is measured with it: the rows may be those of the fit.

    Returns
    -------
    Model
        Without metrics and parameters of a training, since none was seen.

    Raises
    ------
    UsageError
        For an estimator that is not fitted, or of a library without a safe format.
    SchemaError
        When the example has columns that no matrix holds.
    ModelError
        When it answers otherwise about the matrix than about the example, in more than one row of a hundred.
    """
    framework = framework_name(estimator)
    if framework not in FORMATS:
        raise UsageError(
            f"a {type(estimator).__name__} cannot be registered: there is no safe format for {framework!r}",
            hint=f"Frameworks with one: {', '.join(FORMATS)}.",
        )
    frame, given, answer, truth = _parts(estimator, example, target)
    inputs = input_schema(frame, frame.columns)
    for column in inputs:
        if kind_of(column) not in _KINDS:
            raise SchemaError(f"the column {column.name!r} is {column.type}, and a matrix holds numbers", hint=_WAY_OUT)
    task, classes = _question(estimator, truth)
    columns = columns_of(frame, frame.columns)
    encoding = fit_encoding(columns, inputs)
    unnamed = _without_names(estimator)
    if not hasattr(estimator, "feature_names_in_") or framework == "lightgbm":
        given = frame.cast(pl.Float64).to_numpy() if not isinstance(given, np.ndarray) else given
    with warnings.catch_warnings():  # that a matrix has no names of columns is what is meant here
        warnings.filterwarnings("ignore", message="X (has|does not have valid) feature names", category=UserWarning)
        scores = _proved(unnamed, encode_columns(columns, encoding), task, classes)
        agreement = _compared(scores, _asked(estimator, given, task))
    return Model(
        name=name,
        estimator=unnamed,
        framework=framework,
        signature=Signature(inputs, task, answer, classes),
        encoding=encoding,
        profile=_profile(columns, inputs, truth, scores, task, classes),
        metadata={
            "origin": "trained elsewhere",
            "rows": {"example": frame.height},
            "agreement": agreement,
            "versions": library_versions(),
        },
    )


def _parts(estimator: Any, example: Any, target: Any) -> tuple[pl.DataFrame, Any, str, pl.Series | None]:
    """The features as a table, the same as the estimator knows them, what the answer is called, and the truth."""
    frame, given = _table(estimator, example), example
    truth: pl.Series | None = None
    answer = "prediction"
    if isinstance(target, str):
        answer = target
        if target in frame.columns:
            truth, frame = frame[target], frame.drop(target)
            given = given.drop(columns=[target]) if hasattr(given, "iloc") else frame
    elif target is not None:
        truth = pl.Series(str(getattr(target, "name", None) or answer), np.asarray(target))
        answer = truth.name
    if truth is not None and len(truth) != frame.height:
        raise DataError(f"the example has {frame.height} rows and the target {len(truth)}", hint="Give the same rows.")
    if not frame.height or not frame.width:
        raise DataError("the example has no rows or no columns", value=frame.shape, hint="Give rows of the fit.")
    if answer in frame.columns:
        raise UsageError(f"the answer is called like a feature: {answer!r}", hint="Name the target otherwise.")
    return frame, given, answer, truth


def _table(estimator: Any, example: Any) -> pl.DataFrame:
    if not isinstance(example, np.ndarray):
        if not hasattr(example, "columns") and not hasattr(example, "__arrow_c_stream__"):
            raise UsageError("an example is a table or a matrix", value=type(example).__name__, hint="Give X.")
        return collected(example) if isinstance(example, pl.DataFrame | pl.LazyFrame) else pl.DataFrame(example)
    if example.ndim != 2:
        raise UsageError("an example has rows and columns", value=example.shape, hint="Give X as it was fitted on.")
    names = getattr(estimator, "feature_names_in_", None)
    known = [str(name) for name in names] if names is not None else [f"x{place}" for place in range(example.shape[1])]
    return pl.DataFrame(example, schema=known)


def _question(estimator: Any, truth: pl.Series | None) -> tuple[Task, tuple[str, ...]]:
    """The kind of answer, by what the estimator says of itself."""
    labels = getattr(estimator, "classes_", None)
    if isinstance(labels, list):
        raise UsageError("an estimator with several answers a row cannot be registered", hint="Register one for each.")
    if labels is None:
        if callable(getattr(estimator, "predict_proba", None)):
            raise UsageError("the estimator is not fitted: it knows no classes", hint="Fit it first.")
        if not hasattr(estimator, "get_params"):
            kind = type(estimator).__name__
            hint = "Give the LGBMClassifier or LGBMRegressor around it."
            raise UsageError(f"a {kind} does not say whether it answers with classes or quantities", hint=hint)
        return "regression", ()
    found = np.asarray(labels).tolist()
    classes = tuple(str(label).lower() if isinstance(label, bool) else _plain(label) for label in found)
    if truth is not None and (strange := sorted(set(map(str, truth.drop_nulls().to_list())) - set(map(str, found)))):
        raise DataError(
            "the target has classes that the estimator does not know", value=strange[:5], hint="Look again."
        )
    return ("binary" if len(classes) == 2 else "multiclass"), classes


def _plain(label: Any) -> str:
    """A class as text; one that was fitted as 0.0 and 1.0 is 0 and 1."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _without_names(estimator: Any) -> Any:
    """A copy whose parts forget the names of columns: a matrix has none, and scikit-learn would warn each time."""
    unnamed = copy.deepcopy(estimator)
    waiting, seen = [unnamed], set[int]()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif type(item).__module__.startswith("sklearn."):
            parts = getattr(item, "__dict__", {})
            parts.pop("feature_names_in_", None)
            waiting.extend(parts.values())
    return unnamed


def _proved(estimator: Any, matrix: NDArray[np.float32], task: Task, classes: tuple[str, ...]) -> Numbers:
    """Its answers about the matrix."""
    width = getattr(estimator, "n_features_in_", matrix.shape[1])
    if width != matrix.shape[1]:
        raise SchemaError(
            f"the estimator was fitted on {width} columns, and the example has {matrix.shape[1]}",
            hint="Give the columns of the fit, in their order; name the target if it is among them.",
        )
    try:
        return scores_of(estimator, matrix, task, max(1, len(classes)))
    except ModelError as error:  # told with its rows, by whoever asked it
        cause = error.__cause__
        if cause is None:
            raise
        raise ModelError(
            f"the estimator cannot be asked about a matrix of numbers: {type(cause).__name__}: {cause}", hint=_WAY_OUT
        ) from cause


def _compared(scores: Numbers, expected: Numbers) -> dict[str, Any]:
    """How its answers about the matrix differ from those about the example as it knows it; refused when too many do.

    A tree that was fitted on wider numbers decides otherwise about a row right at a threshold.
    """
    gaps = np.abs(scores - expected).reshape(len(scores), -1).max(axis=1)
    differing = ~(gaps <= TOLERANCE * max(1.0, float(np.abs(expected).max())))
    if differing.mean() > MOST_DIFFERING:
        row = int(gaps.argmax())
        raise ModelError(
            f"the estimator answers otherwise about the matrix than about the example in {int(differing.sum())} of "
            f"{len(scores)} rows, by up to {float(gaps.max()):.4g} (row {row})",
            hint="It uses finer numbers than float32 (fit it on X.astype('float32')), or names of columns. " + _WAY_OUT,
        )
    return {"rows": len(scores), "differing": int(differing.sum()), "largest": float(gaps.max())}


def _asked(estimator: Any, given: Any, task: Task) -> Numbers:
    """What it says of the example itself."""
    if not TASKS[task].classifies or not callable(getattr(estimator, "predict_proba", None)):
        return np.asarray(estimator.predict(given), dtype=np.float64)
    raw = np.asarray(estimator.predict_proba(given), dtype=np.float64)
    return raw[:, 1] if task == "binary" else raw


def _profile(
    columns: Mapping[str, Any],
    inputs: Any,
    truth: pl.Series | None,
    scores: Numbers,
    task: Task,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """The reference profile of the example; of the target only where it was given."""
    values = _numbers(truth, task, classes) if truth is not None else np.zeros(len(scores))
    profile = reference_profile(columns, inputs, values, scores, task, classes)
    return profile if truth is not None else {name: part for name, part in profile.items() if name != "target"}


def _numbers(truth: pl.Series, task: Task, classes: tuple[str, ...]) -> Numbers:
    if truth.null_count():
        raise DataError(f"{truth.null_count()} rows of the example have no truth", hint="Leave these rows out.")
    if not TASKS[task].classifies:
        return truth.cast(pl.Float64).to_numpy()
    codes = {name: float(code) for code, name in enumerate(classes)}
    texts = (str(label).lower() if isinstance(label, bool) else _plain(label) for label in truth.to_list())
    return np.array([codes[text] for text in texts])
