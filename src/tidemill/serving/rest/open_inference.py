"""The Open Inference Protocol v2 over REST: health, metadata, inference with tensors of JSON or of bytes.

The binary extension: with the header ``Inference-Header-Content-Length`` the body is so many bytes of JSON, and after
them the bytes of each input that has ``parameters.binary_data_size``; outputs go back the same way when they are asked
for with ``binary_data`` (or all with ``binary_data_output``).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError, NotFoundError
from tidemill.serving.endpoint import Answered, Endpoint, score
from tidemill.serving.rest import probes
from tidemill.serving.rest.route import Route
from tidemill.serving.rest.wire import Refusal, Request, Response, as_json, parse
from tidemill.serving.site import Site
from tidemill.serving.tensors import (
    Spec,
    Tensor,
    checked,
    chosen,
    from_bytes,
    inputs_of,
    rows_of,
    tensors_of,
    to_bytes,
    warnings_of,
)

VERSION = importlib.metadata.version("tidemill")
EXTENSIONS = ("binary_tensor_data", "model_repository")
_JSON_LENGTH = b"inference-header-content-length"
#: So many digits a length may have; of thousands Python makes no number.
_MOST_DIGITS = 20
_EXPECTED = 'Send {"inputs": [{"name": "…", "datatype": "…", "shape": […], "data": […]}]}.'


async def server(site: Site, request: Request) -> Response:
    """Name, version and extensions of the server."""
    del site, request
    return as_json({"name": "tidemill", "version": VERSION, "extensions": list(EXTENSIONS)})


async def model_metadata(site: Site, request: Request) -> Response:
    """Name, versions and tensors of a model."""
    return as_json(metadata(_endpoint(site, request)))


async def model_ready(site: Site, request: Request) -> Response:
    """Whether a model answers."""
    return as_json({"name": _endpoint(site, request).name, "ready": True})


async def infer(site: Site, request: Request) -> Response:
    """Predict rows that come as tensors."""
    endpoint, started = _endpoint(site, request), clock.elapsed()
    asked, binary = _split(request.header(_JSON_LENGTH), await request.body())
    tensors = _inputs(asked.get("inputs"), binary)
    wanted, as_bytes = _wanted(asked)
    chosen(endpoint.predictor.outputs, wanted)  # before a row is scored
    parameters = asked.get("parameters")
    key = parameters.get("key") if isinstance(parameters, dict) else None
    caller = request.caller(key=key if isinstance(key, str) else None)
    answered = await score(endpoint, rows_of(tensors, endpoint.predictor.columns), caller)
    meters = endpoint.meters(answered.variant)
    if (refusal := refusal_of(answered)) is not None:
        meters.took("infer", refusal.status, clock.elapsed() - started)
        raise refusal
    outputs = chosen(answered.variant.predictor.outputs, wanted)
    response = _response(endpoint, answered, str(asked.get("id") or ""), outputs, as_bytes)
    meters.took("infer", 200, clock.elapsed() - started)
    return response


def refusal_of(answered: Answered) -> Refusal | None:
    """Why there is no answer unless every row has one: the protocol has no place for the error of a single row.

    It is the client's error (400) where a row was refused, the model's (500) where all rows without an answer made it
    fail.
    """
    answer = answered.answer
    if not answer.problems:
        return None
    return Refusal(500 if answer.failures == len(answer.problems) else 400, answer.problems[0].to_error())


def metadata(endpoint: Endpoint) -> dict[str, Any]:
    """Name, versions and tensors of a model."""
    predictor = endpoint.predictor
    return {
        "name": endpoint.name,
        "versions": versions_of(endpoint),
        "platform": f"tidemill_{predictor.manifest['framework']}",
        "inputs": [spec.to_dict() for spec in inputs_of(predictor.signature)],
        "outputs": [spec.to_dict() for spec in predictor.outputs],
    }


def versions_of(endpoint: Endpoint) -> list[str]:
    """The versions that answer under a name, the first variant's first."""
    numbers = [variant.predictor.version for variant in endpoint.traffic.live]
    return list(dict.fromkeys(str(number) for number in numbers if number is not None))


def require_version(endpoint: Endpoint, version: str) -> None:
    """Refuse a version that does not answer under this name.

    Raises
    ------
    NotFoundError
        It says which do.
    """
    served = versions_of(endpoint)
    if version and version not in served:
        shown = ", ".join(served) or "one without a number"
        raise NotFoundError(f"this version of {endpoint.name!r} is not served", value=version, hint=f"Served: {shown}.")


def _endpoint(site: Site, request: Request) -> Endpoint:
    endpoint = site.endpoint(request.given["name"])
    require_version(endpoint, request.given.get("version", ""))
    return endpoint


def _split(json_length: bytes, body: bytes) -> tuple[dict[str, Any], memoryview]:
    """The JSON of a request and the bytes behind it."""
    if not json_length:
        return parse(body, _EXPECTED), memoryview(b"")
    if len(json_length) > _MOST_DIGITS or not json_length.isdigit() or int(json_length) > len(body):
        shown = json_length.decode("latin-1")
        raise InvalidRequestError("Inference-Header-Content-Length is not the length of the JSON", value=shown)
    return parse(body[: int(json_length)], _EXPECTED), memoryview(body)[int(json_length) :]


def _inputs(inputs: Any, binary: memoryview) -> list[Tensor]:
    if not isinstance(inputs, list) or not inputs:
        raise InvalidRequestError("the request has no inputs", value=inputs, hint="Send one tensor per column.")
    tensors = []
    for given in inputs:
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            raise InvalidRequestError("an input is not a tensor with a name and data", value=given)
        name, datatype, shape = given["name"], given.get("datatype"), _shape(given)
        parameters = given.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is not None:
            if not isinstance(size, int) or not 0 <= size <= len(binary) or not isinstance(datatype, str):
                raise InvalidRequestError(f"binary_data_size of tensor {name!r} is not that of its bytes", value=size)
            tensors.append(from_bytes(name, datatype, shape, bytes(binary[:size])))
            binary = binary[size:]
            continue
        data = given.get("data")
        if not isinstance(data, list):
            raise InvalidRequestError("an input is not a tensor with a name and data", value=given)
        flat = _flat(data)
        # The datatype says how bytes are read; JSON has types of its own, so it may be left out, as may the shape.
        tensors.append(checked(name, "BYTES" if datatype is None else str(datatype), shape or (len(flat),), flat))
    if len(binary):
        raise InvalidRequestError("bytes are left that belong to no tensor", value=f"{len(binary)} bytes")
    return tensors


def _shape(given: Mapping[str, Any]) -> tuple[int, ...]:
    shape = given.get("shape", [])
    if not isinstance(shape, list) or not all(isinstance(size, int) and not isinstance(size, bool) for size in shape):
        raise InvalidRequestError(f"the shape of tensor {given['name']!r} is no list of numbers", value=shape)
    return tuple(shape)


def _flat(data: list[Any]) -> list[Any]:
    """Nested rows as one list, as deep as a matrix may be."""
    while data and all(isinstance(item, list) for item in data):
        data = [value for item in data for value in item]
    return data


def _wanted(asked: Mapping[str, Any]) -> tuple[list[str], frozenset[str]]:
    """The outputs that are asked for, all if none are named, and those that go back as bytes (``*`` for all)."""
    parameters = asked.get("parameters")
    every = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    outputs = asked.get("outputs")
    if outputs is None:
        return [], frozenset({"*"} if every else ())
    if not isinstance(outputs, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in outputs
    ):
        raise InvalidRequestError("outputs are no list of names", value=outputs, hint='Send [{"name": "…"}].')
    told = [(one["name"], one.get("parameters") or {}) for one in outputs]
    binary = {name for name, how in told if isinstance(how, dict) and how.get("binary_data", every) is True}
    return [name for name, _ in told], frozenset(binary)


def _response(
    endpoint: Endpoint, answered: Answered, given_id: str, outputs: Sequence[Spec], as_bytes: frozenset[str]
) -> Response:
    told, pieces = [], []
    for spec, tensor in zip(outputs, tensors_of(outputs, answered.answer.predictions), strict=True):
        entry = {**spec.to_dict(), "shape": list(tensor.shape)}
        if tensor.name in as_bytes or "*" in as_bytes:
            pieces.append(to_bytes(tensor.datatype, tensor.values))
            entry["parameters"] = {**entry.get("parameters", {}), "binary_data_size": len(pieces[-1])}
        else:
            entry["data"] = tensor.values
        told.append(entry)
    predictor = answered.variant.predictor
    version, warnings = predictor.version, warnings_of(answered.answer.predictions, predictor.signature.target)
    body = {
        "model_name": endpoint.name,
        "model_version": "" if version is None else str(version),
        "id": given_id or answered.request_id,
        "parameters": {"request_id": answered.request_id} | ({"warnings": warnings} if warnings else {}),
        "outputs": told,
    }
    if not pieces:
        return as_json(body)
    head = orjson.dumps(body)
    headers = ((_JSON_LENGTH, b"%d" % len(head)),)
    return Response(200, head + b"".join(pieces), b"application/octet-stream", headers)


_MODEL, _VERSION = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
ROUTES = (
    Route("GET", "/v2", server, "Name and extensions of the server."),
    Route("GET", "/v2/health/live", probes.live, "Whether the server answers.", is_probe=True),
    Route("GET", "/v2/health/ready", probes.ready, "Whether the server takes requests.", is_probe=True),
    *(
        Route(method, f"{base}{path}", handler, about)
        for base in (_MODEL, _VERSION)
        for method, path, handler, about in (
            ("GET", "", model_metadata, "A model's tensors."),
            ("GET", "/ready", model_ready, "Whether a model answers."),
            ("POST", "/infer", infer, "Predict rows that come as tensors."),
        )
    ),
)
