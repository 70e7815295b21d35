"""A calibration at the end of an ONNX graph, so that the file alone answers as the model does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tidemill.core.errors import ModelError
from tidemill.training.calibration import HIGHEST, LOWEST


def calibrated(data: bytes, calibration: Mapping[str, Any]) -> bytes:
    """The model with its probabilities calibrated; without a calibration as it is.

    Raises
    ------
    ModelError
        When the calibration is of another number of classes than the model's.
    """
    if not calibration:
        return data
    model = onnx.load_from_string(data)
    graph = _Graph(model.graph)
    curves = calibration["curves"]
    columns = [
        (_isotonic if calibration["method"] == "isotonic" else _sigmoid)(graph, graph.column(place, len(curves)), curve)
        for place, curve in enumerate(curves)
    ]
    last = columns[0] if len(columns) == 1 else graph.add("Concat", columns, axis=1)
    if calibration["adds_up"]:
        last = _adding_up(graph, last, len(columns))
    graph.finish(last, len(columns))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def of_both_classes(data: bytes) -> bytes:
    """The model with the probabilities of two classes, where it gives those of the second alone."""
    model = onnx.load_from_string(data)
    graph = _Graph(model.graph, "classes", "second_class")
    second = graph.add("Min", [graph.column(0, 1), graph.number(1.0)])  # a sum of trees may be a little more
    first = graph.add("Sub", [graph.number(1.0), second])
    graph.finish(graph.add("Concat", [first, second], axis=1), 2)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """A graph whose output is taken on, as `taken`; what is added to it is called after `what`."""

    def __init__(self, graph: onnx.GraphProto, what: str = "calibration", taken: str = "raw_probabilities") -> None:
        self._graph = graph
        self._what, self._taken = what, taken
        self._count = 0
        for node in graph.node:
            for index, name in enumerate(node.output):
                if name == "output":
                    node.output[index] = taken

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        """A node; the name of its output."""
        self._count += 1
        name = f"{self._what}_{self._count}"
        self._graph.node.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """A constant; its name."""
        self._count += 1
        name = f"{self._what}_{self._count}"
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def number(self, value: float) -> str:
        """A constant number, as float32."""
        return self.constant(np.array([value], dtype=np.float32))

    def column(self, place: int, many: int) -> str:
        """One column of the probabilities; of one curve the last, which is the positive class's."""
        index = self.constant(np.array([-1 if many == 1 else place], dtype=np.int64))
        return self.add("Gather", [self._taken, index], axis=1)

    def finish(self, last: str, columns: int) -> None:
        """Make a node's output that of the graph."""
        self._graph.node.append(helper.make_node("Identity", [last], ["output"]))
        if len(self._graph.output) != 1:
            raise ModelError("the ONNX form has more than one output", value=[o.name for o in self._graph.output])
        wanted = helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, columns])
        self._graph.output[0].CopyFrom(wanted)


def _sigmoid(graph: _Graph, column: str, curve: Mapping[str, Any]) -> str:
    kept = graph.add("Min", [graph.add("Max", [column, graph.number(LOWEST)]), graph.number(HIGHEST)])
    other = graph.add("Sub", [graph.number(1.0), kept])
    odds = graph.add("Sub", [graph.add("Log", [kept]), graph.add("Log", [other])])
    moved = graph.add("Mul", [odds, graph.number(curve["slope"])])
    return graph.add("Sigmoid", [graph.add("Add", [moved, graph.number(curve["intercept"])])])


def _isotonic(graph: _Graph, column: str, curve: Mapping[str, Any]) -> str:
    """The corner below each score is looked up, and the line to the next one followed."""
    places, values = (np.asarray(curve[axis], dtype=np.float64) for axis in ("x", "y"))
    if len(places) == 1:
        nothing = graph.add("Mul", [column, graph.number(0.0)])
        return graph.add("Add", [nothing, graph.number(float(values[0]))])
    kept = graph.add("Min", [graph.add("Max", [column, graph.number(places[0])]), graph.number(places[-1])])
    inner = graph.constant(places[None, 1:-1].astype(np.float32))
    passed = graph.add("Cast", [graph.add("GreaterOrEqual", [kept, inner])], to=TensorProto.INT64)
    axes = graph.constant(np.array([1], dtype=np.int64))
    corner = graph.add("ReduceSum", [passed, axes], keepdims=1)
    start, base, slope = (
        graph.add("Gather", [graph.constant(table.astype(np.float32)), corner])
        for table in (places[:-1], values[:-1], np.diff(values) / np.diff(places))
    )
    risen = graph.add("Mul", [graph.add("Sub", [kept, start]), slope])
    return graph.add("Add", [base, risen])


def _adding_up(graph: _Graph, both: str, columns: int) -> str:
    """Each row over its sum; where all are 0, equal shares."""
    axes = graph.constant(np.array([1], dtype=np.int64))
    total = graph.add("ReduceSum", [both, axes], keepdims=1)
    some = graph.add("Greater", [total, graph.number(0.0)])
    safe = graph.add("Where", [some, total, graph.number(1.0)])
    return graph.add("Where", [some, graph.add("Div", [both, safe]), graph.number(1.0 / columns)])
