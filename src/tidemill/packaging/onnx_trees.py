"""Tree ensembles as ONNX graphs that decide every split as the native library does.

A library compares float64 thresholds; an ONNX runtime compares float32 ones. For a float32 value ``x`` and a float64
threshold ``t``, ``x <= t`` holds exactly when ``x <= t32``, where ``t32`` is the largest float32 that is not above
``t``. Thresholds are therefore rounded toward minus infinity, and no row can take another branch than it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tidemill.core.errors import ModelError

_OPSET = 15
_ML_OPSET = 3
_IR_VERSION = 8
_LIGHTGBM_ZERO = float(np.float32(1e-35))


def float32_at_most(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold.

    >>> t = float32_at_most(np.array([0.1, 0.5]))
    >>> (t.astype("float64") <= [0.1, 0.5]).all()
    np.True_
    """
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded


@dataclass(slots=True)
class TreeTable:
    """The nodes of an ensemble, one list entry per node, filled by a library's walker.

    `mode` is an ONNX node mode, `missing` whether a missing value takes the true branch; leaves have `target` and
    `weight` in lists of their own.
    """

    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    true: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    _count: int = 0

    def start_tree(self) -> None:
        """Node numbers begin at zero again."""
        self._count = 0

    def add(self, tree: int, feature: int, mode: str, threshold: float, *, missing: bool) -> int:
        """A node whose branches are set later; returns its place in the lists."""
        self.tree.append(tree)
        self.node.append(self._count)
        self.feature.append(feature)
        self.mode.append(mode)
        self.threshold.append(threshold)
        self.true.append(0)
        self.false.append(0)
        self.missing.append(int(missing))
        self._count += 1
        return len(self.node) - 1

    def leaf(self, tree: int, weights: Mapping[int, float]) -> int:
        """A leaf that adds a weight to each of some targets; returns its place in the lists."""
        place = self.add(tree, 0, "LEAF", 0.0, missing=False)
        for target, weight in weights.items():
            self.leaf_tree.append(tree)
            self.leaf_node.append(self.node[place])
            self.target.append(target)
            self.weight.append(weight)
        return place


def ensemble_graph(
    table: TreeTable, *, targets: int, features: int, link: str, base: tuple[float, ...] = (), scale: float = 1.0
) -> bytes:
    """The ONNX model of an ensemble whose raw scores, times `scale`, go through `link`.

    Parameters
    ----------
    table
        All nodes.
    targets, features
        Columns of the output and of the input.
    link
        ``identity``, ``sigmoid``, ``softmax`` or ``exp``.
    base
        Added to the raw scores, one per target.

    Returns
    -------
    bytes
        A model with the float32 input ``rows`` [n, features] and the float32 output ``output`` [n, targets].
    """
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["rows"],
        ["raw"],
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=list(base) or None,
        nodes_treeids=table.tree,
        nodes_nodeids=table.node,
        nodes_featureids=table.feature,
        nodes_modes=table.mode,
        nodes_values=float32_at_most(np.array(table.threshold, dtype=np.float64)).tolist(),
        nodes_truenodeids=table.true,
        nodes_falsenodeids=table.false,
        nodes_missing_value_tracks_true=table.missing,
        target_treeids=table.leaf_tree,
        target_nodeids=table.leaf_node,
        target_ids=table.target,
        target_weights=np.array(table.weight, dtype=np.float32).tolist(),
    )
    nodes, initialisers, last = [trees], [], "raw"
    if scale != 1.0:
        initialisers.append(helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale]))
        nodes.append(helper.make_node("Mul", ["raw", "scale"], ["scaled"]))
        last = "scaled"
    operator = {"identity": "Identity", "sigmoid": "Sigmoid", "softmax": "Softmax", "exp": "Exp"}[link]
    nodes.append(helper.make_node(operator, [last], ["output"]))
    graph = helper.make_graph(
        nodes,
        "tidemill",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, targets])],
        initialisers,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="tidemill", ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def lightgbm_to_onnx(booster: Any) -> bytes:
    """The ONNX model of a LightGBM booster.

    Raises
    ------
    ModelError
        For linear trees, ``zero_as_missing`` splits and objectives whose answer this writer does not know.
    """
    dump = booster.dump_model()
    targets = int(dump["num_tree_per_iteration"])
    link, scale = _lightgbm_link(str(dump["objective"]))
    if dump.get("average_output"):
        scale /= max(len(dump["tree_info"]) // targets, 1)
    table = TreeTable()
    for index, tree in enumerate(dump["tree_info"]):
        table.start_tree()
        _add_lightgbm(table, tree["tree_structure"], index, index % targets)
    features = int(dump["max_feature_idx"]) + 1
    return ensemble_graph(table, targets=targets, features=features, link=link, scale=scale)


def _lightgbm_link(objective: str) -> tuple[str, float]:
    name, *options = objective.split()
    if "sqrt" in options:
        raise ModelError("reg_sqrt has no ONNX form here", value=objective, hint="Train without reg_sqrt.")
    sigmoid = next((float(option[8:]) for option in options if option.startswith("sigmoid:")), 1.0)
    links = {
        "binary": ("sigmoid", sigmoid),
        "cross_entropy": ("sigmoid", 1.0),
        "multiclassova": ("sigmoid", sigmoid),
        "multiclass": ("softmax", 1.0),
        **dict.fromkeys(("poisson", "gamma", "tweedie"), ("exp", 1.0)),
        **dict.fromkeys(
            ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank"), ("identity", 1.0)
        ),
    }
    if name not in links:
        raise ModelError(
            "a LightGBM objective has no ONNX form here", value=objective, hint=f"Known: {', '.join(links)}."
        )
    return links[name]


def _add_lightgbm(table: TreeTable, root: Mapping[str, Any], tree: int, target: int) -> int:
    """Add a tree and return the node number of its root; a loop, since trees can be deeper than the stack."""
    pending: list[tuple[Mapping[str, Any], list[tuple[list[int], int]]]] = [(root, [])]
    first = len(table.node)
    while pending:
        raw, parents = pending.pop()
        if "leaf_value" in raw:
            if "leaf_const" in raw:
                raise ModelError("linear trees have no ONNX form here", hint="Train with linear_tree=False.")
            place = table.leaf(tree, {target: float(raw["leaf_value"])})
            _link(parents, table.node[place])
            continue
        chain = _lightgbm_split(table, raw, tree)
        _link(parents, table.node[chain[0]])
        for place, following in pairwise(chain):
            table.false[place] = table.node[following]
        pending.append((raw["right_child"], [(table.false, chain[-1])]))
        pending.append((raw["left_child"], [(table.true, place) for place in chain]))
    return table.node[first]


def _link(parents: list[tuple[list[int], int]], node: int) -> None:
    for branch, place in parents:
        branch[place] = node


def _lightgbm_split(table: TreeTable, raw: Mapping[str, Any], tree: int) -> list[int]:
    """The nodes of one split: one comparison, or a chain of equalities for a set of categories."""
    feature, kind = int(raw["split_feature"]), raw["missing_type"]
    if raw["decision_type"] == "==":
        values = [float(value) for value in str(raw["threshold"]).split("||")]
        return [table.add(tree, feature, "BRANCH_EQ", value, missing=False) for value in values]
    threshold = float(raw["threshold"])
    if kind == "Zero":
        raise ModelError(
            "splits that treat zero as missing have no ONNX form here", hint="Train with zero_as_missing=False."
        )
    if abs(threshold) <= _LIGHTGBM_ZERO:  # LightGBM predicts with such small values read as zero
        threshold = _LIGHTGBM_ZERO if threshold >= 0 else float(np.nextafter(-_LIGHTGBM_ZERO, -1.0))
    # Without missing values in training LightGBM reads a missing one as zero.
    missing = bool(raw["default_left"]) if kind == "NaN" else threshold >= 0.0
    return [table.add(tree, feature, "BRANCH_LEQ", threshold, missing=missing)]
