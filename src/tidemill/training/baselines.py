"""What a model must beat: a constant, a linear model and a small tree, in NumPy, as JSON-able records.

They are fitted on the encoded training rows beside every model and travel in its metadata, so that any later table can
be scored by them too: a comparison on the same rows needs no second model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.tasks import Task
from tidemill.training.frameworks import Matrix, Numbers

#: Baselines learn from at most this many rows, drawn with the seed: enough for what they can express.
MAX_ROWS = 20_000
_TOP_CATEGORIES = 10
_RIDGE = 1.0
_STEPS = 12
_DEPTH = 3
_BINS = 32
_MIN_LEAF = 20


def fit_baselines(
    matrix: Matrix, truth: Numbers, encoding: Sequence[Mapping[str, Any]], task: Task, classes: int = 2, seed: int = 0
) -> tuple[dict[str, Any], ...]:
    """Fit the baselines of a task on encoded training rows.

    Parameters
    ----------
    matrix, truth
        Encoded rows, shape (rows, columns), and targets, shape (rows,).
    encoding
        What the columns of the matrix are.
    task, classes, seed
        The kind of answer, how many classes it has, and the seed of the sample.

    Returns
    -------
    tuple of dict
        JSON-able, each with a ``name``, for `baseline_scores`. Many classes have the constant only.
    """
    constant = _constant(truth, task, classes)
    if task == "multiclass" or len(truth) < 2:
        return (constant,)
    if len(truth) > MAX_ROWS:
        chosen = np.random.default_rng(seed).choice(len(truth), MAX_ROWS, replace=False)
        chosen.sort()
        matrix, truth = matrix[chosen], truth[chosen]
    return (constant, _fit_linear(matrix, truth, encoding, task), _fit_tree(matrix, truth))


def baseline_scores(baseline: Mapping[str, Any], matrix: Matrix) -> Numbers:
    """Predictions of one baseline for encoded rows, in the same form as a model's."""
    if baseline["name"] == "constant":
        value = np.asarray(baseline["value"], dtype=np.float64)
        return np.broadcast_to(value, (len(matrix), *value.shape)).copy()
    if baseline["name"] == "linear":
        design = _design(matrix, baseline["terms"])
        scores = design @ np.asarray(baseline["weights"]) + baseline["intercept"]
        return _logistic(scores) if baseline["logistic"] else scores
    return _tree_scores(baseline, matrix)


def _constant(truth: Numbers, task: Task, classes: int) -> dict[str, Any]:
    if task == "multiclass":
        shares = np.bincount(truth.astype(np.int64), minlength=classes) / max(len(truth), 1)
        return {"name": "constant", "value": shares.tolist()}
    return {"name": "constant", "value": float(truth.mean()) if len(truth) else 0.0}


def _fit_linear(matrix: Matrix, truth: Numbers, encoding: Sequence[Mapping[str, Any]], task: Task) -> dict[str, Any]:
    """Ridge regression, logistic for two classes (iteratively reweighted least squares)."""
    terms = _terms(matrix, encoding)
    design = _design(matrix, terms)
    solve = _logistic_weights if task == "binary" else _ridge_weights
    weights, intercept = solve(design, truth)
    return {
        "name": "linear",
        "logistic": task == "binary",
        "terms": terms,
        "weights": weights.tolist(),
        "intercept": intercept,
    }


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


def _fit_tree(matrix: Matrix, truth: Numbers) -> dict[str, Any]:
    """A regression tree of depth 3 on quantile bins; its leaves are means, which for 0 and 1 are rates."""
    cuts = [_cuts(matrix[:, index]) for index in range(matrix.shape[1])]
    codes = (
        np.stack(
            [np.searchsorted(cut, column, side="right") for cut, column in zip(cuts, matrix.T, strict=True)], axis=1
        )
        if cuts
        else np.zeros((len(matrix), 0), dtype=np.int64)
    )
    nodes: list[dict[str, Any]] = []
    _grow(nodes, codes, cuts, truth, _DEPTH)
    return {"name": "tree", "nodes": nodes}


def _cuts(column: NDArray[np.float32]) -> NDArray[np.float32]:
    known = column[np.isfinite(column)]
    if not len(known):
        return np.empty(0, dtype=np.float32)
    levels = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1], method="higher"))
    return np.asarray(levels[levels > known.min()], dtype=np.float32)


def _grow(
    nodes: list[dict[str, Any]], codes: NDArray[np.int64], cuts: list[NDArray[np.float32]], truth: Numbers, depth: int
) -> int:
    """Append the tree of these rows to `nodes`; returns the place of its root."""
    place = len(nodes)
    node: dict[str, Any] = {"value": float(truth.mean())}
    nodes.append(node)
    best = _best_cut(codes, cuts, truth) if depth else None
    if best is not None:
        column, cut = best
        left = codes[:, column] <= cut
        node |= {"column": column, "below": float(cuts[column][cut])}
        node["left"] = _grow(nodes, codes[left], cuts, truth[left], depth - 1)
        node["right"] = _grow(nodes, codes[~left], cuts, truth[~left], depth - 1)
    return place


def _best_cut(codes: NDArray[np.int64], cuts: list[NDArray[np.float32]], truth: Numbers) -> tuple[int, int] | None:
    """The column and cut that lower the squared error most, if any leaves enough rows on both sides."""
    best: tuple[float, int, int] | None = None
    total, rows = float(truth.sum()), len(truth)
    for column, cut in enumerate(cuts):
        counts = np.cumsum(np.bincount(codes[:, column], minlength=len(cut) + 1))[:-1]
        sums = np.cumsum(np.bincount(codes[:, column], weights=truth, minlength=len(cut) + 1))[:-1]
        allowed = (counts >= _MIN_LEAF) & (rows - counts >= _MIN_LEAF)
        if not allowed.any():
            continue
        gains = np.full(len(cut), -np.inf)
        gains[allowed] = (sums**2)[allowed] / counts[allowed] + ((total - sums) ** 2)[allowed] / (rows - counts)[
            allowed
        ]
        place = int(np.argmax(gains))
        if best is None or gains[place] > best[0]:
            best = (float(gains[place]), column, place)
    if best is None or best[0] <= total**2 / rows * (1 + 1e-12):
        return None
    return best[1], best[2]


def _tree_scores(baseline: Mapping[str, Any], matrix: Matrix) -> Numbers:
    nodes = baseline["nodes"]
    scores = np.empty(len(matrix))
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
