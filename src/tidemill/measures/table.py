"""Every metric of every task, in the order in which they are shown; the first of a task leads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import UsageError
from tidemill.core.tasks import TASKS, Task
from tidemill.measures import forecasts, multilabel, quantiles, queries
from tidemill.measures.calibration import prepare_ece
from tidemill.measures.classification import brier_rows, class_log_loss_rows, confusion, log_loss_rows
from tidemill.measures.inputs import Floats, classes, numbers
from tidemill.measures.metric import Metric, Prepare, divided, gain, loss, mean_of, on_parts, query_mean, row_mean
from tidemill.measures.one_vs_rest import prepare_roc_auc_ovr
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
from tidemill.measures.resampling import OfRanking, OfSums, Weighted, of_sums

_ONE_CLASS = "only one class is present"
_NO_POSITIVE = "there is no positive row"
_NO_LABEL = "no row has a label"
_NO_RELEVANT = "no query has a relevant row"
_NO_QUERIES = "there are no queries"
_NO_CALL = "no row is called positive at the threshold"
_NOTHING = "no row is positive or called positive"


def metrics_of(task: Task, levels: Sequence[float] = ()) -> Mapping[str, Metric]:
    """The metrics that every evaluation of a task measures, the leading one first; those of quantiles need the levels.

    >>> list(metrics_of("quantile", (0.1, 0.9)))
    ['pinball', 'pinball_at_0.1', 'pinball_at_0.9', 'coverage', 'interval_width', 'crossing']
    """
    return {found.name: found for found in _of_levels(tuple(levels))} if task == "quantile" else METRICS[task]


def parametric(name: str, task: Task) -> Metric | None:
    """A metric whose name holds a number: ``recall_at_5pct`` of binary answers, ``ndcg_at_10`` of rankings."""
    if task == "binary":
        return _at_share(name)
    return _at_rank(name) if task == "ranking" else None


def _squares(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    return squared_rows(forecasts.actual_of(truth), predicted)


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


def _calibrated(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
    return prepare_ece(truth, predicted)


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
    return gain(name, "binary", "score", prepare, _NO_POSITIVE, high=high)


def _accuracy(hits: float, calls: float, positives: float, rows: float) -> float:
    return divided(rows - positives - calls + 2 * hits, rows)


def _precision(hits: float, calls: float, _positives: float, _rows: float) -> float:
    return divided(hits, calls)


def _recall(hits: float, _calls: float, positives: float, _rows: float) -> float:
    return divided(hits, positives)


def _f1(hits: float, calls: float, positives: float, _rows: float) -> float:
    return divided(2 * hits, calls + positives)


def _at_rank(name: str) -> Metric | None:
    match = re.fullmatch(r"(ndcg|precision|recall)_at_([1-9]\d*)", name)
    if match is None:
        return None
    k = int(match[2])
    of: Mapping[str, Callable[[ArrayLike, ArrayLike, int], Floats]] = {
        "ndcg": queries.ndcg,
        "precision": queries.precision_at,
        "recall": queries.recall_at,
    }
    undefined = _NO_QUERIES if match[1] == "precision" else _NO_RELEVANT
    return gain(name, "ranking", "score", query_mean(lambda truth, scores: of[match[1]](truth, scores, k)), undefined)


def _of_rank(name: str) -> Metric:
    found = _at_rank(name)
    assert found is not None
    return found


def _decided_labels(rows_of: Callable[[ArrayLike, ArrayLike, float], Floats]) -> Prepare:
    def prepare(truth: ArrayLike, predicted: ArrayLike, threshold: float) -> Weighted:
        return mean_of(rows_of(truth, predicted, threshold))

    return prepare


def _f1_of_labels(*, macro: bool) -> Prepare:
    return lambda truth, predicted, threshold: multilabel.prepare_f1(truth, predicted, threshold, macro=macro)


def _flagged(_truth: ArrayLike, predicted: ArrayLike, threshold: float) -> Weighted:
    """The share of rows at or above the threshold: all that can be said without labels."""
    return mean_of((numbers(predicted, "the predictions") >= threshold).astype(np.float64))


def _error(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    return absolute_rows(forecasts.actual_of(truth), predicted)


def _of_levels(levels: tuple[float, ...]) -> tuple[Metric, ...]:
    def of(rows_of: Callable[[ArrayLike, ArrayLike, Sequence[float]], Floats]) -> Prepare:
        def rows(truth: ArrayLike, predicted: ArrayLike) -> Floats:
            if not levels:
                raise UsageError("a metric of quantiles needs their levels", hint="Pass levels=(0.1, 0.5, 0.9).")
            return rows_of(truth, predicted, levels)

        return row_mean(rows)

    def at(place: int) -> Prepare:
        def rows(truth: ArrayLike, predicted: ArrayLike, among: Sequence[float]) -> Floats:
            left, right = quantiles.quantile_pairs(truth, predicted, among)
            return pinball_rows(left, right[:, place], among[place])

        return of(rows)

    return (
        on_parts(loss("pinball", "quantile", "value", of(quantiles.mean_pinball_rows))),
        *(loss(f"pinball_at_{level:g}", "quantile", "value", at(place)) for place, level in enumerate(levels)),
        on_parts(gain("coverage", "quantile", "value", of(quantiles.covered_rows))),
        loss("interval_width", "quantile", "value", of(quantiles.width_rows)),
        loss("crossing", "quantile", "value", of(quantiles.crossing_rows), high=1.0),
    )


_ROC = _ranked(roc_auc_of, roc_auc_of_masses)
_AP = _ranked(average_precision_of, average_precision_of_masses)

_TABLE: tuple[Metric, ...] = (
    on_parts(gain("roc_auc", "binary", "score", _ROC, _ONE_CLASS)),
    on_parts(gain("average_precision", "binary", "score", _AP, _NO_POSITIVE)),
    loss("log_loss", "binary", "probability", row_mean(log_loss_rows)),
    on_parts(loss("brier", "binary", "probability", row_mean(brier_rows), high=1.0)),
    loss("ece", "binary", "probability", _calibrated, high=1.0),
    gain("accuracy", "binary", "label", _decided(_accuracy)),
    gain("precision", "binary", "label", _decided(_precision), _NO_CALL),
    gain("recall", "binary", "label", _decided(_recall), _NO_POSITIVE),
    gain("f1", "binary", "label", _decided(_f1), _NOTHING),
    on_parts(gain("accuracy", "multiclass", "probability", row_mean(_class_hits))),
    on_parts(loss("log_loss", "multiclass", "probability", row_mean(class_log_loss_rows))),
    gain("macro_f1", "multiclass", "probability", _class_f1),
    on_parts(gain("roc_auc_ovr", "multiclass", "score", prepare_roc_auc_ovr, _ONE_CLASS)),
    on_parts(
        gain("macro_average_precision", "multilabel", "score", multilabel.prepare_macro_average_precision, _NO_LABEL)
    ),
    gain("macro_roc_auc", "multilabel", "score", multilabel.prepare_macro_roc_auc, "no label splits the rows"),
    on_parts(gain("micro_f1", "multilabel", "label", _f1_of_labels(macro=False), _NOTHING)),
    gain("macro_f1", "multilabel", "label", _f1_of_labels(macro=True), _NOTHING),
    gain("subset_accuracy", "multilabel", "label", _decided_labels(multilabel.exact_rows)),
    loss("hamming_loss", "multilabel", "label", _decided_labels(multilabel.hamming_rows), high=1.0),
    loss("log_loss", "multilabel", "probability", row_mean(multilabel.label_log_loss_rows)),
    on_parts(loss("rmse", "regression", "value", row_mean(_squares, math.sqrt))),
    on_parts(loss("mae", "regression", "value", row_mean(absolute_rows))),
    gain("r2", "regression", "value", _explained, "the target does not vary", low=-math.inf),
    loss("pinball", "regression", "value", row_mean(pinball_rows)),
    *_of_levels(()),
    on_parts(_of_rank("ndcg_at_10")),
    gain("ndcg", "ranking", "score", query_mean(queries.ndcg), _NO_RELEVANT),
    on_parts(gain("map", "ranking", "score", query_mean(queries.average_precisions), _NO_RELEVANT)),
    gain("mrr", "ranking", "score", query_mean(queries.reciprocal_ranks), _NO_QUERIES),
    _of_rank("precision_at_10"),
    on_parts(loss("mae", "forecasting", "value", row_mean(_error))),
    loss("rmse", "forecasting", "value", row_mean(_squares, math.sqrt)),
    on_parts(
        loss("mase", "forecasting", "value", forecasts.prepare_mase, "no last value is known, or it is always right")
    ),
    loss("smape", "forecasting", "value", row_mean(forecasts.smape_rows), high=2.0),
    loss("wape", "forecasting", "value", forecasts.prepare_wape, "what happened is always 0"),
    on_parts(gain("roc_auc", "anomaly", "score", _ROC, _ONE_CLASS)),
    on_parts(gain("average_precision", "anomaly", "score", _AP, _NO_POSITIVE)),
    gain("precision", "anomaly", "label", _decided(_precision), _NO_CALL),
    gain("recall", "anomaly", "label", _decided(_recall), _NO_POSITIVE),
    on_parts(replace(loss("flagged", "anomaly", "score", _flagged, high=1.0), labelled=False)),
)

#: The metrics that every evaluation measures, by task; in the order in which they are shown, the first leads.
METRICS: Mapping[Task, Mapping[str, Metric]] = {
    task: {found.name: found for found in _TABLE if found.task == task} for task in TASKS
}
