"""The metrics by name: what each needs, which way is better, its range, and how it is measured and resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import UsageError
from tidemill.core.tasks import Task
from tidemill.measures.intervals import Estimate, bootstrap
from tidemill.measures.metric import Metric
from tidemill.measures.queries import query_count
from tidemill.measures.resampling import Weighted
from tidemill.measures.table import METRICS, metrics_of, parametric

__all__ = ["METRICS", "Metric", "estimate", "measure", "metric", "metrics_of"]


def metric(name: str, task: Task = "binary", levels: Sequence[float] = ()) -> Metric:
    """The metric of a task by its name.

    ``recall_at_5pct`` and its like exist for every whole percentage, ``ndcg_at_10`` and its like for every number of
    rows; ``pinball_at_0.9`` for each of the `levels` of a quantile model.

    Raises
    ------
    UsageError
        For an unknown name, with the nearest known one.

    Examples
    --------
    >>> metric("roc_auc").greater_is_better
    True
    >>> metric("lift_at_5pct").name
    'lift_at_5pct'
    """
    known = metrics_of(task, levels)
    found = known.get(name) or parametric(name, task)
    if found is None:
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"no metric of a {task} model is called {name!r}", hint=f"{hint}Known: {', '.join(known)}.")
    return found


def measure(
    truth: ArrayLike, predicted: ArrayLike, names: tuple[str, ...], task: Task = "binary", threshold: float = 0.5,
    levels: Sequence[float] = (),
) -> dict[str, float]:  # fmt: skip
    """Several metrics by name, without intervals; NaN where one is not defined.

    >>> measure([0, 1, 1], [0.2, 0.4, 0.9], ("roc_auc", "recall"))
    {'roc_auc': 1.0, 'recall': 0.5}
    """
    return {name: metric(name, task, levels).prepare(truth, predicted, threshold)(None) for name in names}


def estimate(
    truth: ArrayLike,
    predicted: ArrayLike,
    names: tuple[str, ...],
    task: Task = "binary",
    *,
    threshold: float = 0.5,
    levels: Sequence[float] = (),
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
    also: Mapping[str, Weighted] | None = None,
) -> dict[str, Estimate]:
    """Several metrics by name with bootstrap intervals from the same resamples of rows, of a ranking from queries.

    Parameters
    ----------
    truth
        Shape (rows,); for several labels (rows, labels), for a ranking (rows, 2): grade and query, for a forecast
        (rows, 2): what happened and the last value that was known.
    predicted
        Shape (rows,), or (rows, k) for many classes, labels or levels.
    names, task, threshold, levels
        Which metrics; the threshold is for those that need decisions, the levels are those of quantiles.
    resamples, seed, level
        See `measures.intervals.bootstrap`.
    also
        Other measures by name, on the same resamples; of rows in ascending order of predictions.
    """
    left, right = np.asarray(truth), np.asarray(predicted)
    if right.ndim == 1 and left.shape == right.shape and right.dtype.kind in "fiu":
        order = np.argsort(right, kind="stable")  # sorted once here, so that no metric gathers weights by row again
        left, right = left[order].astype(np.float64), right[order].astype(np.float64)
    metrics = {name: metric(name, task, levels) for name in names}
    prepared = {name: found.prepare(left, right, threshold) for name, found in metrics.items()}
    measures = {**prepared, **(also or {})}
    found = bootstrap(measures, units_of(left, task), resamples=resamples, seed=seed, level=level)
    return {name: _with_reason(metrics[name], value) if name in metrics else value for name, value in found.items()}


def _with_reason(found: Metric, value: Estimate) -> Estimate:
    if value.value is not None:
        return value
    reason = "there are no rows" if not value.rows else found.undefined
    return Estimate(None, rows=value.rows, level=value.level, reason=reason)


def units_of(truth: np.ndarray, task: Task) -> int:
    """How many things are drawn in a resample: rows, or queries as wholes."""
    return query_count(truth) if task == "ranking" else len(truth)
