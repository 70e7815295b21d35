"""What a metric is: what it needs, which way is better, its range, and how it is measured under many weightings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.tasks import Task
from tidemill.measures.inputs import Floats
from tidemill.measures.resampling import Weighted, of_sums

Needs = Literal["score", "probability", "label", "value"]
Prepare = Callable[[ArrayLike, ArrayLike, float], Weighted]

NO_ROWS = "there are no rows"


@dataclass(frozen=True, slots=True)
class Metric:
    """One named measure of predictions.

    Parameters
    ----------
    name, task
        What it is called, and for which kind of answer.
    needs
        ``"score"``: any score that ranks; ``"probability"``: probabilities; ``"label"``: decisions at a threshold;
        ``"value"``: predicted numbers.
    greater_is_better, low, high
        Which way is better, and the range of values.
    prepare
        ``prepare(truth, predicted, threshold)`` does everything that does not depend on weights and returns a
        function of weights, or None; NaN where the metric is not defined. Weights are of rows, shape (rows,); those of
        a ranking are of queries, shape (queries,).
    undefined
        When it is not defined, as one phrase.
    labelled
        Whether it needs the truth; a measure of answers alone does not.
    on_parts
        Whether an evaluation measures it on each part of the rows too, unasked.
    """

    name: str
    task: Task
    needs: Needs
    greater_is_better: bool
    low: float
    high: float
    prepare: Prepare
    undefined: str
    labelled: bool = True
    on_parts: bool = False

    def better(self, left: float, right: float) -> bool:
        """Whether `left` is strictly better than `right`."""
        return left > right if self.greater_is_better else left < right


def gain(
    name: str, task: Task, needs: Needs, prepare: Prepare, undefined: str = NO_ROWS, *, low: float = 0.0,
    high: float = 1.0,
) -> Metric:  # fmt: skip
    """A metric of which more is better; 1 is perfect."""
    return Metric(name, task, needs, greater_is_better=True, low=low, high=high, prepare=prepare, undefined=undefined)


def loss(
    name: str, task: Task, needs: Needs, prepare: Prepare, undefined: str = NO_ROWS, *, high: float = math.inf
) -> Metric:
    """A metric of which less is better; 0 is perfect."""
    return Metric(name, task, needs, greater_is_better=False, low=0.0, high=high, prepare=prepare, undefined=undefined)


def on_parts(found: Metric) -> Metric:
    """The metric, measured on each part of the rows too."""
    return replace(found, on_parts=True)


def row_mean(rows_of: Callable[[ArrayLike, ArrayLike], Floats], finish: Callable[[float], float] = float) -> Prepare:
    """The mean of one number per row, and what becomes of it in the end, such as its root."""

    def prepare(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
        return mean_of(rows_of(truth, predicted), finish)

    return prepare


def mean_of(rows: Floats, finish: Callable[[float], float] = float) -> Weighted:
    """The mean of some numbers under weights; NaN where all weights are 0."""
    return of_sums(lambda sums: finish(divided(sums[0], sums[1])), rows, np.ones(len(rows)))


def query_mean(queries_of: Callable[[ArrayLike, ArrayLike], Floats]) -> Prepare:
    """The mean of one number per query, over the queries where it is defined."""

    def prepare(truth: ArrayLike, predicted: ArrayLike, _threshold: float) -> Weighted:
        queries = queries_of(truth, predicted)
        known = ~np.isnan(queries)
        return ratio_of_sums(np.where(known, queries, 0.0), known.astype(np.float64))

    return prepare


def ratio_of_sums(part: Floats, whole: Floats) -> Weighted:
    """One weighted sum over another; NaN where the latter is 0."""
    return of_sums(lambda sums: divided(sums[0], sums[1]), part, whole)


def divided(part: float, whole: float) -> float:
    """A ratio; NaN where there is nothing to divide by."""
    return float(part / whole) if whole > 0 else math.nan
