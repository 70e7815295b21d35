"""Which rows a person should label next: those of which a model is least sure."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError, UsageError

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Uncertainty = Literal["least_confident", "margin", "entropy"]


def uncertainties(probabilities: ArrayLike, measure: Uncertainty = "margin") -> Floats:
    """How unsure a model is of each row, from 0 (sure) to 1 (every class equally likely).

    Parameters
    ----------
    probabilities
        Shape (rows, classes), or (rows,) for the probability of the second of two classes.
    measure
        ``"least_confident"``: the likeliest class is unlikely; ``"margin"``: the two likeliest are close;
        ``"entropy"``: all are spread.

    Examples
    --------
    >>> uncertainties([0.5, 0.9]).round(2).tolist()
    [1.0, 0.2]
    """
    given = np.asarray(probabilities, dtype=np.float64)
    given = np.column_stack([1 - given, given]) if given.ndim == 1 else given
    if given.ndim != 2 or given.shape[1] < 2 or not np.isfinite(given).all() or (given < 0).any():
        raise DataError("probabilities are a table of rows by classes, none negative or missing", value=given.shape)
    classes = given.shape[1]
    if measure == "least_confident":
        out: Floats = (1 - given.max(axis=1)) * classes / (classes - 1)
    elif measure == "margin":
        ordered = np.sort(given, axis=1)
        out = 1 - (ordered[:, -1] - ordered[:, -2])
    elif measure == "entropy":
        out = -(given * np.log(np.where(given > 0, given, 1.0))).sum(axis=1) / np.log(classes)
    else:
        raise UsageError("not a measure of uncertainty", value=measure, hint="Use least_confident, margin or entropy.")
    return out


def most_uncertain(
    probabilities: ArrayLike, count: int, measure: Uncertainty = "margin"
) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The numbers of the rows of which a model is least sure, the least sure first; of equals, the earlier first.

    >>> most_uncertain([0.9, 0.45, 0.7], 2).tolist()
    [1, 2]
    """
    return np.argsort(-uncertainties(probabilities, measure), kind="stable")[: max(0, count)]
