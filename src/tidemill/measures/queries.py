"""Measures of rankings within queries: truth of shape (rows, 2), a grade and the number of the query; scores (rows,).

Rows that tie are counted as if their order were drawn at random. A query is measured as a whole: what these functions
give is one number per query, in the order of the queries' numbers, NaN where it is not defined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidemill.core.errors import DataError
from tidemill.measures.inputs import Floats, numbers, same_length


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows by query and falling score.

    Parameters
    ----------
    grade, score, query
        Of each row; queries are numbered from 0.
    place
        The place of each row within its query, from 0.
    tie
        The number of the group of equal scores within a query that each row is in.
    queries
        How many queries there are.
    """

    grade: Floats
    score: Floats
    query: NDArray[np.int64]
    place: NDArray[np.int64]
    tie: NDArray[np.int64]
    queries: int


def listed(truth: ArrayLike, scores: ArrayLike) -> Listed:
    """Sort rows by query and falling score."""
    both, predicted = numbers(truth, "the truth", dimensions=2), numbers(scores, "the predictions")
    same_length(both, predicted)
    if both.shape[1] != 2:
        raise DataError(
            "the truth of a ranking is a grade and a query for each row", value=both.shape,
            hint="Give an array of shape (rows, 2).",
        )  # fmt: skip
    if len(both) and both[:, 0].min() < 0:
        raise DataError("a grade is negative", value=float(both[:, 0].min()), hint="Grade what is irrelevant with 0.")
    _, query = np.unique(both[:, 1], return_inverse=True)
    order = np.lexsort((-predicted, query))
    query, score, grade = query[order].astype(np.int64), predicted[order], both[order, 0]
    first = np.flatnonzero(np.diff(query, prepend=-1))
    place = np.arange(len(query)) - first[query] if len(query) else np.empty(0, dtype=np.int64)
    fresh = np.ones(len(query), dtype=bool)
    fresh[1:] = (query[1:] != query[:-1]) | (score[1:] != score[:-1])
    return Listed(grade, score, query, place, np.cumsum(fresh) - 1, len(first))


def query_count(truth: ArrayLike) -> int:
    """How many queries there are in the truth of a ranking."""
    return len(np.unique(np.asarray(truth, dtype=np.float64)[:, 1]))


def ndcg(truth: ArrayLike, scores: ArrayLike, k: int | None = None) -> Floats:
    """Discounted cumulative gain of the first `k` rows over the best there could be; the gain is the grade.

    NaN for a query without a grade above 0 (Järvelin & Kekäläinen, 2002).

    >>> ndcg([[0, 1], [3, 1], [1, 1]], [0.1, 0.9, 0.5]).tolist()
    [1.0]
    """

    def discount(place: NDArray[np.int64]) -> Floats:
        return np.asarray(np.where(place < (k or len(place)), 1 / np.log2(place + 2.0), 0.0))

    found = listed(truth, scores)
    best = listed(truth, np.asarray(truth, dtype=np.float64)[:, 0]) if found.queries else found
    gained, could = _sum_by_query(found, discount), _sum_by_query(best, discount)
    return _ratios(gained, could)


def precision_at(truth: ArrayLike, scores: ArrayLike, k: int) -> Floats:
    """The share of relevant rows (a grade above 0) among the first `k` of each query; a missing row is irrelevant.

    >>> precision_at([[0, 1], [3, 1], [1, 1]], [0.1, 0.9, 0.5], 2).tolist()
    [1.0]
    """
    return _sum_by_query(_relevant(listed(truth, scores)), lambda place: (place < k) / k)


def recall_at(truth: ArrayLike, scores: ArrayLike, k: int) -> Floats:
    """The share of a query's relevant rows that is among its first `k`; NaN for a query without any."""
    found = _relevant(listed(truth, scores))
    hits = _sum_by_query(found, lambda place: (place < k).astype(np.float64))
    relevant = np.bincount(found.query, weights=found.grade, minlength=found.queries)
    return _ratios(hits, relevant)


def average_precisions(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """The average precision of each query; NaN for one without a relevant row. Their mean is MAP.

    >>> average_precisions([[1, 1], [0, 1], [1, 1]], [0.9, 0.5, 0.1]).round(3).tolist()
    [0.833]
    """
    found = _relevant(listed(truth, scores))
    groups = int(found.tie[-1]) + 1 if len(found.tie) else 0
    positives = np.bincount(found.tie, weights=found.grade, minlength=groups)
    rows = np.bincount(found.tie, minlength=groups)
    query = found.query[np.flatnonzero(np.diff(found.tie, prepend=-1))]
    first = np.flatnonzero(np.diff(query, prepend=-1))
    hits, taken = (_running(values.astype(np.float64), query, first) for values in (positives, rows))
    area = np.bincount(query, weights=positives * hits / np.maximum(taken, 1), minlength=found.queries)
    relevant = np.bincount(query, weights=positives, minlength=found.queries)
    return _ratios(area, relevant)


def reciprocal_ranks(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """One over the place of each query's first relevant row; 0 for a query without any. Their mean is MRR.

    >>> reciprocal_ranks([[0, 1], [1, 1], [0, 2]], [0.9, 0.5, 0.1]).tolist()
    [0.5, 0.0]
    """
    found = _relevant(listed(truth, scores))
    out = np.zeros(found.queries)
    places = np.flatnonzero(found.grade)
    queries, first = np.unique(found.query[places], return_index=True)
    for query, row in zip(queries.tolist(), places[first].tolist(), strict=True):
        start = int(np.searchsorted(found.tie, found.tie[row], side="left"))
        end = int(np.searchsorted(found.tie, found.tie[row], side="right"))
        out[query] = _expected_reciprocal(int(found.place[start]), end - start, int(found.grade[start:end].sum()))
    return out


def _expected_reciprocal(before: int, tied: int, relevant: int) -> float:
    """The mean of one over the first relevant place, when the order of tied rows is drawn at random."""
    total, left = 0.0, 1.0  # and the chance that no relevant row has come yet
    for index in range(tied - relevant + 1):
        chance = relevant / (tied - index)
        total += left * chance / (before + index + 1)
        left *= 1 - chance
    return total


def _relevant(found: Listed) -> Listed:
    relevance = (found.grade > 0).astype(np.float64)
    return Listed(relevance, found.score, found.query, found.place, found.tie, found.queries)


def _ratios(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """The ratio for each query; NaN where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), math.nan), where=whole > 0))


def _sum_by_query(found: Listed, weight_of: Callable[[NDArray[np.int64]], Floats]) -> Floats:
    """The sum of grades times the weight of their places; tied rows share the mean of their places' weights."""
    if not found.queries:
        return np.empty(0)
    weight = np.bincount(found.tie, weights=weight_of(found.place))
    share = (weight / np.bincount(found.tie))[found.tie]
    return np.asarray(np.bincount(found.query, weights=found.grade * share, minlength=found.queries), dtype=np.float64)


def _running(values: Floats, query: NDArray[np.int64], first: NDArray[np.intp]) -> Floats:
    """Cumulative sums that begin anew with each query."""
    total = np.cumsum(values)
    before = np.concatenate([[0.0], total])[first]
    return np.asarray(total - before[query])
