"""Answers of the Open Inference Protocol over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError
from tidemill.core.ids import new_id
from tidemill.serving.endpoint import Answered, Caller, score
from tidemill.serving.grpc.messages import message
from tidemill.serving.rest.open_inference import EXTENSIONS, VERSION, metadata, refusal_of, require_version
from tidemill.serving.rest.repository_api import entries, load_model
from tidemill.serving.site import Site
from tidemill.serving.tensors import (
    Spec,
    Tensor,
    checked,
    chosen,
    from_bytes,
    rows_of,
    tensors_of,
    to_bytes,
    values_of,
)

InferResponse = message("ModelInferResponse")
_ID, _RAW = (InferResponse.DESCRIPTOR.fields_by_name[name].number for name in ("id", "raw_output_contents"))
_PARAMETERS = InferResponse()
_PARAMETERS.parameters["request_id"].string_param = _SOME_ID = "0" * len(new_id())
#: What stands around a request's id where it is a parameter of the answer.
_BEFORE, _AFTER = _PARAMETERS.SerializeToString().split(_SOME_ID.encode())

#: Datatype to the field of its elements; FP16 and BF16 have none and come as bytes.
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


async def server_live(site: Site, request: Any, caller: Caller) -> Any:
    """Whether the server answers."""
    del site, request, caller
    return message("ServerLiveResponse")(live=True)


async def server_ready(site: Site, request: Any, caller: Caller) -> Any:
    """Whether the server takes requests."""
    del request, caller
    return message("ServerReadyResponse")(ready=site.ready)


async def model_ready(site: Site, request: Any, caller: Caller) -> Any:
    """Whether a model answers."""
    del caller
    require_version(site.endpoint(request.name), request.version)
    return message("ModelReadyResponse")(ready=True)


async def server_metadata(site: Site, request: Any, caller: Caller) -> Any:
    """Name, version and extensions of the server."""
    del site, request, caller
    return message("ServerMetadataResponse")(name="tidemill", version=VERSION, extensions=EXTENSIONS)


async def model_metadata(site: Site, request: Any, caller: Caller) -> Any:
    """Name, versions and tensors of a model."""
    del caller
    endpoint = site.endpoint(request.name)
    require_version(endpoint, request.version)
    told = metadata(endpoint)
    for tensor in (*told["inputs"], *told["outputs"]):
        tensor.pop("parameters", None)
    return message("ModelMetadataResponse")(**told)


async def model_infer(site: Site, request: Any, caller: Caller) -> Any:
    """Predict rows that come as tensors."""
    started = clock.elapsed()
    endpoint = site.endpoint(request.model_name)
    if request.model_version:
        require_version(endpoint, request.model_version)
    wanted = [output.name for output in request.outputs]
    chosen(endpoint.predictor.outputs, wanted)  # before a row is scored
    answered = await score(endpoint, rows_of(_inputs(request), endpoint.predictor.columns), caller)
    meters = endpoint.meters(answered.variant)
    if (refusal := refusal_of(answered)) is not None:
        meters.took("grpc", refusal.status, clock.elapsed() - started)
        raise refusal
    outputs = chosen(answered.variant.predictor.outputs, wanted)
    response = _response(request, answered, outputs)
    meters.took("grpc", 200, clock.elapsed() - started)
    return response


async def repository_index(site: Site, request: Any, caller: Caller) -> Any:
    """Every model with its versions and their states."""
    del caller
    return message("RepositoryIndexResponse")(models=entries(site.repository, only_ready=request.ready))


async def repository_load(site: Site, request: Any, caller: Caller) -> Any:
    """Serve a registered model's champion, or look at once whether its aliases have moved."""
    del caller
    await load_model(site.repository, request.model_name)
    return message("RepositoryModelLoadResponse")()


async def repository_unload(site: Site, request: Any, caller: Caller) -> Any:
    """Serve a model no longer."""
    del caller
    await asyncio.to_thread(site.repository.unload, request.model_name)
    return message("RepositoryModelUnloadResponse")()


def key_in(request: Any) -> str | None:
    """What the choice of a variant sticks to: the parameter ``key``, if the request has any."""
    parameters: Mapping[str, Any] = getattr(request, "parameters", {})
    return parameters["key"].string_param or None if "key" in parameters else None


def _inputs(request: Any) -> list[Tensor]:
    raw: Sequence[bytes] = request.raw_input_contents
    if raw:
        if len(raw) != len(request.inputs):
            raise InvalidRequestError(
                "raw_input_contents are not one for each input",
                value=f"{len(raw)} for {len(request.inputs)}",
                hint="Send the bytes of every input, or the contents of every input.",
            )
        return [
            from_bytes(tensor.name, tensor.datatype, tuple(tensor.shape), data)
            for tensor, data in zip(request.inputs, raw, strict=True)
        ]
    return [_from_contents(tensor) for tensor in request.inputs]


def _from_contents(tensor: Any) -> Tensor:
    field = _CONTENTS.get(tensor.datatype)
    values: list[Any] = [] if field is None else list(getattr(tensor.contents, field))
    if tensor.datatype == "BYTES":
        try:
            values = [value.decode() for value in values]
        except UnicodeDecodeError as error:
            raise InvalidRequestError(f"an element of tensor {tensor.name!r} is no UTF-8: {error}") from None
    return checked(tensor.name, tensor.datatype, tuple(tensor.shape), values)


def _response(request: Any, answered: Answered, outputs: tuple[Spec, ...]) -> bytes:
    """A serialised response, part by part; a reader merges what is the same each time with what is not."""
    predictions, version = answered.answer.predictions, answered.variant.predictor.version
    outline = _outline(request.model_name, "" if version is None else str(version), outputs, len(predictions))
    own = answered.request_id.encode()
    parts = [
        outline if request.raw_input_contents else _with_contents(outline, tensors_of(outputs, predictions)),
        _field(_ID, request.id.encode() or own), _BEFORE, own, _AFTER,
    ]  # fmt: skip
    if request.raw_input_contents:
        parts += [_field(_RAW, to_bytes(spec.datatype, values_of(spec, predictions))) for spec in outputs]
    return b"".join(parts)


def _field(number: int, data: bytes) -> bytes:
    r"""A field of bytes or text as protobuf writes it: its number and kind, its length, and what it holds.

    >>> _field(6, b"ab"), _field(6, b"a" * 300)[:3]
    (b'2\x02ab', b'2\xac\x02')
    """
    head, length = bytearray((number << 3 | 2,)), len(data)
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + data


@lru_cache(maxsize=256)
def _outline(model: str, version: str, outputs: tuple[Spec, ...], rows: int) -> bytes:
    """A response to so many rows, without their values."""
    response = InferResponse(model_name=model, model_version=version)
    for spec in outputs:
        told = response.outputs.add(name=spec.name, datatype=spec.datatype, shape=(rows, *spec.shape[1:]))
        if spec.columns:
            told.parameters["columns"].string_param = ",".join(spec.columns)
    outline: bytes = response.SerializeToString()
    return outline


def _with_contents(outline: bytes, tensors: Sequence[Tensor]) -> bytes:
    response = InferResponse.FromString(outline)
    for told, tensor in zip(response.outputs, tensors, strict=True):
        values = [str(value).encode() for value in tensor.values] if tensor.datatype == "BYTES" else tensor.values
        getattr(told.contents, _CONTENTS[tensor.datatype]).extend(values)
    whole: bytes = response.SerializeToString()
    return whole


#: Method, who answers, whether it takes an admin key.
METHODS = (
    ("ServerLive", server_live, False),
    ("ServerReady", server_ready, False),
    ("ModelReady", model_ready, False),
    ("ServerMetadata", server_metadata, False),
    ("ModelMetadata", model_metadata, False),
    ("ModelInfer", model_infer, False),
    ("RepositoryIndex", repository_index, False),
    ("RepositoryModelLoad", repository_load, True),
    ("RepositoryModelUnload", repository_unload, True),
)
