"""The Open Inference Protocol v2 over REST: health, metadata and inference with JSON tensors, one per column."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from tidemill.core.errors import InvalidRequestError, NotFoundError
from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.core.tasks import TASKS
from tidemill.serving.endpoint import Endpoint, score
from tidemill.serving.wire import Refusal, parse, read_body

Find = Callable[[str], Endpoint]

_VERSION = importlib.metadata.version("tidemill")

_DATATYPES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "float32": "FP32", "float64": "FP64",
}  # fmt: skip


async def route(
    find: Find,
    parts: Sequence[str],
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    limit: int,
) -> tuple[int, bytes]:
    """Answer a request under ``/v2``.

    Parameters
    ----------
    find
        The endpoint of a name, or a refusal.
    parts
        The path after ``/v2``, split.
    scope, receive, limit
        The ASGI request and the largest body.
    """
    match list(parts):
        case []:
            return 200, orjson.dumps({"name": "tidemill", "version": _VERSION, "extensions": []})
        case ["health", "live" | "ready" as probe]:
            return 200, orjson.dumps({probe: True})
        case ["models", name, *rest]:
            endpoint = find(name)
            if rest[:1] == ["versions"] and len(rest) >= 2:
                _require_version(endpoint, rest[1])
                rest = rest[2:]
            return await _model(endpoint, rest, scope, receive, limit)
    raise Refusal(404, NotFoundError("the Open Inference Protocol has no such path", value=scope["path"]))


async def _model(
    endpoint: Endpoint,
    rest: list[str],
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    limit: int,
) -> tuple[int, bytes]:
    method = scope["method"]
    if rest == [] and method == "GET":
        return 200, orjson.dumps(metadata(endpoint))
    if rest == ["ready"] and method == "GET":
        return 200, orjson.dumps({"name": endpoint.name, "ready": True})
    if rest == ["infer"] and method == "POST":
        client = scope.get("client") or ("",)
        return 200, await _infer(endpoint, parse(await read_body(scope, receive, limit)), client[0])
    raise Refusal(404, NotFoundError("the Open Inference Protocol has no such path", value=scope["path"]))


def metadata(endpoint: Endpoint) -> dict[str, Any]:
    """Name, versions and tensors of a model."""
    signature = endpoint.predictor.signature
    version = endpoint.predictor.version
    return {
        "name": endpoint.name,
        "versions": [] if version is None else [str(version)],
        "platform": f"tidemill_{endpoint.predictor.manifest['framework']}",
        "inputs": [{"name": c.name, "datatype": _datatype(c), "shape": [-1]} for c in signature.inputs],
        "outputs": outputs_of(signature),
    }


def outputs_of(signature: Signature) -> list[dict[str, Any]]:
    """The tensors of an answer: the decision or the value, and what it rests on.

    >>> from tidemill.core.schema import TableSchema
    >>> for output in outputs_of(Signature(TableSchema(()), "quantile", "delay", ("0.1", "0.9"))):
    ...     print(output)
    {'name': 'delay', 'datatype': 'FP64', 'shape': [-1]}
    {'name': 'quantiles', 'datatype': 'FP64', 'shape': [-1, 2], 'parameters': {'columns': ['0.1', '0.9']}}
    """
    kind, many = TASKS[signature.task], len(signature.classes)
    decided = kind.classifies or kind.decides
    outputs: list[dict[str, Any]] = [
        {"name": signature.target, "datatype": "BYTES" if decided else "FP64", "shape": [-1]}
    ]
    if signature.task in {"binary", "multiclass"}:
        outputs.append({"name": "probability", "datatype": "FP64", "shape": [-1]})
    elif signature.task == "anomaly":
        outputs.append({"name": "score", "datatype": "FP64", "shape": [-1]})
    elif kind.scores != "one":
        name = "quantiles" if signature.task == "quantile" else "probabilities"
        columns = {"columns": list(signature.classes)}
        outputs.append({"name": name, "datatype": "FP64", "shape": [-1, many], "parameters": columns})
    return outputs


def _datatype(column: Column) -> str:
    return "BYTES" if column.categories is not None else _DATATYPES.get(column.type, "BYTES")


def _require_version(endpoint: Endpoint, version: str) -> None:
    served = endpoint.predictor.version
    if version != str(served):
        error = NotFoundError(
            f"this version of {endpoint.name!r} is not served", value=version, hint=f"Served: {served}."
        )
        raise Refusal(404, error)


async def _infer(endpoint: Endpoint, request: Mapping[str, Any], client: str) -> bytes:
    rows = _rows(request.get("inputs"))
    answered = await score(endpoint, rows, client=client)
    if answered.answer.problems:  # the protocol has no place for the error of a single row
        raise answered.answer.problems[0].to_error()
    predictions = answered.answer.predictions
    tensors = []
    for output in metadata(endpoint)["outputs"]:
        data = [prediction[output["name"]] for prediction in predictions]
        shape = [len(data), *output["shape"][1:]]
        if len(shape) == 2:
            data = [number for told in data for number in told.values()]
        elif output["datatype"] == "BYTES":
            data = [_text(value) for value in data]
        tensors.append({**output, "shape": shape, "data": data})
    version = endpoint.predictor.version
    body = {
        "model_name": endpoint.name,
        "model_version": "" if version is None else str(version),
        "id": request.get("id") or answered.request_id,
        "parameters": {"request_id": answered.request_id},
        "outputs": tensors,
    }
    return orjson.dumps(body)


def _text(value: Any) -> str:
    """A decision as text; of several labels a JSON list."""
    if isinstance(value, list):
        return orjson.dumps(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rows(inputs: Any) -> list[dict[str, Any]]:
    """Tensors by column as rows."""
    if not isinstance(inputs, list) or not inputs:
        raise InvalidRequestError("the request has no inputs", value=inputs, hint="Send one tensor per column.")
    columns: dict[str, list[Any]] = {}
    for tensor in inputs:
        data = tensor.get("data") if isinstance(tensor, dict) else None
        if not isinstance(data, list) or not isinstance(tensor.get("name"), str):
            raise InvalidRequestError("an input is not a tensor with a name and data", value=tensor)
        while data and isinstance(data[0], list) and len(data[0]) == 1:
            data = [item[0] if isinstance(item, list) and item else None for item in data]
        columns[tensor["name"]] = data
    lengths = {name: len(data) for name, data in columns.items()}
    if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
        raise InvalidRequestError("the tensors have different lengths, or none", value=lengths)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
