"""Which rows a person should label next: those of which a model is least sure, and that are not all alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError, UsageError

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
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


def most_uncertain(probabilities: ArrayLike, count: int, measure: Uncertainty = "margin") -> Rows:
    """The numbers of the rows of which a model is least sure, the least sure first; of equals, the earlier first.

    >>> most_uncertain([0.9, 0.45, 0.7], 2).tolist()
    [1, 2]
    """
    return np.argsort(-uncertainties(probabilities, measure), kind="stable")[: max(0, count)]


def diverse(features: ArrayLike, count: int, *, already: ArrayLike | None = None) -> Rows:
    """The numbers of rows that cover the others best: each is the farthest from those before it (k-centre, greedy).

    No row is farther from its nearest chosen row than twice what the best choice of as many rows would reach. Columns
    are brought to the same spread first.

    Source: T. F. Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, Theoretical Computer Science 38
    (1985); as active learning: O. Sener and S. Savarese, ICLR (2018).

    Parameters
    ----------
    features
        Shape (rows, features), finite.
    count
        How many rows to choose.
    already
        The features of rows that are labelled already, which need no other row near them.

    Examples
    --------
    >>> diverse([[0.0], [0.1], [5.0], [9.9], [10.0]], 3).tolist()
    [2, 0, 4]
    """
    points, known = _scaled(features, already)
    if known is None and len(points):
        middle = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
        chosen = [int(middle.argmin())]  # the most usual row first
        nearest = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    else:
        chosen = []
        nearest = np.full(len(points), np.inf)
        for row in known if known is not None else ():
            nearest = np.minimum(nearest, ((points - row) ** 2).sum(axis=1))
    nearest[chosen] = -1.0
    while len(chosen) < min(count, len(points)):
        far = int(nearest.argmax())
        chosen.append(far)
        nearest = np.minimum(nearest, ((points - points[far]) ** 2).sum(axis=1))
        nearest[chosen] = -1.0
    return np.asarray(chosen[: max(0, count)], dtype=np.intp)


def most_informative(
    probabilities: ArrayLike, features: ArrayLike, count: int, measure: Uncertainty = "margin", *, pool: int = 10
) -> Rows:
    """A batch of rows that a model is unsure of and that differ: the most diverse of the `pool` x `count` least sure.

    >>> most_informative([0.5, 0.5, 0.51, 0.52, 0.99], [[0.0], [0.0], [3.0], [1.0], [9.0]], 2, pool=2).tolist()
    [0, 2]
    """
    if pool < 1:
        raise UsageError("the pool is a number of times the batch, 1 or more", value=pool, hint="Try 10.")
    unsure = most_uncertain(probabilities, max(0, count) * pool, measure)
    points = np.asarray(features, dtype=np.float64)
    if len(points) != len(np.asarray(probabilities)):
        raise DataError(
            "features and probabilities have different numbers of rows",
            value=(len(points), len(np.asarray(probabilities))),
        )
    if not len(unsure) or count <= 0:
        return np.zeros(0, dtype=np.intp)
    first = points[unsure[:1]]
    rest: Rows = unsure[1:]
    return np.concatenate([unsure[:1], rest[diverse(points[rest], count - 1, already=first)]])


def priorities(
    probabilities: ArrayLike,
    tasks: Sequence[int],
    *,
    measure: Uncertainty = "margin",
    features: ArrayLike | None = None,
    batch: int = 100,
) -> list[tuple[int, float]]:
    """The priority of each task, from how unsure a model is; with features, batches of unlike tasks come first.

    >>> priorities([0.9, 0.5], [7, 8])
    [(7, 0.19999999999999996), (8, 1.0)]
    """
    unsure = uncertainties(probabilities, measure)
    if len(unsure) != len(tasks):
        raise DataError(
            f"there are {len(tasks)} tasks and probabilities of {len(unsure)}",
            value=len(unsure),
            hint="Give one row for each task, in the order of the tasks.",
        )
    values = unsure.copy()
    if features is not None:
        early = most_informative(probabilities, features, min(batch, len(tasks)), measure)
        values[early] = 1.0 + np.arange(len(early), 0, -1) / max(1, len(early))  # in this order, before all others
    return [(int(number), float(value)) for number, value in zip(tasks, values, strict=True)]


def _scaled(features: ArrayLike, already: ArrayLike | None) -> tuple[Floats, Floats | None]:
    points = np.asarray(features, dtype=np.float64)
    known = None if already is None else np.asarray(already, dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise DataError("features are a table of finite numbers", value=points.shape, hint="Fill what is missing.")
    if known is not None and (known.ndim != 2 or known.shape[1] != points.shape[1]):
        raise DataError("the labelled rows have other features", value=known.shape, hint="Give the same columns.")
    spread = points.std(axis=0)
    spread[spread == 0] = 1.0
    return points / spread, None if known is None else known / spread
