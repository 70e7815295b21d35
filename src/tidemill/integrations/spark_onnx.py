"""Pipelines of Spark ML as ONNX: linear models after scales, and trees, forests and boosted trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tidemill.core.errors import ModelError
from tidemill.packaging.onnx_trees import TreeTable, ensemble_graph

_LINKS = {"identity": "Identity", "sigmoid": "Sigmoid"}


def to_onnx(estimator: Any, features: int) -> bytes:
    """A model from ``rows`` [n, features] float32 to ``output``; `ModelError` for scales before trees."""
    *before, last = estimator.content["stages"]
    if last["kind"] == "trees" and not before:
        return _trees(last, features)
    if last["kind"] == "linear" and all(stage["kind"] == "scale" for stage in before):
        return _linear(before, last, features)
    raise ModelError(
        "scales before trees have no exact ONNX form",
        hint="Leave the scaler out: trees do not need it. It is served natively.",
    )


def _trees(stage: Mapping[str, Any], features: int) -> bytes:
    table = TreeTable()
    targets = max(len(value) for tree in stage["trees"] for value in tree["value"])
    for index, tree in enumerate(stage["trees"]):
        table.start_tree()
        for node, value in enumerate(tree["value"]):
            if value:
                table.leaf(index, dict(enumerate(value)))
                continue
            # A missing value is not at most the threshold, so it goes to the right.
            place = table.add(index, tree["feature"][node], "BRANCH_LEQ", tree["threshold"][node], missing=False)
            table.true[place], table.false[place] = tree["left"][node], tree["right"][node]
    return ensemble_graph(table, targets=targets, features=features, link=stage["link"])


def _linear(scales: Sequence[Mapping[str, Any]], stage: Mapping[str, Any], features: int) -> bytes:
    """One product: scales are folded into the weights, in float64."""
    weights, intercepts = np.array(stage["weights"]), np.array(stage["intercepts"])
    for scale in reversed(scales):
        intercepts = intercepts - weights @ (np.array(scale["factor"]) * np.array(scale["mean"]))
        weights = weights * np.array(scale["factor"])
    outputs = len(weights)
    link = helper.make_node("Softmax", ["raw"], ["output"], axis=1) if stage["link"] == "softmax" else None
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["rows", "weights", "intercepts"], ["raw"], transB=1),
            link or helper.make_node(_LINKS[stage["link"]], ["raw"], ["output"]),
        ],
        "tidemill",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, outputs])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [outputs, features], weights.ravel().tolist()),
            helper.make_tensor("intercepts", TensorProto.FLOAT, [outputs], intercepts.tolist()),
        ],
    )
    opsets = [helper.make_opsetid("", 15)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="tidemill", ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
