"""Tree ensembles as ONNX graphs that decide every split as the native library does.

A library compares float64 thresholds; an ONNX runtime compares float32 ones. For a float32 value ``x`` and a float64
threshold ``t``, ``x <= t`` holds exactly when ``x <= t32``, where ``t32`` is the largest float32 that is not above
``t``. Thresholds are therefore rounded toward minus infinity, and no row can take another branch than it did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper

_OPSET = 15
_ML_OPSET = 3
_IR_VERSION = 8


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

    def add_all(
        self, tree: int, features: NDArray[Any], modes: list[str], thresholds: NDArray[Any],
        branches: tuple[NDArray[Any], NDArray[Any]], missing: NDArray[Any],
    ) -> None:  # fmt: skip
        """All nodes of a tree that branch; the branches are given, as numbers of nodes."""
        self.tree += [tree] * len(modes)
        self.node += range(self._count, self._count + len(modes))
        self.feature += features.tolist()
        self.mode += modes
        self.threshold += thresholds.tolist()
        self.true += branches[0].tolist()
        self.false += branches[1].tolist()
        self.missing += missing.astype(int).tolist()
        self._count += len(modes)

    def add_leaves(self, tree: int, target: int, weights: NDArray[Any]) -> None:
        """Leaves that each add a weight to one target."""
        first, count = self._count, len(weights)
        none = np.zeros(count, dtype=np.int64)
        self.add_all(tree, none, ["LEAF"] * count, none.astype(np.float64), (none, none), none)
        self.leaf_tree += [tree] * count
        self.leaf_node += range(first, first + count)
        self.target += [target] * count
        self.weight += weights.tolist()

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
    table: TreeTable, *, targets: int, features: int, link: str, base: tuple[float, ...] = (), scale: float = 1.0,
    shift: float = 0.0,
) -> bytes:  # fmt: skip
    """The ONNX model of an ensemble whose raw scores, times `scale`, go through `link`; `shift` is added at the end.

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
    )
    for attribute in _attributes(table):
        trees.attribute.add(**attribute)
    nodes, initialisers, last = [trees], [], "raw"
    if scale != 1.0:
        initialisers.append(helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale]))
        nodes.append(helper.make_node("Mul", ["raw", "scale"], ["scaled"]))
        last = "scaled"
    operator = {"identity": "Identity", "sigmoid": "Sigmoid", "softmax": "Softmax", "exp": "Exp"}[link]
    nodes.append(helper.make_node(operator, [last], ["linked" if shift else "output"]))
    if shift:
        initialisers.append(helper.make_tensor("shift", TensorProto.FLOAT, [1], [shift]))
        nodes.append(helper.make_node("Add", ["linked", "shift"], ["output"]))
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


def _attributes(table: TreeTable) -> Iterator[dict[str, Any]]:
    """The lists of a table as fields; ONNX's own helper looks at each of many thousand entries."""
    for name, whole in (
        ("nodes_treeids", table.tree),
        ("nodes_nodeids", table.node),
        ("nodes_featureids", table.feature),
        ("nodes_truenodeids", table.true),
        ("nodes_falsenodeids", table.false),
        ("nodes_missing_value_tracks_true", table.missing),
        ("target_treeids", table.leaf_tree),
        ("target_nodeids", table.leaf_node),
        ("target_ids", table.target),
    ):
        yield {"name": name, "type": AttributeProto.INTS, "ints": whole}
    values = float32_at_most(np.array(table.threshold, dtype=np.float64)).tolist()
    yield {"name": "nodes_values", "type": AttributeProto.FLOATS, "floats": values}
    weights = np.array(table.weight, dtype=np.float32).tolist()
    yield {"name": "target_weights", "type": AttributeProto.FLOATS, "floats": weights}
    modes = {mode: mode.encode() for mode in set(table.mode)}
    strings = [modes[mode] for mode in table.mode]
    yield {"name": "nodes_modes", "type": AttributeProto.STRINGS, "strings": strings}
