"""scikit-learn: the same metrics (calibration error apart, which it has not) in a plain loop over resampled rows."""

import sys

import numpy as np
from sklearn import metrics  # type: ignore[import-untyped]

from benchmarks.evaluation.predictions import RESAMPLES, predictions
from benchmarks.used import report

resamples = int(sys.argv[1]) if len(sys.argv) > 1 else RESAMPLES


def measure(given: object) -> None:
    labels, scores = given  # type: ignore[misc]
    generator = np.random.default_rng(0)
    draws = []
    for _ in range(resamples):
        rows = generator.integers(0, len(labels), len(labels))
        truth, chances = labels[rows], scores[rows]
        called = chances >= 0.5
        draws.append(
            [
                metrics.roc_auc_score(truth, chances),
                metrics.average_precision_score(truth, chances),
                metrics.log_loss(truth, chances),
                metrics.brier_score_loss(truth, chances),
                metrics.accuracy_score(truth, called),
                metrics.precision_score(truth, called),
                metrics.recall_score(truth, called),
                metrics.f1_score(truth, called),
            ]
        )
    low, high = np.quantile(np.array(draws), [0.025, 0.975], axis=0)
    assert (low < high).all()


report(measure, predictions)
