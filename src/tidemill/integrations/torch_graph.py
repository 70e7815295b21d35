"""PyTorch models as a graph of core operators in JSON and weights in safetensors: read without anybody's code.

``torch.export`` writes the graph of a module down. Its own files are not used: reading one evaluates expressions of the
file and falls back to pickle. Here a file names operators of PyTorch's core set, which compute on tensors and do no
more, and anything beside them is refused.
"""

from __future__ import annotations

import json
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import MissingExtraError, ModelError, UnsafeModelError
from tidemill.core.tasks import TASKS, Task

try:
    import safetensors.torch
    import torch
except ImportError as error:
    raise MissingExtraError(str(error.name), "torch", purpose="a model of PyTorch") from error

GRAPH, WEIGHTS = "model.graph.json", "model.safetensors"
FORMAT = 1
#: Beside the core operators: the number of rows, and what is reckoned with it.
_PLAIN: Mapping[str, Callable[..., Any]] = {
    "getitem": operator.getitem,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
}
_SIZES = ("aten.sym_size.int", "aten.sym_numel.default")
#: Checks of the export itself, without a result that anything uses.
_CHECKS = (
    "aten._assert_scalar.default",
    "aten._assert_tensor_metadata.default",
    "aten.sym_constrain_range_for_size.default",
)
#: Rows at a time, so that a large table needs little memory.
_ROWS = 16_384


class Graph(torch.nn.Module):  # type: ignore[misc]  # without PyTorch it is Any
    """A model that was read: it does what its nodes say, in order.

    Parameters
    ----------
    outline
        The nodes, as in the file.
    weights
        Tensors by the names that the nodes use.
    """

    def __init__(self, outline: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.outline = outline
        self.weights = dict(weights)
        self._calls = [
            (node["name"], _operator(node["call"]), node["args"], node["kwargs"]) for node in outline["nodes"]
        ]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities or values, [rows, outputs]."""
        values: dict[str, Any] = {**self.weights, self.outline["input"]: rows}
        for name, call, args, kwargs in self._calls:
            values[name] = call(
                *(_value(item, values) for item in args), **{key: _value(item, values) for key, item in kwargs.items()}
            )
        answer: torch.Tensor = values[self.outline["output"]]
        return answer


def save(estimator: Any) -> dict[str, bytes]:
    """The graph and the weights; equal models have equal bytes.

    Raises
    ------
    ModelError
        When the module decides by the values of its rows in Python, so that no graph is all of it.
    """
    graph = estimator if isinstance(estimator, Graph) else graph_of(estimator)
    text = json.dumps(graph.outline, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {GRAPH: text.encode(), WEIGHTS: safetensors.torch.save(graph.weights)}


def load(files: Mapping[str, bytes]) -> Any:
    """A `Graph`."""
    if set(files) != {GRAPH, WEIGHTS}:
        raise UnsafeModelError(
            f"expected the files {GRAPH!r} and {WEIGHTS!r}", value=sorted(files), hint="Package the model again."
        )
    try:
        outline = json.loads(files[GRAPH])
        if outline["format"] != FORMAT:
            raise UnsafeModelError(
                "a graph of a format that this Tidemill does not read",
                value=outline["format"],
                hint="Upgrade Tidemill.",
            )
        return Graph(outline, safetensors.torch.load(files[WEIGHTS])).eval()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        raise UnsafeModelError(f"this is not a graph of a PyTorch model: {error}", hint="Package it again.") from error


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, outputs]; one thread."""
    rows = torch.from_numpy(np.ascontiguousarray(matrix))
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            parts = [estimator(part).numpy() for part in rows.split(_ROWS)]
    finally:
        torch.set_num_threads(count)
    answer = np.concatenate(parts).astype(np.float64)
    return answer[:, 0] if TASKS[task].scores == "one" else answer


def graph_of(module: torch.nn.Module) -> Graph:
    """Write down what a module does with any number of rows."""
    example = torch.zeros(3, int(module.width))  # a Net was fitted on so many columns
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's about its own parts
            program = torch.export.export(
                module.eval(), (example,), dynamic_shapes=dynamic, strict=False
            ).run_decompositions()
    except Exception as error:  # what torch.export raises shares no base but Exception
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"torch.export cannot write the module down: {said}",
            hint="Let forward() compute with tensors only: torch.where instead of an if on values, no loop over rows.",
        ) from error
    kept = {**program.state_dict, **program.constants}
    inputs = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target is not None}
    weights = {name: kept[target].detach().clone().contiguous() for name, target in inputs.items()}
    (entry,) = program.graph_signature.user_inputs
    (answer,) = program.graph_signature.user_outputs
    nodes = [
        _node(node) for node in program.graph.nodes if node.op == "call_function" and str(node.target) not in _CHECKS
    ]
    return Graph({"format": FORMAT, "input": entry, "output": answer, "nodes": nodes}, weights)


def _node(node: Any) -> dict[str, Any]:
    target = str(node.target) if isinstance(node.target, torch._ops.OpOverload) else node.target.__name__  # noqa: SLF001
    return {
        "name": node.name,
        "call": target,
        "args": [_written(item) for item in node.args],
        "kwargs": {name: _written(item) for name, item in node.kwargs.items()},
    }


def _written(item: Any) -> Any:
    if item is None or isinstance(item, bool | int | str):
        return item
    if isinstance(item, float):  # JSON has no infinities
        return {"float": item.hex()}
    if isinstance(item, torch.fx.Node):
        return {"node": item.name}
    if isinstance(item, list | tuple):
        return [_written(part) for part in item]
    for kind in ("dtype", "device", "layout", "memory_format"):
        if isinstance(item, getattr(torch, kind)):
            return {kind: "cpu" if kind == "device" else str(item).removeprefix("torch.")}
    raise ModelError("the graph of a module holds what cannot be written", value=item, hint="Simplify its forward().")


def _value(item: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(item, list):
        return [_value(part, values) for part in item]
    if not isinstance(item, dict):
        return item
    ((kind, content),) = item.items()
    if kind == "node":
        return values[content]
    if kind == "float":
        return float.fromhex(content)
    if kind == "device":
        return torch.device("cpu")
    found = getattr(torch, content)
    if kind not in ("dtype", "layout", "memory_format") or not isinstance(found, getattr(torch, kind)):
        raise UnsafeModelError("a graph holds a value of a strange kind", value=item, hint="Package the model again.")
    return found


def _operator(name: str) -> Callable[..., Any]:
    """An operator of the core set by its name; nothing else can be named."""
    if name in _PLAIN:
        return _PLAIN[name]
    space, _, rest = name.partition(".")
    packet, _, overload = rest.partition(".")
    if space == "aten" and packet.isidentifier() and overload.isidentifier():
        found = getattr(getattr(torch.ops.aten, packet, None), overload, None)
        if isinstance(found, torch._ops.OpOverload) and (name in _SIZES or torch.Tag.core in found.tags):  # noqa: SLF001
            core: Callable[..., Any] = found
            return core
    raise UnsafeModelError(
        "a graph names what is not one of PyTorch's core operators",
        value=name,
        hint="Only operators that compute on tensors are read; use those in forward().",
    )
