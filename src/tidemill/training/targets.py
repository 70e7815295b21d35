"""The target of each task as numbers: flags, class codes, labels side by side, quantities, grades."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import DataError
from tidemill.core.model import Signature
from tidemill.core.tasks import TASKS, Task
from tidemill.data.types import physical_type, require_columns

_TEXT = (pl.String, pl.Categorical, pl.Enum)
#: Classes that are all numbers are codes up to so many, beyond it quantities that somebody kept as text.
_CODES = 20
#: The largest number of 32 bits: what boosted trees and networks keep targets in.
_LARGEST = 3.4e38
_LABELS_HINT = "Give each row a list of labels, such as pl.col('tags').str.split('|')."


def infer_task(target: pl.Series) -> Task:
    """The kind of answer that a target calls for: flags and 0/1 are binary, text is a class, numbers are quantities.

    >>> infer_task(pl.Series("late", [True, False])), infer_task(pl.Series("delay", [1.5, 20.0]))
    ('binary', 'regression')
    >>> infer_task(pl.Series("tags", [["warm", "late"], []]))
    'multilabel'
    """
    if target.dtype == pl.Boolean:
        return "binary"
    if target.dtype in _TEXT:
        return "multiclass"
    if is_labels(target.dtype):
        return "multilabel"
    if target.dtype.is_numeric() and target.drop_nulls().cast(pl.Float64).is_in([0.0, 1.0]).all():
        return "binary"
    if target.dtype.is_numeric():
        return "regression"
    raise DataError(
        f"target {target.name!r} is {physical_type(target.dtype)}, which no model predicts",
        hint="Predict a flag, a number, a class given as text, or a list of labels.",
    )


def is_labels(dtype: pl.DataType) -> bool:
    """Whether a column holds lists of text."""
    return isinstance(dtype, pl.List) and dtype.inner in _TEXT


def class_names(target: pl.Series, task: Task, levels: Sequence[float] = ()) -> tuple[str, ...]:
    """What the columns of an answer stand for, as text; empty where an answer is one value.

    >>> class_names(pl.Series("tags", [["warm", "late"], ["late"]]), "multilabel")
    ('late', 'warm')
    >>> class_names(pl.Series("delay", [1.5, 20.0]), "quantile", (0.1, 0.9))
    ('0.1', '0.9')
    """
    if task == "binary":
        return ("false", "true") if target.dtype == pl.Boolean else ("0", "1")
    if task == "quantile":
        return tuple(f"{level:g}" for level in levels)
    if task == "multilabel":
        _require_labels(target, task)
        return tuple(sorted(target.explode().drop_nulls().cast(pl.String).unique().to_list()))
    if task != "multiclass":
        return ()
    distinct = target.drop_nulls().unique().to_list()
    return tuple(
        str(value) for value in (sorted(distinct) if target.dtype.is_numeric() else sorted(map(str, distinct)))
    )


def target_values(
    frame: pl.DataFrame, target: str, task: Task, classes: Sequence[str], part: str
) -> NDArray[np.float64]:
    """The target as numbers: 0 and 1, class codes, or quantities, shape (rows,); for labels 0 and 1, (rows, labels).

    An anomaly's target may be missing as a whole: then it is NaN in every row.

    Raises
    ------
    DataError
        When labels are missing, are text for a binary or regression model, or are of no known class. It names the
        part of the split (`part`) and an offending label.
    """
    if task == "anomaly" and target not in frame.columns:
        return np.full(frame.height, np.nan)
    require_columns(frame, [target], purpose=f"the {part} part")
    series = frame[target]
    missing = series.null_count() + (int(series.is_nan().sum()) if series.dtype.is_float() else 0)
    if missing:
        raise DataError(
            f"{missing} of {len(series)} {part} rows have no label in {target!r}",
            hint="Leave out the rows without a label; their label is unknown, not negative.",
        )
    if task == "multiclass":
        return _class_codes(series, classes, part)
    if task == "multilabel":
        return _labels(series, classes, part)
    values = _numbers(series, task)
    if TASKS[task].target in {"flag", "flag or nothing"} and not np.isin(values, (0.0, 1.0)).all():
        raise DataError(
            f"the labels in {target!r} are not 0 and 1",
            value=sorted(set(values.tolist()))[:5],
            hint="Name the positive class, or pass task='regression' or task='multiclass'.",
        )
    if not np.isfinite(values).all():
        raise DataError(f"the labels in {target!r} are not finite", hint="Leave out or repair these rows.")
    if len(values) and abs(values).max() > _LARGEST:
        raise DataError(
            f"the labels in {target!r} are larger than libraries calculate with",
            value=float(values[abs(values).argmax()]),
            hint="Leave such rows out if the number stands for a missing one; else predict its logarithm.",
        )
    if task == "ranking" and len(values) and values.min() < 0:
        raise DataError(f"a grade in {target!r} is negative", value=values.min(), hint="Grade what is irrelevant 0.")
    return values


def facts_of(frame: pl.DataFrame, truth: NDArray[np.float64], signature: Signature) -> NDArray[np.float64]:
    """What metrics must know of each row: the truth, beside it the query of a ranking or the last value of a forecast.

    Raises
    ------
    DataError
        When a row is of no query.
    """
    if signature.task == "ranking":
        require_columns(frame, [signature.group], purpose="measuring a ranking")
        queries = frame[signature.group]
        if queries.null_count():
            raise DataError(
                f"{queries.null_count()} rows have no query in {signature.group!r}", hint="Leave these rows out."
            )
        return np.column_stack([truth, queries.rank("dense").cast(pl.Float64).to_numpy()])
    if signature.task == "forecasting":
        last = frame[signature.last].cast(pl.Float64).fill_null(float("nan"))
        return np.column_stack([truth, last.to_numpy()])
    return truth


def is_known(labels: pl.Series) -> pl.Series:
    """Which rows have a label."""
    return labels.is_not_null() & labels.is_not_nan() if labels.dtype.is_float() else labels.is_not_null()


def _numbers(series: pl.Series, task: Task) -> NDArray[np.float64]:
    if series.dtype in _TEXT or not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        hint = f"Name the positive class: pl.col({series.name!r}) == VALUE; or pass task='multiclass'."
        if is_labels(series.dtype):
            hint = "Lists of labels are for task='multilabel'."
        elif TASKS[task].target in {"number", "grade"}:
            hint = "Cast them to numbers, or pass task='multiclass'."
        raise DataError(
            f"the labels in {series.name!r} are {physical_type(series.dtype)}, and a {task} model learns from numbers",
            value=series.unique(maintain_order=True).to_list()[:5],
            hint=hint,
        )
    return series.cast(pl.Float64).to_numpy()


def _class_codes(series: pl.Series, classes: Sequence[str], part: str) -> NDArray[np.float64]:
    if is_labels(series.dtype):
        raise DataError(
            f"the labels in {series.name!r} are lists, and a multiclass row has one class",
            value=series[0].to_list(),
            hint="Pass task='multilabel', or choose one class for each row.",
        )
    codes = {name: float(code) for code, name in enumerate(classes)}
    values = [codes.get(str(value)) for value in series.to_list()]
    if None in values:
        raise DataError(
            f"a class of {series.name!r} is in the {part} rows and not in the training rows",
            value=series[values.index(None)],
            hint=f"They are numbers kept as text: cast them, pl.col({series.name!r}).cast(pl.Float64)."
            if series.dtype in _TEXT and _all_numbers(classes)
            else "Give training rows of every class, or leave the class out.",
        )
    return np.array(values, dtype=np.float64)


def _all_numbers(classes: Sequence[str]) -> bool:
    return len(classes) > _CODES and pl.Series(classes).cast(pl.Float64, strict=False).is_not_null().all()


def _require_labels(series: pl.Series, task: Task) -> None:
    if not is_labels(series.dtype):
        raise DataError(
            f"the labels in {series.name!r} are {physical_type(series.dtype)}, and a {task} model learns from lists",
            value=series.head(3).to_list(),
            hint=_LABELS_HINT,
        )


def _labels(series: pl.Series, classes: Sequence[str], part: str) -> NDArray[np.float64]:
    _require_labels(series, "multilabel")
    codes = {name: code for code, name in enumerate(classes)}
    out = np.zeros((len(series), len(classes)))
    for row, labels in enumerate(series.to_list()):
        for label in labels:
            if label is None or str(label) not in codes:
                raise DataError(
                    f"a label of {series.name!r} is in the {part} rows and not in the training rows",
                    value=label,
                    hint="Give training rows of every label, or leave the label out.",
                )
            out[row, codes[str(label)]] = 1.0
    return out
