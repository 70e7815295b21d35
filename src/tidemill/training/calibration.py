"""Probabilities that mean what they say: a monotone curve from the estimator's scores, fitted on validation rows.

A calibration is a JSON-able mapping that travels in the model's record::

    {"method": "sigmoid", "curves": [{"slope": 0.8, "intercept": -0.4}], "adds_up": False}
    {"method": "isotonic", "curves": [{"x": [0.02, 0.3, 0.9], "y": [0.0, 0.2, 1.0]}], "adds_up": False}

There is one curve for a binary model, and one for each class of several. Needs NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import DataError, UsageError
from tidemill.core.tasks import TASKS, Task

Method = Literal["isotonic", "sigmoid"]

#: Where the log-odds of a score are cut off. float32, in which an exchange format computes, has no digits near 1.
LOWEST, HIGHEST = 1e-7, 1 - 1e-4
#: Fewer rows than this (of the rarer outcome: a tenth of it) teach noise.
LEAST_ROWS = 50
#: No curve has more corners; beside them it would follow single rows.
MAX_CORNERS = 200
_NEAR = 0.01
_STEPS = 50

Numbers = NDArray[np.float64]


def fit_calibration(truth: Numbers, scores: Numbers, task: Task, method: Method) -> dict[str, Any]:
    """Fit a calibration on rows that the estimator was not fitted on.

    Parameters
    ----------
    truth, scores
        The target as numbers, and the estimator's probabilities.
    task
        ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
    method
        ``"sigmoid"``: a logistic curve of the log-odds (Platt, 1999), two numbers. ``"isotonic"``: any rising curve
        (Zadrozny & Elkan, 2002), through the centres of its steps (Oron & Flournoy, 2017), so that the order of rows
        is kept; it needs more rows.

    Raises
    ------
    UsageError
        For an unknown method, or a task without probabilities.
    DataError
        When scores are no probabilities, or there are too few rows, or one outcome only.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> honest = generator.random(4000)
    >>> truth = (generator.random(4000) < honest).astype(float)
    >>> found = fit_calibration(truth, honest**3, "binary", "isotonic")
    >>> bool(abs(apply_calibration(np.array([0.5**3]), found)[0] - 0.5) < 0.05)
    True
    """
    if method not in get_args(Method):
        raise UsageError("unknown calibration", value=method, hint=f"Known: {', '.join(get_args(Method))}.")
    if not TASKS[task].classifies:
        raise UsageError(f"a {task} model has no probabilities to calibrate", hint="Leave calibrate out.")
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise DataError(
            "calibration starts from probabilities, and the estimator gives scores",
            value=float(scores.min()),
            hint="Use an estimator with predict_proba().",
        )
    columns = scores[:, None] if scores.ndim == 1 else scores
    outcomes = (
        np.eye(columns.shape[1])[truth.astype(np.int64)] if task == "multiclass" else truth.reshape(len(truth), -1)
    )
    _check_rows(outcomes)
    fit = _fit_isotonic if method == "isotonic" else _fit_sigmoid
    curves = [fit(columns[:, place], outcomes[:, place]) for place in range(columns.shape[1])]
    return {"method": method, "curves": curves, "adds_up": task == "multiclass"}


def apply_calibration(scores: NDArray[Any], calibration: Mapping[str, Any]) -> Numbers:
    """The calibrated probabilities, in the shape of the scores; without a calibration the scores as they are."""
    if not calibration:
        return np.asarray(scores, dtype=np.float64)
    columns = np.asarray(scores, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    of = _isotonic if calibration["method"] == "isotonic" else _sigmoid
    out = np.stack([of(columns[:, place], curve) for place, curve in enumerate(calibration["curves"])], axis=1)
    if calibration["adds_up"]:
        total = out.sum(axis=1, keepdims=True)
        out = np.where(total > 0, out / np.where(total > 0, total, 1.0), 1.0 / out.shape[1])
    return out[:, 0] if np.ndim(scores) == 1 else out


def calibration_rows(rows: int, seed: int) -> NDArray[np.bool_]:
    """Which validation rows a calibration is fitted on: half of them, drawn with the seed."""
    chosen = np.zeros(rows, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(rows)[: rows // 2]] = True
    return chosen


def _check_rows(outcomes: Numbers) -> None:
    rows = len(outcomes)
    rare = int(min(outcomes.sum(axis=0).min(), (1 - outcomes).sum(axis=0).min())) if rows else 0
    if rows < LEAST_ROWS or rare < LEAST_ROWS // 10:
        raise DataError(
            f"{rows} rows, with {rare} of the rarest outcome, are too few to calibrate on",
            hint=f"Calibration is fitted on half of the validation rows; give it {2 * LEAST_ROWS} or more of them, "
            f"{2 * (LEAST_ROWS // 10)} or more of each class.",
        )


def _log_odds(scores: Numbers) -> Numbers:
    kept = np.clip(scores, LOWEST, HIGHEST)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def _fit_sigmoid(scores: Numbers, outcomes: Numbers) -> dict[str, Any]:
    """Two numbers by Newton's method, on targets drawn a little towards the middle, as Platt has them."""
    inputs = _log_odds(scores)
    positives = float(outcomes.sum())
    negatives = len(outcomes) - positives
    target = np.where(outcomes == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.column_stack([inputs, np.ones(len(inputs))])
    beta = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        curvature = np.maximum(chance * (1 - chance), 1e-9)
        step = np.linalg.solve(
            (design * curvature[:, None]).T @ design + 1e-9 * np.eye(2), design.T @ (target - chance)
        )
        size = 1.0
        while size > 1e-6 and _surprise(design @ (beta + size * step), target) > _surprise(design @ beta, target):
            size /= 2  # Newton's steps can lead too far where scores are extreme
        beta = beta + size * step
        if float(np.abs(size * step).max()) < 1e-9:
            break
    # A falling curve would turn the ranking round: such scores know nothing, and the base rate says so.
    slope = max(float(beta[0]), 0.0)
    share = (positives + 1) / (len(outcomes) + 2)
    intercept = float(beta[1]) if slope > 0 else float(np.log(share / (1 - share)))
    return {"slope": slope, "intercept": intercept}


def _surprise(odds: Numbers, target: Numbers) -> float:
    """The negative log-likelihood of targets under log-odds."""
    return float((np.logaddexp(0.0, odds) - target * odds).sum())


def _sigmoid(scores: Numbers, curve: Mapping[str, Any]) -> Numbers:
    odds = curve["slope"] * _log_odds(scores) + curve["intercept"]
    return np.asarray(1 / (1 + np.exp(-odds)))


def _fit_isotonic(scores: Numbers, outcomes: Numbers) -> dict[str, Any]:
    """Corners of a rising curve: the pooled steps of the outcomes, each at the mean of its scores."""
    levels, group = np.unique(scores, return_inverse=True)
    weight = np.bincount(group).astype(np.float64)
    places, values, weights = [], [], []
    for place, value, rows in zip(levels, np.bincount(group, weights=outcomes) / weight, weight, strict=True):
        places.append(float(place))
        values.append(float(value))
        weights.append(float(rows))
        while len(values) > 1 and values[-2] >= values[-1]:
            total = weights[-2] + weights[-1]
            for series in (places, values):
                series[-2:] = [(series[-2] * weights[-2] + series[-1] * weights[-1]) / total]
            weights[-2:] = [total]
    places, values = _apart(places, values, weights)
    if len(places) > MAX_CORNERS:
        keep = np.unique(np.linspace(0, len(places) - 1, MAX_CORNERS).round().astype(np.int64))
        places, values = [places[i] for i in keep], [values[i] for i in keep]
    return {"x": places, "y": values}


def _apart(places: list[float], values: list[float], weights: list[float]) -> tuple[list[float], list[float]]:
    """The corners, those nearer than a hundredth of their score pooled: between such the curve would be a cliff."""
    kept: list[tuple[float, float, float]] = []
    for place, value, weight in zip(places, values, weights, strict=True):
        if kept and place - kept[-1][0] < _NEAR * place:
            before, level, mass = kept[-1]
            total = mass + weight
            kept[-1] = ((before * mass + place * weight) / total, (level * mass + value * weight) / total, total)
        else:
            kept.append((place, value, weight))
    return [corner[0] for corner in kept], [corner[1] for corner in kept]


def _isotonic(scores: Numbers, curve: Mapping[str, Any]) -> Numbers:
    return np.asarray(np.interp(scores, curve["x"], curve["y"]))
