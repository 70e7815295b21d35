"""Measures of many labels at once: truth of 0 and 1, and probabilities, both of shape (rows, labels)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError
from tidemill.measures.classification import EPSILON, mean
from tidemill.measures.inputs import Floats, numbers, row_weights
from tidemill.measures.ranking import average_precision_of, rank, roc_auc_of
from tidemill.measures.resampling import OfSums, Weighted


def labels_of(truth: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Labels of 0 and 1, and probabilities, as float64 arrays of one shape (rows, labels)."""
    left = numbers(truth, "the truth", dimensions=2)
    right = numbers(scores, "the predictions", dimensions=2)
    if left.shape != right.shape:
        raise DataError(
            f"truth has the shape {left.shape} and predictions have {right.shape}",
            hint="Give a column for each label, in the order of the model's classes.",
        )
    if not np.isin(left, (0.0, 1.0)).all():
        raise DataError("labels should be 0 or 1", value=float(left[~np.isin(left, (0.0, 1.0))][0]))
    return left, right


def prepare_f1(truth: ArrayLike, scores: ArrayLike, threshold: float, *, macro: bool) -> Weighted:
    """F1 over all decisions (micro), or of each label that occurs or is called, averaged (macro), by weights."""
    actual, predicted = labels_of(truth, scores)
    called = (predicted >= threshold).astype(np.float64)
    hits, both = actual * called, actual + called

    def value(sums: Floats) -> float:
        right, all_of = sums.reshape(2, -1)
        if not macro:
            return _ratio(2 * float(right.sum()), float(all_of.sum()))
        present = all_of > 0
        return float((2 * right[present] / all_of[present]).mean()) if present.any() else math.nan

    return OfSums(len(actual), lambda part: np.concatenate([hits[part].T, both[part].T]), value)


def micro_f1(truth: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None) -> float:
    """F1 of all decisions about all labels. NaN when there is neither a label nor a call.

    >>> micro_f1([[1, 0], [1, 1]], [[0.9, 0.2], [0.4, 0.8]])
    0.8
    """
    return _weighted(prepare_f1(truth, scores, threshold, macro=False), weights, truth)


def macro_f1_of_labels(
    truth: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> float:
    """F1 of each label that occurs or is called, averaged. NaN when there is none."""
    return _weighted(prepare_f1(truth, scores, threshold, macro=True), weights, truth)


def exact_rows(truth: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> Floats:
    """1 for each row of which every label is decided rightly, else 0."""
    actual, predicted = labels_of(truth, scores)
    return np.asarray(((predicted >= threshold) == (actual == 1)).all(axis=1), dtype=np.float64)


def subset_accuracy(
    truth: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> float:
    """The share of rows of which every label is decided rightly.

    >>> subset_accuracy([[1, 0], [1, 1]], [[0.9, 0.2], [0.4, 0.8]])
    0.5
    """
    return mean(exact_rows(truth, scores, threshold), weights)


def hamming_rows(truth: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> Floats:
    """The share of each row's labels that are decided wrongly."""
    actual, predicted = labels_of(truth, scores)
    return np.asarray(((predicted >= threshold) != (actual == 1)).mean(axis=1), dtype=np.float64)


def hamming_loss(
    truth: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> float:
    """The share of decisions about labels that are wrong.

    >>> hamming_loss([[1, 0], [1, 1]], [[0.9, 0.2], [0.4, 0.8]])
    0.25
    """
    return mean(hamming_rows(truth, scores, threshold), weights)


def label_log_loss_rows(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """The negative log-likelihood of each row's labels, in nats, averaged over the labels."""
    actual, predicted = labels_of(truth, scores)
    if predicted.size and (predicted.min() < 0 or predicted.max() > 1):
        raise DataError("probabilities lie between 0 and 1", value=float(predicted.max()), hint="Calibrate the scores.")
    likelihood = np.where(actual == 1, predicted, 1 - predicted)
    return np.asarray(-np.log(np.clip(likelihood, EPSILON, 1 - EPSILON)).mean(axis=1))


def prepare_macro_roc_auc(truth: ArrayLike, scores: ArrayLike, _threshold: float = 0.5) -> Weighted:
    """The area under the ROC curve of each label that has rows with and without it, averaged, by weights."""
    actual, predicted = labels_of(truth, scores)
    ranked = [rank(actual[:, place], predicted[:, place]) for place in range(actual.shape[1])]
    return lambda weights: _mean_known([roc_auc_of(one, weights) for one in ranked])


def prepare_macro_average_precision(truth: ArrayLike, scores: ArrayLike, _threshold: float = 0.5) -> Weighted:
    """The average precision of each label that a row has, averaged, by weights."""
    actual, predicted = labels_of(truth, scores)
    ranked = [rank(actual[:, place], predicted[:, place]) for place in range(actual.shape[1])]
    return lambda weights: _mean_known([average_precision_of(one, weights) for one in ranked])


def macro_roc_auc(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The area under the ROC curve of each label that has rows with and without it, averaged. NaN when none has.

    >>> macro_roc_auc([[1, 0], [0, 1]], [[0.9, 0.2], [0.4, 0.8]])
    1.0
    """
    return _weighted(prepare_macro_roc_auc(truth, scores), weights, truth)


def macro_average_precision(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The average precision of each label that a row has, averaged. NaN when no row has a label."""
    return _weighted(prepare_macro_average_precision(truth, scores), weights, truth)


def _weighted(measured: Weighted, weights: ArrayLike | None, truth: ArrayLike) -> float:
    return measured(None if weights is None else row_weights(weights, len(np.asarray(truth))))


def _mean_known(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
