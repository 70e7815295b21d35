"""Measures of probabilities and of decisions, for two classes and for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tidemill.measures.inputs import Floats, binary, classes, probabilities, row_weights

#: Probabilities are kept this far from 0 and 1 where their logarithm is taken, as scikit-learn does for float64.
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Confusion:
    """How decisions at a threshold met the truth: weights (counts) of the four cases."""

    threshold: float
    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float

    @property
    def rows(self) -> float:
        """All rows."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative


def confusion(
    labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> Confusion:
    """Count the four cases when a score of at least `threshold` is called positive.

    >>> confusion([0, 0, 1, 1], [0.1, 0.6, 0.35, 0.8])
    Confusion(threshold=0.5, true_positive=1.0, false_positive=1.0, false_negative=1.0, true_negative=1.0)
    """
    truth, predicted = binary(labels, scores)
    weight = row_weights(weights, len(truth))
    called = predicted >= threshold
    hits = float(weight @ (truth * called))
    positives, calls, rows = float(weight @ truth), float(weight @ called), float(weight.sum())
    return Confusion(threshold, hits, calls - hits, positives - hits, rows - positives - calls + hits)


def accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None) -> float:
    """The share of right decisions. NaN without rows.

    >>> accuracy([0, 0, 1, 1], [0.1, 0.6, 0.35, 0.8])
    0.5
    """
    found = confusion(labels, scores, threshold, weights)
    return _ratio(found.true_positive + found.true_negative, found.rows)


def precision(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None) -> float:
    """The share of positives among the rows called positive. NaN when none is."""
    found = confusion(labels, scores, threshold, weights)
    return _ratio(found.true_positive, found.true_positive + found.false_positive)


def recall(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None) -> float:
    """The share of the positives that were called positive. NaN when there is none."""
    found = confusion(labels, scores, threshold, weights)
    return _ratio(found.true_positive, found.true_positive + found.false_negative)


def f1(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None) -> float:
    """The harmonic mean of precision and recall. NaN when there is neither a positive nor a call."""
    found = confusion(labels, scores, threshold, weights)
    return _ratio(2 * found.true_positive, 2 * found.true_positive + found.false_positive + found.false_negative)


def log_loss_rows(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """The negative log-likelihood of each row, in nats."""
    truth, predicted = probabilities(labels, scores)
    likelihood = np.where(truth == 1, predicted, 1 - predicted)
    return np.asarray(-np.log(np.clip(likelihood, EPSILON, 1 - EPSILON)))


def log_loss(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean negative log-likelihood of probabilities, in nats. NaN without rows.

    >>> round(log_loss([0, 1], [0.1, 0.8]), 4)
    0.1643
    """
    return mean(log_loss_rows(labels, scores), weights)


def brier_rows(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """The squared distance of each probability from its label."""
    truth, predicted = probabilities(labels, scores)
    return np.asarray((predicted - truth) ** 2)


def brier(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean squared distance of probabilities from labels. NaN without rows.

    >>> round(brier([0, 1], [0.1, 0.8]), 4)
    0.025
    """
    return mean(brier_rows(labels, scores), weights)


def class_accuracy(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The share of rows whose most likely class is the true one; class codes and probabilities (rows, k).

    >>> class_accuracy([0, 2], [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]])
    0.5
    """
    codes, predicted = classes(labels, scores)
    return mean((predicted.argmax(axis=1) == codes).astype(np.float64), weights)


def class_log_loss_rows(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """The negative log-likelihood of each row's true class, in nats."""
    codes, predicted = classes(labels, scores)
    likelihood = predicted[np.arange(len(codes)), codes]
    return np.asarray(-np.log(np.clip(likelihood, EPSILON, 1.0)))


def class_log_loss(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean negative log-likelihood of the true classes, in nats."""
    return mean(class_log_loss_rows(labels, scores), weights)


def macro_f1(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """F1 of each class that occurs or is called, averaged. NaN without rows."""
    codes, predicted = classes(labels, scores)
    weight, called, many = row_weights(weights, len(codes)), predicted.argmax(axis=1), predicted.shape[1]
    actual = np.bincount(codes, weights=weight, minlength=many)
    calls = np.bincount(called, weights=weight, minlength=many)
    hits = np.bincount(codes, weights=weight * (called == codes), minlength=many)
    present = actual + calls > 0
    return float((2 * hits[present] / (actual + calls)[present]).mean()) if present.any() else float("nan")


def mean(rows: Floats, weights: ArrayLike | None = None) -> float:
    """The (weighted) mean of one number per row; NaN without rows or weight."""
    if weights is None:
        return float(rows.mean()) if len(rows) else float("nan")
    weight = row_weights(weights, len(rows))
    return _ratio(float(weight @ rows), float(weight.sum()))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
