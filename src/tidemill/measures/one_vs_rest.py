"""Measures of many classes that ask of each how well it is told from the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tidemill.measures.inputs import classes, row_weights
from tidemill.measures.multilabel import prepare_macro_roc_auc
from tidemill.measures.resampling import Weighted


def prepare_roc_auc_ovr(labels: ArrayLike, scores: ArrayLike, _threshold: float = 0.5) -> Weighted:
    """The area under the ROC curve of each class against the others, averaged, by weights."""
    codes, chances = classes(labels, scores)
    return prepare_macro_roc_auc(np.eye(chances.shape[1])[codes], chances)


def roc_auc_ovr(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The area under the ROC curve of each class against the others, averaged; each class counts alike.

    Parameters
    ----------
    labels
        Class codes 0…k-1, shape (rows,).
    scores
        Higher means likelier, shape (rows, k).
    weights
        How often each row counts, shape (rows,).

    Returns
    -------
    float
        Between 0 and 1. A class that no row has, or that all have, is left out of the mean: NaN when only one class is
        present.

    Examples
    --------
    >>> chances = [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]
    >>> round(roc_auc_ovr([0, 1, 2, 2], chances), 4)
    0.8611
    """
    measured = prepare_roc_auc_ovr(labels, scores)
    return measured(None if weights is None else row_weights(weights, len(np.asarray(labels))))
