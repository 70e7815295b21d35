"""scikit-learn's trees, forests and histogram boosting as ONNX, missing values included.

The public converter writes no histogram boosting with the current ONNX, and sends missing values down the wrong branch
of trees and forests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError
from tidemill.packaging.onnx_trees import TreeTable, ensemble_graph


def forest_to_onnx(estimator: Any) -> bytes:
    """The ONNX model of a fitted decision tree, random forest or extra trees: the mean over its trees.

    Of several labels it gives the probability that each is there.

    Raises
    ------
    ModelError
        For several numbers a row.
    """
    several = int(getattr(estimator, "n_outputs_", 1)) > 1
    if several and not hasattr(estimator, "classes_"):
        raise ModelError("models of several numbers have no ONNX form here", hint="Train one model per number.")
    trees = list(getattr(estimator, "estimators_", [estimator]))
    classes = [] if not hasattr(estimator, "classes_") else estimator.classes_
    share = 1.0 / len(trees)
    table = TreeTable()
    for index, tree in enumerate(trees):
        table.start_tree()
        values = tree.tree_.value
        weights = partial(_label_weights, values, classes) if several else partial(_weights, values, len(classes))
        _add_tree(table, tree.tree_, index, lambda node, weights=weights: weights(node, share))  # type: ignore[misc]
    targets = len(classes) if several or len(classes) > 2 else 1
    return ensemble_graph(table, targets=targets, features=int(estimator.n_features_in_), link="identity")


def isolation_to_onnx(estimator: Any) -> bytes:
    """The ONNX model of a fitted isolation forest: minus its ``decision_function``: strange rows get more.

    A row is the stranger the fewer splits it takes to set it apart; a leaf in which several training rows are left
    counts as deep as a tree of them would be on average (Liu, Ting and Zhou, 2008). scikit-learn has both by leaf.
    """
    lengths, left = estimator._decision_path_lengths, estimator._average_path_length_per_tree  # noqa: SLF001
    # As scikit-learn has it: 1 for the forest that was fitted on one row, where both are 0.
    whole = len(lengths) * _average_depth(int(estimator._max_samples))  # noqa: SLF001
    table = TreeTable()
    for index, tree in enumerate(estimator.estimators_):
        table.start_tree()
        depths = np.asarray(lengths[index]) + np.asarray(left[index]) - 1.0
        shares = depths / whole if whole else np.full(len(depths), 1.0 / len(lengths))
        weights = (-math.log(2.0) * shares).tolist()
        columns = estimator.estimators_features_[index]
        _add_tree(table, tree.tree_, index, lambda node, weights=weights: {0: weights[node]}, columns)  # type: ignore[misc]
    return ensemble_graph(
        table, targets=1, features=int(estimator.n_features_in_), link="exp", shift=float(estimator.offset_)
    )


def _average_depth(rows: int) -> float:
    """How many splits set a row apart in a tree of so many rows, on average."""
    if rows <= 2:
        return float(max(rows, 1) - 1)
    return 2.0 * (math.log(rows - 1.0) + float(np.euler_gamma)) - 2.0 * (rows - 1.0) / rows


def _add_tree(
    table: TreeTable, tree: Any, index: int, weights: Callable[[int], dict[int, float]], columns: Any = None
) -> None:
    """Add a tree; places are numbered as scikit-learn numbers its nodes, so that child numbers carry over.

    `columns` says which of the matrix the tree's own are, if it does not know all.
    """
    for node in range(tree.node_count):
        if tree.children_left[node] == tree.children_right[node]:
            table.leaf(index, weights(node))
            continue
        feature = int(tree.feature[node]) if columns is None else int(columns[tree.feature[node]])
        missing = bool(tree.missing_go_to_left[node])
        place = table.add(index, feature, "BRANCH_LEQ", float(tree.threshold[node]), missing=missing)
        table.true[place] = int(tree.children_left[node])
        table.false[place] = int(tree.children_right[node])


def _weights(values: Any, classes: int, node: int, share: float) -> dict[int, float]:
    value = values[node, 0]
    if not classes:
        return {0: float(value[0]) * share}
    shares = np.asarray(value, dtype=np.float64) / value.sum()
    if classes == 1:  # a model that saw one class only is always sure
        return {0: share}
    if classes == 2:
        return {0: float(shares[1]) * share}
    return {target: float(part) * share for target, part in enumerate(shares)}


def _label_weights(values: Any, classes: Any, node: int, share: float) -> dict[int, float]:
    """How often each label is there; one of which a single value was seen has that value."""
    found = {}
    for label, known in enumerate(classes):
        value = np.asarray(values[node, label, : len(known)], dtype=np.float64)
        found[label] = (float(value[1] / value.sum()) if len(known) == 2 else float(known[0])) * share
    return found


def histogram_boosting_to_onnx(estimator: Any) -> bytes:
    """The ONNX model of a scikit-learn HistGradientBoosting estimator trained without categorical features.

    Raises
    ------
    ModelError
        For categorical features and losses whose answer this writer does not know.
    """
    if getattr(estimator, "is_categorical_", None) is not None and any(np.atleast_1d(estimator.is_categorical_)):
        raise ModelError(
            "categorical histogram splits have no ONNX form here", hint="Leave categorical_features at its default."
        )
    rounds = estimator._predictors  # noqa: SLF001  scikit-learn offers no public view of its trees
    base = np.atleast_1d(np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel())  # noqa: SLF001
    link = _histogram_link(estimator)
    table, tree = TreeTable(), 0
    for trees in rounds:
        for target, predictor in enumerate(trees):
            table.start_tree()
            _add_histogram(table, predictor.nodes, tree, target)
            tree += 1
    return ensemble_graph(
        table, targets=len(rounds[0]), features=int(estimator.n_features_in_), link=link, base=tuple(base.tolist())
    )


def _histogram_link(estimator: Any) -> str:
    if hasattr(estimator, "classes_"):
        return "sigmoid" if len(estimator.classes_) == 2 else "softmax"
    return "exp" if estimator.loss in ("poisson", "gamma") else "identity"


def _add_histogram(table: TreeTable, nodes: Any, tree: int, target: int) -> None:
    # Places are numbered as scikit-learn numbers its nodes, so that child numbers carry over.
    for node in nodes:
        if node["is_leaf"]:
            table.leaf(tree, {target: float(node["value"])})
            continue
        missing = bool(node["missing_go_to_left"])
        place = table.add(tree, int(node["feature_idx"]), "BRANCH_LEQ", float(node["num_threshold"]), missing=missing)
        table.true[place] = int(node["left"])
        table.false[place] = int(node["right"])
