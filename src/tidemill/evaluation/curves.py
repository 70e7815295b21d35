"""The points of curves and histograms, few enough to draw and to keep in a record."""

from __future__ import annotations

import numpy as np

from tidemill.evaluation.records import Curve, Histogram, ResidualBin
from tidemill.measures.inputs import Floats
from tidemill.measures.ranking import precision_recall_curve, roc_curve

#: A chart of this many points cannot be told from one of a million.
POINTS = 200
BINS = 40


def roc_points(labels: Floats, scores: Floats) -> Curve:
    """The ROC curve: false positive rate and true positive rate."""
    alarms, hits, levels = roc_curve(labels, scores)
    return _thinned(alarms, hits, levels)


def precision_recall_points(labels: Floats, scores: Floats) -> Curve:
    """The precision-recall curve: recall and precision."""
    recall, precision, levels = precision_recall_curve(labels, scores)
    return _thinned(recall, precision, levels)


def residual_bins(truth: Floats, scores: Floats, bins: int = 20) -> tuple[ResidualBin, ...]:
    """Residuals (truth minus prediction) in bins of about equally many rows, by rising prediction."""
    if not len(scores):
        return ()
    order = np.argsort(scores, kind="stable")
    found = []
    for rows in np.array_split(order, min(bins, len(scores))):
        residuals = truth[rows] - scores[rows]
        low, high = np.quantile(residuals, [0.1, 0.9])
        found.append(
            ResidualBin(len(rows), float(scores[rows].mean()), float(residuals.mean()), float(low), float(high))
        )
    return tuple(found)


def score_histogram(scores: Floats, labels: Floats | None, *, unit: bool) -> Histogram:
    """Counts of scores in bins of equal width, over [0, 1] if `unit`; with labels of 0 and 1 also of positives."""
    if not len(scores):
        return Histogram()
    limits = (0.0, 1.0) if unit else (float(scores.min()), float(scores.max()))
    if limits[1] - limits[0] < BINS * float(np.spacing(max(map(abs, limits)))):  # no float lies between the edges
        limits = (limits[0] - abs(limits[0]) / 2, limits[1] + abs(limits[1]) / 2)
    counts, edges = np.histogram(scores, bins=BINS, range=limits)
    positives = () if labels is None else np.histogram(scores[labels == 1], bins=edges)[0].tolist()
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()), tuple(positives))


def _thinned(x: Floats, y: Floats, levels: Floats) -> Curve:
    """Points at even steps along the curve's length, both ends kept."""
    if len(x) > POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], POINTS)).clip(0, len(x) - 1))
        keep = np.unique(np.append(keep, [0, len(x) - 1]))
        x, y, levels = x[keep], y[keep], levels[keep]
    finite = np.where(np.isfinite(levels), levels, np.nextafter(levels[np.isfinite(levels)].max(initial=1.0), np.inf))
    return Curve(*(tuple(np.round(axis, 6).tolist()) for axis in (x, y, finite)))
