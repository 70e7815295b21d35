"""Whether a UBJSON model can be read: XGBoost follows its numbers, and ends the process where they lead astray.

A file that was cut or changed by hand makes XGBoost read any memory of the process, walk in a circle or ask for more
memory than there is. What XGBoost writes has lists as long as it tells, and trees whose nodes, features and sets of
categories are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UnsafeModelError
from tidemill.integrations.ubjson import parsed

_AGAIN = "The file was cut, damaged or made by hand: package the model again from where it was trained."
#: XGBoost holds a set of categories as one bit for each up to the largest.
_MOST = 1 << 24
_NO_PARENT = 2**31 - 1
_PER_NODE = (
    "base_weights", "default_left", "left_children", "loss_changes", "parents", "right_children", "split_conditions",
    "split_indices", "split_type", "sum_hessian",
)  # fmt: skip
_WHOLE = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")


def audit(data: bytes) -> None:
    """Refuse what XGBoost would not write.

    Raises
    ------
    UnsafeModelError
        It says what is wrong, and in which tree.
    """
    model = parsed(data)
    try:
        problem = _learner(model["learner"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        problem = f"something is missing or of another kind ({type(error).__name__}: {error})"
    if problem:
        raise UnsafeModelError(f"XGBoost did not write this model: {problem}", hint=_AGAIN)


def _learner(learner: Mapping[str, Any]) -> str:
    told = learner["learner_model_param"]
    features, classes = int(told["num_feature"]), int(told["num_class"])
    answers = max(1, classes, int(told.get("num_target", "1")))
    if not (0 < features < _MOST and 0 <= classes <= answers < _MOST):
        return "it tells of strange numbers of features or answers"
    scores = json.loads(told["base_score"])
    if isinstance(scores, list) and len(scores) not in (1, answers):
        return "it has another number of base scores than of answers"
    objective = learner["objective"]
    if int(objective.get("softmax_multiclass_param", {}).get("num_class", classes)) != classes:
        return "its objective has another number of classes"
    for names in ("feature_names", "feature_types"):
        if len(learner.get(names, ())) not in (0, features):
            return f"it has other {names} than features"
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        return "" if len(booster["model"]["weights"]) == (features + 1) * answers else "it has other weights"
    if booster["name"] == "dart":
        trees = booster["gbtree"]["model"]
        drops = booster["weight_drop"]
        same = len(drops) == len(trees["trees"])
        return _trees(trees, features, answers) if same else "it has other weights of trees"
    return _trees(booster["model"], features, answers) if booster["name"] == "gbtree" else "of an unknown booster"


def _trees(model: Mapping[str, Any], features: int, answers: int) -> str:
    trees = model["trees"]
    count, side = int(model["gbtree_model_param"]["num_trees"]), int(model["gbtree_model_param"]["num_parallel_tree"])
    rounds, groups = np.asarray(model["iteration_indptr"]), np.asarray(model["tree_info"])
    if len(trees) != count or len(groups) != count or side < 1:
        return "it has another number of trees than it tells"
    if count and (groups.dtype.kind not in "iu" or _outside(groups, answers)):
        return "a tree adds to an answer that is not there"
    if rounds.dtype.kind not in "iu" or rounds[0] != 0 or rounds[-1] != count or (np.diff(rounds) < 0).any():
        return "its rounds are not those of its trees"
    if model.get("cats", {}).get("enc"):
        return "it holds categories of a table, which no model of ours does"
    for index, tree in enumerate(trees):
        if problem := _tree(tree, features, answers):
            return f"in tree {index} {problem}"
    return ""


def _tree(tree: Mapping[str, Any], features: int, answers: int) -> str:
    told = tree["tree_param"]
    nodes, vector = int(told["num_nodes"]), int(told.get("size_leaf_vector", "1"))
    if nodes < 1 or vector not in (0, 1, answers) or int(told["num_feature"]) != features:
        return "its size is another than the model's"
    for name in _PER_NODE:
        wide = vector if vector > 1 and name == "base_weights" else 1
        if len(tree[name]) != nodes * wide or (name in _WHOLE and np.asarray(tree[name]).dtype.kind not in "iu"):
            return f"{name} are not one for each node"
    left, right, parents = (
        np.asarray(tree[name], dtype=np.int64) for name in ("left_children", "right_children", "parents")
    )
    kinds = np.asarray(tree["split_type"])
    if problem := _reached(left, right, parents):
        return problem
    inner = left != -1
    if _outside(np.asarray(tree["split_indices"])[inner], features):
        return "a node asks for a feature that is not there"
    if vector > 1 and (
        len(tree["leaf_weights"]) % vector or _outside(right[~inner], len(tree["leaf_weights"]) // vector)
    ):
        return "a leaf has no weights"
    if _outside(kinds, 2):
        return "a node splits in an unknown way"
    return _categories(tree, nodes, np.flatnonzero(kinds == 1))


def _reached(left: NDArray[Any], right: NDArray[Any], parents: NDArray[Any]) -> str:
    """From the root every node is come to once at most, and knows where from."""
    if parents[0] not in (_NO_PARENT, -1):
        return "the root has a parent"
    seen = np.zeros(len(left), dtype=bool)
    seen[0] = True
    level = np.array([0])
    while len(level):
        level = level[left[level] != -1]
        if _outside(np.concatenate([left[level], right[level]]), len(left)):
            return "a node leads to one that is not there"
        below = np.concatenate([left[level], right[level]])
        if seen[below].any() or len(np.unique(below)) != len(below):
            return "a node is come to twice"
        if (parents[below] != np.concatenate([level, level])).any():
            return "a node has another parent"
        seen[below] = True
        level = below
    return ""


def _categories(tree: Mapping[str, Any], nodes: int, split: NDArray[Any]) -> str:
    """Each node that splits by categories has its set of them."""
    owners = np.asarray(tree["categories_nodes"], dtype=np.int64)
    starts, sizes = (np.asarray(tree[f"categories_{part}"], dtype=np.int64) for part in ("segments", "sizes"))
    codes = np.asarray(tree["categories"], dtype=np.int64)
    if not len(owners) == len(starts) == len(sizes) or not np.array_equal(owners, split) or _outside(owners, nodes):
        return "the sets of categories are not those of its nodes"
    if (starts < 0).any() or (sizes < 1).any() or (starts > len(codes)).any() or (sizes > len(codes) - starts).any():
        return "a set of categories is not there"
    return "a category is none" if _outside(codes, _MOST) else ""


def _outside(numbers: NDArray[Any], size: int) -> bool:
    return bool(((numbers < 0) | (numbers >= size)).any())
