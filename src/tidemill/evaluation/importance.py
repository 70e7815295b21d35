"""Which columns a model relies on: how much worse it gets when one is shuffled (Breiman, 2001; Fisher et al., 2019)."""

from __future__ import annotations

import numpy as np

from tidemill.core.model import Model
from tidemill.evaluation.records import Importance
from tidemill.measures.inputs import Floats
from tidemill.measures.registry import Metric
from tidemill.training.frameworks import Matrix
from tidemill.training.prediction import predict_encoded

MAX_ROWS = 4000
REPEATS = 3


def permutation_importance(
    model: Model, matrix: Matrix, truth: Floats, metric: Metric, *, seed: int = 0, rows: int = MAX_ROWS
) -> tuple[Importance, ...]:
    """Shuffle each input column on a sample of rows; columns of the matrix that come from one input move together.

    Returns
    -------
    tuple of Importance
        Most important first. Correlated columns share what they know, and each can look unimportant.
    """
    generator = np.random.default_rng(seed)
    if len(truth) > rows:
        chosen = np.sort(generator.choice(len(truth), rows, replace=False))
        matrix, truth = matrix[chosen], truth[chosen]
    whole = _measured(model, matrix, truth, metric)
    if np.isnan(whole):
        return ()
    sign = 1.0 if metric.greater_is_better else -1.0
    found = []
    for column in dict.fromkeys(entry["column"] for entry in model.encoding):
        places = [place for place, entry in enumerate(model.encoding) if entry["column"] == column]
        drops = []
        for _ in range(REPEATS):
            shuffled = matrix.copy()
            shuffled[:, places] = matrix[generator.permutation(len(matrix))][:, places]
            drops.append(sign * (whole - _measured(model, shuffled, truth, metric)))
        found.append(Importance(column, float(np.mean(drops)), float(min(drops)), float(max(drops))))
    return tuple(sorted(found, key=lambda entry: -entry.drop))


def _measured(model: Model, matrix: Matrix, truth: Floats, metric: Metric) -> float:
    return metric.prepare(truth, predict_encoded(model, matrix), model.signature.threshold)(None)
