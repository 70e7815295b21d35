"""A model of several estimators as one ONNX graph: their graphs side by side, sorted where answers must rise."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from tidemill.core.errors import ModelError
from tidemill.packaging.formats import onnx_writer
from tidemill.training.frameworks import framework_name

_IR_VERSION = 8


def to_onnx(estimator: Any, features: int) -> bytes:
    """The ONNX form; `ModelError` if a member has none."""
    nodes: list[onnx.NodeProto] = []
    initialisers: list[onnx.TensorProto] = []
    opsets: dict[str, int] = {}
    columns = [
        _constant(place, member, nodes, initialisers)
        if isinstance(member, float)
        else _member(place, member, features, nodes, initialisers, opsets)
        for place, member in enumerate(estimator.members)
    ]
    both = helper.make_node("Concat", columns, ["both"], axis=1)
    if estimator.ordered:
        initialisers.append(numpy_helper.from_array(np.array([len(columns)], dtype=np.int64), "many"))
        nodes += [both, helper.make_node("TopK", ["both", "many"], ["output", "order"], largest=0, sorted=1)]
    else:
        nodes += [both, helper.make_node("Identity", ["both"], ["output"])]
    graph = helper.make_graph(
        nodes,
        "tidemill",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, len(columns)])],
        initialisers,
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items())]
    model = helper.make_model(graph, opset_imports=imports, producer_name="tidemill", ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _member(
    place: int, member: Any, features: int, nodes: list[onnx.NodeProto], initialisers: list[onnx.TensorProto],
    opsets: dict[str, int],
) -> str:  # fmt: skip
    """Add a member's graph; the name of its one column: the last, which of probabilities is the positive class's."""
    model = onnx.load_from_string(onnx_writer(framework_name(member)).to_onnx(member, features))
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise ModelError(
                "the members of a model are written in different versions of ONNX", value=domain,
                hint="Use estimators of one library, or serve the model by its native engine.",
            )  # fmt: skip
    prefix = f"member_{place}_"
    graph = compose.add_prefix_graph(model.graph, prefix, rename_inputs=False)
    nodes += graph.node
    initialisers += graph.initializer
    last = f"{prefix}last"
    initialisers.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), last))
    nodes.append(helper.make_node("Gather", [f"{prefix}output", last], [f"{prefix}column"], axis=1))
    return f"{prefix}column"


def _constant(
    place: int, value: float, nodes: list[onnx.NodeProto], initialisers: list[onnx.TensorProto]
) -> str:  # fmt: skip
    """A column of one value: as many rows as there are, none of their cells looked at."""
    prefix = f"member_{place}_"
    initialisers += [
        numpy_helper.from_array(np.array([1], dtype=np.int64), f"{prefix}one"),
        numpy_helper.from_array(np.array([0], dtype=np.int64), f"{prefix}zero"),
    ]
    filled = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
    nodes += [
        helper.make_node("Shape", ["rows"], [f"{prefix}shape"]),
        helper.make_node("Gather", [f"{prefix}shape", f"{prefix}zero"], [f"{prefix}many"], axis=0),
        helper.make_node("Concat", [f"{prefix}many", f"{prefix}one"], [f"{prefix}wanted"], axis=0),
        helper.make_node("ConstantOfShape", [f"{prefix}wanted"], [f"{prefix}column"], value=filled),
    ]
    return f"{prefix}column"
