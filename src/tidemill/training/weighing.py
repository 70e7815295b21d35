"""How much each training row counts: by its class, or by a column of the table; never by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import DataError, ModelError, UsageError
from tidemill.core.tasks import Task
from tidemill.data.types import require_columns

ClassWeight = Literal["balanced"] | Mapping[Any, float]

#: Parameters by which libraries weigh classes themselves, and their values when they do not.
_WEIGHING: Mapping[str, tuple[Any, ...]] = {
    "class_weight": (None,),
    "class_weights": (None,),
    "auto_class_weights": (None, "None"),
    "is_unbalance": (None, False),
    "scale_pos_weight": (None, 1, 1.0),
}


def row_weights_of(
    frame: pl.DataFrame, truth: NDArray[np.float64], task: Task, classes: Sequence[str],
    class_weight: ClassWeight | None, column: str,
) -> NDArray[np.float64] | None:  # fmt: skip
    """The weights of training rows; None where all count alike.

    Parameters
    ----------
    frame, truth, task, classes
        The training rows, their target as numbers, and what it is.
    class_weight
        ``"balanced"``: each class counts as much as any other, as scikit-learn has it; or a weight for each class.
    column
        The column of weights; empty for none.

    Raises
    ------
    UsageError
        For both at once, or class weights where there are no classes.
    DataError
        For weights that are missing, negative, infinite or all 0.

    Examples
    --------
    >>> rows = pl.DataFrame({"late": [False, False, False, True]})
    >>> row_weights_of(rows, np.array([0.0, 0, 0, 1]), "binary", ("false", "true"), "balanced", "").round(2)
    array([0.67, 0.67, 0.67, 2.  ])
    """
    if class_weight is not None and column:
        raise UsageError(
            "both class_weight and weights say how much a row counts",
            value=(class_weight, column),
            hint="Multiply the class's weight into the column, and pass weights= alone.",
        )
    if column:
        return _of_column(frame, column)
    if class_weight is None:
        return None
    if task not in {"binary", "multiclass"}:
        raise UsageError(
            f"class_weight is for rows of one class each, and this is {task}",
            value=class_weight,
            hint="Pass weights=, a column with the weight of each row.",
        )
    counts = np.bincount(truth.astype(np.int64), minlength=len(classes))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise UsageError("unknown class weights", value=class_weight, hint='Write "balanced", or a mapping.')
        weights = len(truth) / (len(classes) * np.maximum(counts, 1))
    else:
        weights = _of_classes(class_weight, classes)
    return np.asarray(weights[truth.astype(np.int64)], dtype=np.float64)


def refuse_twice(estimator: Any, class_weight: ClassWeight | None) -> None:
    """Raise when the estimator weighs classes too: the two would multiply, and nobody would see it."""
    params = estimator.get_params() if callable(getattr(estimator, "get_params", None)) else {}
    own = {
        name: value
        for name, value in params.items()
        if name.rpartition("__")[2] in _WEIGHING and value not in _WEIGHING[name.rpartition("__")[2]]
    }
    if class_weight is not None and own:
        raise ModelError(
            f"both train() and {type(estimator).__name__} weigh the classes",
            value=own,
            hint="Take it out of build, or leave class_weight out: the weights would multiply.",
        )


def class_weights_by_name(given: Mapping[Any, float]) -> dict[str, float]:
    """The weights by the names that a signature has for the classes.

    >>> class_weights_by_name({False: 1, True: 9})
    {'false': 1.0, 'true': 9.0}
    """
    for name, weight in given.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
            raise UsageError(f"the weight of class {name!r} is no number", value=weight, hint="Write {True: 10.0, …}.")
    return {str(name).lower() if isinstance(name, bool) else str(name): float(w) for name, w in given.items()}


def _of_column(frame: pl.DataFrame, column: str) -> NDArray[np.float64]:
    require_columns(frame, [column], purpose="weighting rows")
    series = frame[column]
    if not series.dtype.is_numeric():
        raise DataError(f"the weights in {column!r} should be numbers", value=series.head(3).to_list())
    weights = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    bad = ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        place = int(np.argmax(bad))
        raise DataError(
            f"{int(bad.sum())} weights in {column!r} are missing, negative or infinite, the first in row {place}",
            value=series[place],
            hint="Give every training row a weight of 0 or more.",
        )
    if not weights.any():
        raise DataError(f"all weights in {column!r} are 0", hint="Some training rows must count.")
    return np.asarray(weights, dtype=np.float64)


def _of_classes(class_weight: Mapping[Any, float], classes: Sequence[str]) -> NDArray[np.float64]:
    named = class_weights_by_name(class_weight)
    unknown, missing = sorted(set(named) - set(classes)), [name for name in classes if name not in named]
    if unknown or missing:
        raise UsageError(
            "class_weight names other classes than the target has",
            value=unknown or missing,
            hint=f"Give a weight for each of: {', '.join(classes)}.",
        )
    weights = np.array([named[name] for name in classes])
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise UsageError("class weights are numbers of 0 or more, not all 0", value=dict(class_weight))
    return weights
