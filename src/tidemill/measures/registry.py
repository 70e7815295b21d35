"""The metrics by name: what each needs, which way is better, its range, and how it is measured and resampled."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import UsageError
from tidemill.core.tasks import Task
from tidemill.measures.calibration import prepare_ece
from tidemill.measures.classification import (
    brier_rows,
    class_log_loss_rows,
    confusion,
    log_loss_rows,
)
from tidemill.measures.inputs import Floats, classes
from tidemill.measures.intervals import Estimate, bootstrap
from tidemill.measures.ranking import (
    average_precision_of,
    average_precision_of_masses,
    lift_at_share_of,
    lift_of_masses,
    precision_at_share_of,
    precision_of_masses,
    rank,
    recall_at_share_of,
    recall_of_masses,
    roc_auc_of,
    roc_auc_of_masses,
)
from tidemill.measures.regression import absolute_rows, pinball_rows, squared_rows
from tidemill.measures.resampling import OfRanking, OfSums, Weighted, difference_of, of_sums

Needs = Literal["score", "probability", "label", "value"]
Prepare = Callable[[ArrayLike, ArrayLike, float], Weighted]


@dataclass(frozen=True, slots=True)
class Metric:
    """One named measure of predictions.

    Parameters
    ----------
    name, task
        What it is called, and for which kind of answer.
    needs
        ``"score"``: any score that ranks; ``"probability"``: probabilities; ``"label"``: decisions at a threshold;
        ``"value"``: predicted numbers.
    greater_is_better, low, high
        Which way is better, and the range of values.
    prepare
        ``prepare(truth, predicted, threshold)`` does everything that does not depend on weights and returns a
        function of weights, shape (rows,), or None; NaN where the metric is not defined.
    undefined
        When it is not defined, as one phrase.
    """

    name: str
    task: Task
    needs: Needs
    greater_is_better: bool
    low: float
    high: float
    prepare: Prepare
    undefined: str

    def better(self, left: float, right: float) -> bool:
        """Whether `left` is strictly better than `right`."""
        return left > right if self.greater_is_better else left < right


def metric(name: str, task: Task = "binary") -> Metric:
    """The metric of a task by its name; ``recall_at_5pct`` and its like exist for every whole percentage.

    Raises
    ------
    UsageError
        For an unknown name, with the nearest known one.

    Examples
    --------
    >>> metric("roc_auc").greater_is_better
    True
    >>> metric("lift_at_5pct").name
    'lift_at_5pct'
    """
    known = METRICS[task]
    found = known.get(name) or (_at_share(name) if task == "binary" else None)
    if found is None:
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"no metric of a {task} model is called {name!r}", hint=f"{hint}Known: {', '.join(known)}.")
    return found


def measure(
    truth: ArrayLike, predicted: ArrayLike, names: tuple[str, ...], task: Task = "binary", threshold: float = 0.5
) -> dict[str, float]:
    """Several metrics by name, without intervals; NaN where one is not defined.

    >>> measure([0, 1, 1], [0.2, 0.4, 0.9], ("roc_auc", "recall"))
    {'roc_auc': 1.0, 'recall': 0.5}
    """
    return {name: metric(name, task).prepare(truth, predicted, threshold)(None) for name in names}


def estimate(
    truth: ArrayLike,
    predicted: ArrayLike,
    names: tuple[str, ...],
    task: Task = "binary",
    *,
    threshold: float = 0.5,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
    also: Mapping[str, Weighted] | None = None,
) -> dict[str, Estimate]:
    """Several metrics by name with bootstrap intervals from the same resamples of rows.

    Parameters
    ----------
    truth, predicted
        Shape (rows,), or (rows, k) probabilities for many classes.
    names, task, threshold
        Which metrics; the threshold is for those that need decisions.
    resamples, seed, level
        See `measures.intervals.bootstrap`.
    also
        Other measures by name, on the same resamples; of rows in ascending order of predictions.
    """
    left, right = np.asarray(truth), np.asarray(predicted)
    if right.ndim == 1 and left.shape == right.shape and right.dtype.kind in "fiu":
        order = np.argsort(right, kind="stable")  # sorted once here, so that no metric gathers weights by row again
        left, right = left[order].astype(np.float64), right[order].astype(np.float64)
    metrics = {name: metric(name, task) for name in names}
    prepared = {name: found.prepare(left, right, threshold) for name, found in metrics.items()}
    found = bootstrap({**prepared, **(also or {})}, len(left), resamples=resamples, seed=seed, level=level)
    return {name: _with_reason(metrics[name], value) if name in metrics else value for name, value in found.items()}


def estimate_difference(
    truth: ArrayLike,
    predicted: ArrayLike,
    other: ArrayLike,
    name: str,
    task: Task = "binary",
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """How much `predicted` exceeds `other` in a metric on the same rows, with a paired bootstrap interval.

    Each resample draws the same rows for both, so that what makes rows hard for both cancels out.
    """
    found = metric(name, task)
    mine = found.prepare(truth, predicted, thresholds[0])
    theirs = found.prepare(truth, other, thresholds[1])
    difference = difference_of(mine, theirs)
    rows = len(np.asarray(truth))
    result = bootstrap({name: difference}, rows, resamples=resamples, seed=seed, level=level)[name]
    return _with_reason(found, result)


def _with_reason(found: Metric, value: Estimate) -> Estimate:
    if value.value is not None:
        return value
    reason = "there are no rows" if not value.rows else found.undefined
    return Estimate(None, rows=value.rows, level=value.level, reason=reason)


def _row_mean(rows_of: Callable[[ArrayLike, ArrayLike], Floats], finish: Callable[[float], float] = float) -> Prepare:
    def prepare(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
        rows = rows_of(truth, predicted)
        return of_sums(lambda sums: finish(_divided(sums[0], sums[1])), rows, np.ones(len(rows)))

    return prepare


def _ranked(measure_of: Callable[..., float], of_masses: Callable[..., float], *arguments: float) -> Prepare:
    def prepare(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
        ranked = rank(truth, predicted)

        def exact(weights: Floats | None) -> float:
            return measure_of(ranked, *arguments, weights=weights)

        if ranked.order is not None:
            return exact
        return OfRanking(ranked.positive, ranked.scores, exact, lambda *masses: of_masses(*masses, *arguments))

    return prepare


def _decided(ratio: Callable[[float, float, float, float], float]) -> Prepare:
    """A metric of four sums: true positives, calls, positives, rows."""

    def prepare(truth: ArrayLike, predicted: ArrayLike, threshold: float) -> Weighted:
        confusion(truth, predicted, threshold)  # checks the arrays, and says what is wrong with them
        positive = np.asarray(truth, dtype=np.float64)
        called = (np.asarray(predicted) >= threshold).astype(np.float64)
        return of_sums(lambda sums: ratio(*sums.tolist()), positive * called, called, positive, np.ones(len(positive)))

    return prepare


def _divided(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _calibrated(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
    return prepare_ece(truth, predicted)


def _class_hits(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    codes, chances = classes(truth, predicted)
    return np.asarray(chances.argmax(axis=1) == codes, dtype=np.float64)


def _class_f1(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
    """Macro F1 from three sums for each class: rows of it, calls of it, and hits."""
    codes, chances = classes(truth, predicted)
    called, many = chances.argmax(axis=1), np.arange(chances.shape[1])[:, None]

    def columns(part: slice) -> Floats:
        actual, calls = codes[part] == many, called[part] == many
        return np.concatenate([actual, calls, actual & calls]).astype(np.float64)

    def value(sums: Floats) -> float:
        actual, calls, hits = sums.reshape(3, -1)
        present = actual + calls > 0
        return float((2 * hits[present] / (actual + calls)[present]).mean()) if present.any() else float("nan")

    return OfSums(len(codes), columns, value)


def _explained(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
    """The share of variance from four sums; the target is centred first, so that its square loses no digits."""
    errors = squared_rows(truth, predicted)
    left = np.asarray(truth, dtype=np.float64)
    centred = left - left.mean() if len(left) else left

    def value(sums: Floats) -> float:
        error, first, second, rows = sums.tolist()
        spread = second - first * first / rows if rows > 0 else 0.0
        # A resample of equal targets leaves only what rounding leaves.
        return 1 - error / spread if spread > 1e-12 * second else float("nan")

    return of_sums(value, errors, centred, centred**2, np.ones(len(left)))


def _at_share(name: str) -> Metric | None:
    match = re.fullmatch(r"(lift|recall|precision)_at_(\d{1,3})pct", name)
    if match is None or not 1 <= int(match[2]) <= 100:
        return None
    of = {
        "lift": (lift_at_share_of, lift_of_masses),
        "recall": (recall_at_share_of, recall_of_masses),
        "precision": (precision_at_share_of, precision_of_masses),
    }[match[1]]
    high = math.inf if match[1] == "lift" else 1.0
    prepare = _ranked(*of, int(match[2]) / 100)
    return Metric(
        name,
        "binary",
        "score",
        greater_is_better=True,
        low=0.0,
        high=high,
        prepare=prepare,
        undefined=_NO_POSITIVE,
    )


_ONE_CLASS = "only one class is present"
_NO_ROWS = "there are no rows"
_NO_POSITIVE = "there is no positive row"


def _accuracy(hits: float, calls: float, positives: float, rows: float) -> float:
    return _divided(rows - positives - calls + 2 * hits, rows)


def _precision(hits: float, calls: float, _positives: float, _rows: float) -> float:
    return _divided(hits, calls)


def _recall(hits: float, _calls: float, positives: float, _rows: float) -> float:
    return _divided(hits, positives)


def _f1(hits: float, calls: float, positives: float, _rows: float) -> float:
    return _divided(2 * hits, calls + positives)


def _gain(name: str, task: Task, needs: Needs, prepare: Prepare, undefined: str, *, low: float = 0.0) -> Metric:
    return Metric(name, task, needs, greater_is_better=True, low=low, high=1.0, prepare=prepare, undefined=undefined)


def _loss(name: str, task: Task, needs: Needs, prepare: Prepare, *, high: float = math.inf) -> Metric:
    return Metric(name, task, needs, greater_is_better=False, low=0.0, high=high, prepare=prepare, undefined=_NO_ROWS)


_TABLE: tuple[Metric, ...] = (
    _gain("roc_auc", "binary", "score", _ranked(roc_auc_of, roc_auc_of_masses), _ONE_CLASS),
    _gain(
        "average_precision", "binary", "score", _ranked(average_precision_of, average_precision_of_masses), _NO_POSITIVE
    ),
    _loss("log_loss", "binary", "probability", _row_mean(log_loss_rows)),
    _loss("brier", "binary", "probability", _row_mean(brier_rows), high=1.0),
    _loss("ece", "binary", "probability", _calibrated, high=1.0),
    _gain("accuracy", "binary", "label", _decided(_accuracy), _NO_ROWS),
    _gain("precision", "binary", "label", _decided(_precision), "no row is called positive at the threshold"),
    _gain("recall", "binary", "label", _decided(_recall), _NO_POSITIVE),
    _gain("f1", "binary", "label", _decided(_f1), "no row is positive or called positive"),
    _gain("accuracy", "multiclass", "probability", _row_mean(_class_hits), _NO_ROWS),
    _loss("log_loss", "multiclass", "probability", _row_mean(class_log_loss_rows)),
    _gain("macro_f1", "multiclass", "probability", _class_f1, _NO_ROWS),
    _loss("rmse", "regression", "value", _row_mean(squared_rows, math.sqrt)),
    _loss("mae", "regression", "value", _row_mean(absolute_rows)),
    _gain("r2", "regression", "value", _explained, "the target does not vary", low=-math.inf),
    _loss("pinball", "regression", "value", _row_mean(pinball_rows)),
)

#: The metrics that every evaluation measures, by task; in the order in which they are shown, the first leads.
METRICS: Mapping[Task, Mapping[str, Metric]] = {
    task: {found.name: found for found in _TABLE if found.task == task}
    for task in ("binary", "multiclass", "regression")
}
