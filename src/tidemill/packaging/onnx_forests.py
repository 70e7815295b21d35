"""scikit-learn's trees, forests and histogram boosting as ONNX, missing values included.

The public converter writes no histogram boosting with the current ONNX, and sends missing values down the wrong branch
of trees and forests.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidemill.core.errors import ModelError
from tidemill.packaging.onnx_trees import TreeTable, ensemble_graph


def forest_to_onnx(estimator: Any) -> bytes:
    """The ONNX model of a fitted decision tree, random forest or extra trees: the mean over its trees.

    Raises
    ------
    ModelError
        For several targets.
    """
    if getattr(estimator, "n_outputs_", 1) != 1:
        raise ModelError("models of several targets have no ONNX form here", hint="Train one model per target.")
    trees = list(getattr(estimator, "estimators_", [estimator]))
    classes = len(getattr(estimator, "classes_", ()))
    table = TreeTable()
    for index, tree in enumerate(trees):
        table.start_tree()
        _add_tree(table, tree.tree_, index, classes, share=1.0 / len(trees))
    targets = classes if classes > 2 else 1
    return ensemble_graph(table, targets=targets, features=int(estimator.n_features_in_), link="identity")


def _add_tree(table: TreeTable, tree: Any, index: int, classes: int, *, share: float) -> None:
    """Add a tree; places are numbered as scikit-learn numbers its nodes, so that child numbers carry over."""
    for node in range(tree.node_count):
        if tree.children_left[node] == tree.children_right[node]:
            table.leaf(index, _weights(tree.value[node, 0], classes, share))
            continue
        missing = bool(tree.missing_go_to_left[node])
        place = table.add(index, int(tree.feature[node]), "BRANCH_LEQ", float(tree.threshold[node]), missing=missing)
        table.true[place] = int(tree.children_left[node])
        table.false[place] = int(tree.children_right[node])


def _weights(value: Any, classes: int, share: float) -> dict[int, float]:
    if not classes:
        return {0: float(value[0]) * share}
    shares = np.asarray(value, dtype=np.float64) / value.sum()
    if classes == 1:  # a model that saw one class only is always sure
        return {0: share}
    if classes == 2:
        return {0: float(shares[1]) * share}
    return {target: float(part) * share for target, part in enumerate(shares)}


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
