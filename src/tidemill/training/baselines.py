"""What a model must beat: a constant, a linear model, a small tree and what the task has besides, as JSON-able records.

They are fitted on the encoded training rows beside every model and travel in its metadata, so that any later table can
be scored by them too: a comparison on the same rows needs no second model. They count every row once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.core.tasks import Task
from tidemill.features.lags import LAST, SEASON
from tidemill.training.baseline_models import fit_linear, fit_tree, linear_scores, tree_scores
from tidemill.training.frameworks import Matrix, Numbers

#: Baselines learn from at most this many rows, drawn with the seed: enough for what they can express. Where an answer
#: has many numbers, from fewer: a linear model of each costs as much as the one of a single number.
MAX_ROWS, FEWEST_ROWS = 20_000, 2_000
#: More classes or labels than this are compared with the constant and the tree only.
MAX_CLASSES = 50
_SMOOTHING = 20.0


def fit_baselines(
    matrix: Matrix, truth: Numbers, encoding: Sequence[Mapping[str, Any]], task: Task, outputs: int = 2, seed: int = 0,
    levels: Sequence[float] = (),
) -> tuple[dict[str, Any], ...]:  # fmt: skip
    """Fit the baselines of a task on encoded training rows.

    Parameters
    ----------
    matrix, truth
        Encoded rows, shape (rows, columns), and targets, shape (rows,) or (rows, labels).
    encoding
        What the columns of the matrix are.
    task, outputs, seed, levels
        The kind of answer, how many numbers it has, the seed of the sample, and the levels of quantiles.

    Returns
    -------
    tuple of dict
        JSON-able, each with a ``name``, for `baseline_scores`: a constant (the mean, the shares of classes, the
        quantiles), ``linear`` and ``tree`` (of quantiles: with those of its residuals and leaves); of a forecast
        ``last_value`` and ``seasonal_naive`` where the columns of `tidemill.lagged` are; of a ranking the
        ``popularity`` of the category with the most values; of anomalies the ``distance`` from the middle, for linear
        and tree.
    """
    constant = {"name": "constant", "value": _constant(truth, task, outputs, levels)}
    if len(truth) < 2:
        return (constant,)
    if task == "anomaly":
        return constant, _fit_distance(matrix, encoding)
    limit = max(MAX_ROWS * 2 // max(outputs, 2), FEWEST_ROWS) if task in {"multiclass", "multilabel"} else MAX_ROWS
    if len(truth) > limit:
        chosen = np.random.default_rng(seed).choice(len(truth), limit, replace=False)
        chosen.sort()
        matrix, truth = matrix[chosen], truth[chosen]
    many = np.eye(outputs)[truth.astype(np.int64)] if task == "multiclass" else truth.reshape(len(truth), -1)
    found = [constant, *_known_values(matrix, encoding, task), *_popularity(matrix, truth, encoding, task)]
    if many.shape[1] <= MAX_CLASSES:
        found.append(_linear(matrix, many, encoding, task, levels))
    found.append(_tree(matrix, many, task, levels))
    return tuple(found)


def baseline_scores(baseline: Mapping[str, Any], matrix: Matrix) -> Numbers:
    """Predictions of one baseline for encoded rows, in the same form as a model's."""
    name = baseline["name"]
    if name == "constant":
        value = np.asarray(baseline["value"], dtype=np.float64)
        return np.broadcast_to(value, (len(matrix), *value.shape)).copy()
    if name == "linear":
        scores = linear_scores(baseline, matrix)
        if "shifts" in baseline:
            return scores + np.asarray(baseline["shifts"], dtype=np.float64)
        return scores[:, 0] if baseline["single"] else scores
    if name == "tree":
        return tree_scores(baseline, matrix)
    if name == "distance":
        return _distances(baseline, matrix)
    values = matrix[:, baseline["column"]].astype(np.float64)
    if name == "popularity":
        known = np.isfinite(values)
        codes = np.where(known, values, -1).astype(np.int64)
        means = np.asarray([*baseline["means"], baseline["otherwise"]], dtype=np.float64)
        return np.asarray(means[np.where((codes >= 0) & (codes < len(means) - 1), codes, -1)])
    return np.where(np.isfinite(values), values, baseline["otherwise"])


def _constant(truth: Numbers, task: Task, outputs: int, levels: Sequence[float]) -> Any:
    if not len(truth) or task == "anomaly":
        return 0.0
    if task == "multiclass":
        return (np.bincount(truth.astype(np.int64), minlength=outputs) / len(truth)).tolist()
    if task == "quantile":
        return np.quantile(truth, levels).tolist()
    return truth.mean(axis=0).tolist()


def _linear(
    matrix: Matrix, many: Numbers, encoding: Sequence[Mapping[str, Any]], task: Task, levels: Sequence[float]
) -> dict[str, Any]:
    """Of several classes one against the others, brought to the sum of 1."""
    logistic = task in {"binary", "multiclass", "multilabel"}
    fitted = fit_linear(matrix, many, encoding, logistic=logistic, adds_up=task == "multiclass")
    if task == "quantile":
        residuals = many[:, 0] - linear_scores(fitted, matrix)[:, 0]
        return {**fitted, "single": False, "shifts": np.quantile(residuals, levels).tolist()}
    return {**fitted, "single": task not in {"multiclass", "multilabel"}}


def _tree(matrix: Matrix, many: Numbers, task: Task, levels: Sequence[float]) -> dict[str, Any]:
    """The leaves are means, which of 0 and 1 are rates; of quantiles those of their rows."""
    if task == "quantile":
        return fit_tree(matrix, many, lambda rows: np.quantile(rows[:, 0], levels).tolist())
    if task in {"multiclass", "multilabel"}:
        return fit_tree(matrix, many, lambda rows: rows.mean(axis=0).tolist())
    return fit_tree(matrix, many, lambda rows: float(rows.mean()))


def _known_values(matrix: Matrix, encoding: Sequence[Mapping[str, Any]], task: Task) -> list[dict[str, Any]]:
    """The last known value and that of the last season, where their columns are; the median where they are missing."""
    if task != "forecasting":
        return []
    found = []
    for name, ending in (("last_value", LAST), ("seasonal_naive", SEASON)):
        for place, entry in enumerate(encoding):
            known = matrix[:, place][np.isfinite(matrix[:, place])]
            if entry["column"].endswith(ending) and len(known):
                found.append({"name": name, "column": place, "otherwise": float(np.median(known))})
                break
    return found


def _popularity(
    matrix: Matrix, truth: Numbers, encoding: Sequence[Mapping[str, Any]], task: Task
) -> list[dict[str, Any]]:
    """The mean grade of each value of the category with the most values, drawn towards the mean of all."""
    places = [place for place, entry in enumerate(encoding) if entry["kind"] == "category" and entry["categories"]]
    if task != "ranking" or not places:
        return []
    place = max(places, key=lambda index: len(encoding[index]["categories"]))
    many, mean = len(encoding[place]["categories"]), float(truth.mean())
    known = np.isfinite(matrix[:, place])
    codes = matrix[known, place].astype(np.int64)
    rows, sums = np.bincount(codes, minlength=many), np.bincount(codes, weights=truth[known], minlength=many)
    means = (sums + _SMOOTHING * mean) / (rows + _SMOOTHING)
    return [{"name": "popularity", "column": place, "means": means.tolist(), "otherwise": mean}]


def _fit_distance(matrix: Matrix, encoding: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The middle and the width of each number."""
    terms = []
    for place, entry in enumerate(encoding):
        known = matrix[:, place][np.isfinite(matrix[:, place])].astype(np.float64)
        if entry["kind"] == "category" or not len(known):
            continue
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        width = float(high - low) or float(known.std())
        if width > 0:
            terms.append({"column": place, "middle": float(middle), "width": width})
    return {"name": "distance", "terms": terms}


def _distances(baseline: Mapping[str, Any], matrix: Matrix) -> Numbers:
    """The mean distance from the middle in widths; a missing value is in the middle."""
    total = np.zeros(len(matrix))
    for term in baseline["terms"]:
        away = np.abs(matrix[:, term["column"]].astype(np.float64) - term["middle"]) / term["width"]
        total += np.where(np.isnan(away), 0.0, np.minimum(away, 1e6))
    return total / max(len(baseline["terms"]), 1)
