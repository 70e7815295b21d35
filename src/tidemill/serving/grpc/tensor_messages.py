"""The rows of a gRPC request and the tensors of its answer, in the messages of the Open Inference Protocol.

Almost every request brings one row as one tensor of numbers. It is read without making a tensor of it, and its answer
is put together from bytes: what is the same each time is serialised once, and a reader merges it with what is not.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tidemill.core.errors import InvalidRequestError
from tidemill.core.ids import new_id
from tidemill.serving.grpc.messages import message
from tidemill.serving.tensors import (
    Spec,
    Tensor,
    checked,
    from_bytes,
    rows_of,
    tensors_of,
    to_bytes,
    values_of,
    whole_row,
)

InferResponse = message("ModelInferResponse")
_ID, _RAW = (InferResponse.DESCRIPTOR.fields_by_name[name].number for name in ("id", "raw_output_contents"))
_PARAMETERS = InferResponse()
_PARAMETERS.parameters["request_id"].string_param = _SOME_ID = "0" * len(new_id())
#: What stands around a request's id where it is a parameter of the answer.
_BEFORE, _AFTER = _PARAMETERS.SerializeToString().split(_SOME_ID.encode())

_FLOAT = struct.Struct("<d")
#: What stands before the bytes of an output of one FP64.
_ONE_FLOAT = bytes((_RAW << 3 | 2, _FLOAT.size))

#: Datatype to the field of its elements; FP16 and BF16 have none and come as bytes.
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


def rows_in(request: Any, names: tuple[str, ...]) -> Sequence[dict[str, Any]]:
    """The rows of a request to a model with inputs of those names.

    Raises
    ------
    InvalidRequestError
        When its tensors make no rows.
    """
    inputs, raw = request.inputs, request.raw_input_contents
    if len(raw) == 1 and len(inputs) == 1:
        tensor, data, columns = inputs[0], raw[0], len(names)
        whole = whole_row(tensor.datatype, columns)
        if whole is not None and len(data) == whole.size and tensor.shape == [1, columns] and tensor.name not in names:
            return [dict(zip(names, whole.unpack(data), strict=True))]
    return rows_of(_tensors(request), names)


def _tensors(request: Any) -> list[Tensor]:
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


def response_to(
    request: Any,
    request_id: str,
    version: int | None,
    outputs: tuple[Spec, ...],
    predictions: Sequence[Mapping[str, Any]],
    warnings: str = "",
) -> bytes:
    """A serialised response; what came as bytes is answered in bytes."""
    outline, own = _outline(request.model_name, version, outputs, len(predictions)), request_id.encode()
    parts = [outline, _field(_ID, request.id.encode() or own), _BEFORE, own, _AFTER]
    if not request.raw_input_contents:
        parts[0] = _with_contents(outline, tensors_of(outputs, predictions))
    elif len(predictions) == 1:
        parts += _one_row(outputs, predictions[0])
    else:
        parts += [_raw(spec, predictions) for spec in outputs]
    if warnings:
        more = InferResponse()
        more.parameters["warnings"].string_param = warnings
        parts.append(more.SerializeToString())
    return b"".join(parts)


def _raw(spec: Spec, predictions: Sequence[Mapping[str, Any]]) -> bytes:
    """The bytes of an output's elements, as a field of the response."""
    return _field(_RAW, to_bytes(spec.datatype, values_of(spec, predictions)))


def _one_row(outputs: tuple[Spec, ...], prediction: Mapping[str, Any]) -> list[bytes]:
    """As `_raw` for each output, of a single row."""
    parts = []
    for spec in outputs:
        value = prediction[spec[0]]
        kind = type(value)
        if kind is float:
            parts.append(_ONE_FLOAT + _FLOAT.pack(value))
        elif kind is str or kind is bool:
            parts.append(_text(value))
        else:
            parts.append(_raw(spec, (prediction,)))
    return parts


def _field(number: int, data: bytes) -> bytes:
    r"""A field of bytes or text as protobuf writes it: its number and kind, its length, and what it holds.

    >>> _field(6, b"ab"), _field(6, b"a" * 300)[:3]
    (b'2\x02ab', b'2\xac\x02')
    """
    length = len(data)
    if length < 128:
        return bytes((number << 3 | 2, length)) + data
    head = bytearray((number << 3 | 2,))
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + data


@lru_cache(maxsize=1024, typed=True)
def _text(value: Hashable) -> bytes:
    """One class or decision, as the field of an output that is nothing else: there are few of them."""
    spec = Spec("", "BYTES", (-1,))
    return _field(_RAW, to_bytes("BYTES", values_of(spec, [{"": value}])))


@lru_cache(maxsize=256)
def _outline(model: str, version: int | None, outputs: tuple[Spec, ...], rows: int) -> bytes:
    """A response to so many rows, without their values."""
    response = InferResponse(model_name=model, model_version="" if version is None else str(version))
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
