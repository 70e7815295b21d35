"""XGBoost's trees as ONNX: thresholds, missing values and the base score decide as XGBoost does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError
from tidemill.integrations.xgboost import booster_of, missing_of
from tidemill.packaging.onnx_trees import TreeTable, ensemble_graph

_SERVED = "It is served by its native engine."


def _same(value: float) -> float:
    return value


def _logit(value: float) -> float:
    return math.log(value / (1.0 - value))


#: Objective -> link of the answer, and how a base score becomes what is added to the trees.
_OBJECTIVES: Mapping[str, tuple[str, Callable[[float], float]]] = {
    "binary:logistic": ("sigmoid", _logit),
    "reg:logistic": ("sigmoid", _logit),
    "multi:softprob": ("softmax", _same),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), ("exp", math.log)),
    **dict.fromkeys(
        (
            "rank:map",
            "rank:ndcg",
            "rank:pairwise",
            "reg:absoluteerror",
            "reg:pseudohubererror",
            "reg:quantileerror",
            "reg:squarederror",
            "reg:squaredlogerror",
        ),
        ("identity", _same),
    ),
}


def to_onnx(estimator: Any, features: int) -> bytes:
    """The ONNX form of a booster that takes `features` columns.

    Raises
    ------
    ModelError
        For linear boosters, vector leaves, categorical splits, a value other than NaN for what is missing, and
        objectives whose answer this writer does not know.
    """
    booster = booster_of(estimator)
    if not math.isnan(missing_of(booster)):
        raise ModelError("a model for which NaN is not what is missing has no ONNX form here", hint=_SERVED)
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    trained = int(learner["learner_model_param"]["num_feature"])
    if trained != features:
        raise ModelError(
            f"the model takes {trained} features and its encoding makes {features}", hint="Train the model again."
        )
    objective = learner["objective"]["name"]
    if objective not in _OBJECTIVES:
        raise ModelError("an XGBoost objective has no ONNX form here", value=objective, hint=_SERVED)
    link, margin = _OBJECTIVES[objective]
    table, targets = _table(learner["gradient_booster"])
    scores = _base_scores(learner["learner_model_param"]["base_score"])
    base = tuple(margin(score) for score in (scores if len(scores) == targets else scores * targets))
    return ensemble_graph(table, targets=targets, features=features, link=link, base=base)


def _base_scores(written: str) -> list[float]:
    found = json.loads(written)
    return [float(value) for value in (found if isinstance(found, list) else [found])]


def _table(model: Mapping[str, Any]) -> tuple[TreeTable, int]:
    """The nodes of all trees, and how many numbers they answer with."""
    if model["name"] == "gblinear":
        raise ModelError("a linear booster has no ONNX form here", hint=_SERVED)
    trees = model["gbtree"]["model"] if model["name"] == "dart" else model["model"]
    drops: Sequence[float] = model.get("weight_drop") or [1.0] * len(trees["trees"])
    table = TreeTable()
    for index, (tree, target, share) in enumerate(zip(trees["trees"], trees["tree_info"], drops, strict=True)):
        if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
            raise ModelError("trees with a vector in each leaf have no ONNX form here", hint=_SERVED)
        if any(tree["split_type"]):
            raise ModelError("categorical splits of XGBoost have no ONNX form here", hint=_SERVED)
        table.start_tree()
        _add_tree(table, tree, index, int(target), share)
    return table, 1 + max(map(int, trees["tree_info"]), default=0)


def _add_tree(table: TreeTable, tree: Mapping[str, Any], index: int, target: int, share: float) -> None:
    """Add the nodes that can be reached from the root; pruned ones stay in XGBoost's lists."""
    left, right = tree["left_children"], tree["right_children"]
    reached = [0]
    for node in reached:  # grows while it is walked
        if left[node] >= 0:
            reached += [left[node], right[node]]
    number = {node: place for place, node in enumerate(reached)}
    for node in reached:
        value = float(np.float32(tree["split_conditions"][node]))
        if left[node] < 0:
            table.leaf(index, {target: value * share})
            continue
        missing = bool(tree["default_left"][node])
        place = table.add(index, int(tree["split_indices"][node]), "BRANCH_LT", value, missing=missing)
        table.true[place], table.false[place] = number[left[node]], number[right[node]]
