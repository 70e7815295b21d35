"""A linear model and a small tree in NumPy, for one number a row or for several, as JSON-able records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.training.frameworks import Matrix, Numbers

_TOP_CATEGORIES = 10
_RIDGE = 1.0
_STEPS = 12
_DEPTH = 3
_BINS = 32
_MIN_LEAF = 20

#: What a leaf says, from the targets of its rows, shape (rows, outputs).
ValueOf = Callable[[Numbers], Any]


def fit_linear(
    matrix: Matrix, truth: Numbers, encoding: Sequence[Mapping[str, Any]], *, logistic: bool, adds_up: bool = False
) -> dict[str, Any]:
    """Ridge regression, logistic for classes (iteratively reweighted least squares), one for each column of `truth`."""
    terms = _terms(matrix, encoding)
    design = _design(matrix, terms)
    solve = _logistic_weights if logistic else _ridge_weights
    fits = [solve(design, truth[:, place]) for place in range(truth.shape[1])]
    return {
        "name": "linear",
        "logistic": logistic,
        "adds_up": adds_up,
        "terms": terms,
        "weights": [weights.tolist() for weights, _ in fits],
        "intercept": [intercept for _, intercept in fits],
    }


def linear_scores(baseline: Mapping[str, Any], matrix: Matrix) -> Numbers:
    """Predictions of `fit_linear` for encoded rows, shape (rows, outputs)."""
    design = _design(matrix, baseline["terms"])
    scores = design @ np.asarray(baseline["weights"], dtype=np.float64).T + np.asarray(baseline["intercept"])
    scores = _logistic(scores) if baseline["logistic"] else scores
    return scores / scores.sum(axis=1, keepdims=True) if baseline["adds_up"] else scores


def fit_tree(matrix: Matrix, truth: Numbers, value_of: ValueOf) -> dict[str, Any]:
    """A regression tree of depth 3 on quantile bins; `value_of` says what a leaf answers, from its rows of `truth`."""
    cuts = [_cuts(matrix[:, index]) for index in range(matrix.shape[1])]
    codes = (
        np.stack(
            [np.searchsorted(cut, column, side="right") for cut, column in zip(cuts, matrix.T, strict=True)], axis=1
        )
        if cuts
        else np.zeros((len(matrix), 0), dtype=np.int64)
    )
    nodes: list[dict[str, Any]] = []
    _grow(nodes, codes, cuts, truth, _DEPTH, value_of)
    return {"name": "tree", "nodes": nodes}


def tree_scores(baseline: Mapping[str, Any], matrix: Matrix) -> Numbers:
    """Predictions of `fit_tree` for encoded rows, shape (rows,) or (rows, outputs), as its leaves have them."""
    nodes = baseline["nodes"]
    scores = np.empty((len(matrix), *np.shape(nodes[0]["value"])))
    pending = [(0, np.arange(len(matrix)))]
    while pending:
        place, rows = pending.pop()
        node = nodes[place]
        if "left" not in node:
            scores[rows] = node["value"]
            continue
        below = matrix[rows, node["column"]] < node["below"]  # NaN is not below: missing goes right, as it was binned
        pending += [(node["left"], rows[below]), (node["right"], rows[~below])]
    return scores


def _terms(matrix: Matrix, encoding: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Standardised numbers, and an indicator for each frequent category: codes rise with rarity."""
    terms: list[dict[str, Any]] = []
    for index, entry in enumerate(encoding):
        if entry["kind"] == "category":
            codes = range(min(len(entry["categories"]), _TOP_CATEGORIES))
            terms += [{"column": index, "equals": code} for code in codes]
            continue
        values = matrix[:, index].astype(np.float64)
        known = values[np.isfinite(values)]
        spread = float(known.std()) if len(known) else 0.0
        if spread > 0:
            terms.append({"column": index, "mean": float(known.mean()), "scale": spread})
    return terms


def _design(matrix: Matrix, terms: Sequence[Mapping[str, Any]]) -> Numbers:
    out = np.zeros((len(matrix), len(terms)))
    for place, term in enumerate(terms):
        values = matrix[:, term["column"]]
        if "equals" in term:
            out[:, place] = values == term["equals"]
        else:
            scaled = (values.astype(np.float64) - term["mean"]) / term["scale"]
            out[:, place] = np.clip(np.where(np.isnan(scaled), 0.0, scaled), -10, 10)  # missing is average
    return out


def _ridge_weights(design: Numbers, truth: Numbers) -> tuple[Numbers, float]:
    means, centre = design.mean(axis=0), float(truth.mean())
    centred = design - means
    gram = centred.T @ centred + _RIDGE * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (truth - centre))
    return weights, centre - float(means @ weights)


def _logistic_weights(design: Numbers, truth: Numbers) -> tuple[Numbers, float]:
    full = np.hstack([design, np.ones((len(design), 1))])
    penalty = _RIDGE * np.eye(full.shape[1])
    penalty[-1, -1] = 1e-9  # the intercept is free
    beta = np.zeros(full.shape[1])
    for _ in range(_STEPS):
        chance = _logistic(full @ beta)
        slope = np.maximum(chance * (1 - chance), 1e-9)
        gradient = full.T @ (truth - chance) - penalty @ beta
        step = np.linalg.solve((full * slope[:, None]).T @ full + penalty, gradient)
        beta = beta + step
        if float(np.abs(step).max()) < 1e-6:
            break
    return beta[:-1], float(beta[-1])


def _logistic(values: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _cuts(column: NDArray[np.float32]) -> NDArray[np.float32]:
    known = column[np.isfinite(column)]
    if not len(known):
        return np.empty(0, dtype=np.float32)
    levels = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1], method="higher"))
    return np.asarray(levels[levels > known.min()], dtype=np.float32)


def _grow(
    nodes: list[dict[str, Any]],
    codes: NDArray[np.int64],
    cuts: list[NDArray[np.float32]],
    truth: Numbers,
    depth: int,
    value_of: ValueOf,
) -> int:
    """Append the tree of these rows to `nodes`; returns the place of its root."""
    place = len(nodes)
    node: dict[str, Any] = {"value": value_of(truth)}
    nodes.append(node)
    best = _best_cut(codes, cuts, truth) if depth else None
    if best is not None:
        column, cut = best
        left = codes[:, column] <= cut
        node |= {"column": column, "below": float(cuts[column][cut])}
        node["left"] = _grow(nodes, codes[left], cuts, truth[left], depth - 1, value_of)
        node["right"] = _grow(nodes, codes[~left], cuts, truth[~left], depth - 1, value_of)
    return place


def _best_cut(codes: NDArray[np.int64], cuts: list[NDArray[np.float32]], truth: Numbers) -> tuple[int, int] | None:
    """The column and cut that lower the squared error of all outputs most, where both sides keep enough rows."""
    best: tuple[float, int, int] | None = None
    total, rows = truth.sum(axis=0), len(truth)
    base = float((total**2).sum()) / rows
    for column, cut in enumerate(cuts):
        counts = np.cumsum(np.bincount(codes[:, column], minlength=len(cut) + 1))[:-1]
        allowed = (counts >= _MIN_LEAF) & (rows - counts >= _MIN_LEAF)
        if not allowed.any():
            continue
        gains = np.where(allowed, 0.0, -np.inf)
        for place in range(truth.shape[1]):
            sums = np.cumsum(np.bincount(codes[:, column], weights=truth[:, place], minlength=len(cut) + 1))[:-1]
            parts = sums**2 / np.maximum(counts, 1) + (total[place] - sums) ** 2 / np.maximum(rows - counts, 1)
            gains += np.where(allowed, parts, 0.0)
        highest = int(np.argmax(gains))
        if best is None or gains[highest] > best[0]:
            best = (float(gains[highest]), column, highest)
    if best is None or best[0] <= base * (1 + 1e-12):
        return None
    return best[1], best[2]
