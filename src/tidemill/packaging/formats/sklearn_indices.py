"""Trees whose nodes point into themselves: scikit-learn follows these indices without looking where they lead.

A tree that was changed by hand can read any memory of the process, or walk in a circle. Trees that scikit-learn has
grown point forwards only, at nodes that are there and at features that the rows have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors import KDTree
from sklearn.tree._tree import Tree

from tidemill.core.errors import UnsafeModelError

Indices = NDArray[Any]
#: Ensembles that look at the width of the rows once, and hand them to every tree.
_TAKES_ITS_OWN_ROWS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)


def check_indices(estimator: Any) -> None:
    """Refuse an estimator with an index that leads out of its arrays.

    Raises
    ------
    UnsafeModelError
        It says which kind of tree, and what is wrong with it.
    """
    for owner in _objects(estimator):
        problem = ""
        if isinstance(owner, Tree):
            problem = _tree(owner)
        elif isinstance(owner, KDTree):
            problem = _kd_tree(owner)
        elif isinstance(getattr(owner, "tree_", None), Tree):
            problem = _same_features(owner, [owner.tree_.n_features])
        elif "_predictors" in getattr(owner, "__dict__", {}):
            problem = _predictors(owner)
        elif isinstance(owner, _TAKES_ITS_OWN_ROWS):
            # One that was not fitted may be what the members of another are made from.
            problem = _same_features(owner, [one.tree_.n_features for one in _flat(getattr(owner, "estimators_", []))])
        elif isinstance(owner, IsolationForest):
            problem = _own_columns(owner)
        if problem:
            raise UnsafeModelError(
                f"the {type(owner).__name__} in the estimator was not grown by scikit-learn: {problem}",
                hint="The file was damaged or made by hand: package the model again from where it was trained.",
            )


def _tree(tree: Any) -> str:
    if tree.node_count < 1:  # more than there are, scikit-learn counts down itself
        return f"it counts {tree.node_count} nodes"
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    if problem := _forwards(left, right, left != -1):
        return problem
    if ((left == -1) != (right == -1)).any():
        return "a node has one child"
    used = feature[left != -1]
    return "a node asks for a feature that is not there" if _outside(used, tree.n_features) else ""


def _predictors(owner: Any) -> str:
    for predictor in _flat(vars(owner)["_predictors"]):
        if not isinstance(predictor, TreePredictor):
            return "it holds something else than trees"
        nodes = predictor.nodes
        names = ("left", "right", "feature_idx", "is_leaf", "is_categorical", "bitset_idx")
        if getattr(nodes, "dtype", None) is None or any(name not in (nodes.dtype.names or ()) for name in names):
            return "its nodes are no nodes"
        if not len(nodes):
            return "a tree has no nodes"
        inner = nodes["is_leaf"] == 0
        if problem := _forwards(nodes["left"], nodes["right"], inner):
            return problem
        if _outside(nodes["feature_idx"][inner], int(owner.n_features_in_)):
            return "a node asks for a feature that is not there"
        categorical = inner & (nodes["is_categorical"] != 0)
        sets = (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets)
        if any(one.ndim != 2 or one.shape[1] != 8 for one in sets):
            return "its sets of categories have another shape"
        if any(_outside(nodes["bitset_idx"][categorical], len(one)) for one in sets):
            return "a node asks for a set of categories that is not there"
    return ""


def _kd_tree(tree: Any) -> str:
    data, order, nodes, bounds, leaf_size, levels, count, *_ = tree.__getstate__()
    rows = len(data)
    if leaf_size < 1 or not 1 <= levels < 60 or count != 2**levels - 1 or len(nodes) != count:
        return "its levels and nodes do not agree"
    if np.shape(bounds)[1:] != (count, np.shape(data)[1]) or len(order) != rows:
        return "its arrays do not agree"
    if _outside(np.asarray(order), rows):
        return "it points at rows that are not there"
    start, end = np.asarray(nodes["idx_start"]), np.asarray(nodes["idx_end"])
    return "a node has rows that are not there" if ((start < 0) | (start > end) | (end > rows)).any() else ""


def _forwards(left: Indices, right: Indices, inner: Indices) -> str:
    """Children come after their parent and are there: so every walk ends, at a leaf."""
    place = np.arange(len(left))[inner]
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if (children <= place).any():
            return "a node leads back"
        if (children >= len(left)).any():
            return "a node leads to one that is not there"
    return ""


def _same_features(owner: Any, counts: list[int]) -> str:
    width = getattr(owner, "n_features_in_", None)
    wrong = [count for count in counts if count != width]
    return f"it takes rows of {width} features, and a tree in it of {wrong[0]}" if wrong else ""


def _own_columns(owner: Any) -> str:
    """Each tree is handed as many columns as it takes."""
    told = [len(columns) for columns in getattr(owner, "estimators_features_", ())]
    taken = [one.tree_.n_features for one in getattr(owner, "estimators_", ())]
    drawn = {getattr(owner, "_max_features", 0)} if taken else set()
    return "" if told == taken and set(taken) == drawn else "a tree takes other columns than it is handed"


def _outside(indices: Indices, size: int) -> bool:
    wide = np.asarray(indices).astype(np.int64)
    return bool(((wide < 0) | (wide >= size)).any())


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for item in value.ravel():
            yield from _flat(item)
    else:
        yield value


def _objects(root: Any) -> Iterator[Any]:
    """The estimator and everything in it, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or item is None or isinstance(item, str | bytes | int | float | np.generic | type):
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set):
            waiting.extend(item)
        elif isinstance(item, np.ndarray):
            if item.dtype == object:
                waiting.extend(item.ravel().tolist())
        else:
            yield item
            waiting.extend(getattr(item, "__dict__", {}).values())
