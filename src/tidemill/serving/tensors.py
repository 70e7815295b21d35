"""Tensors of the Open Inference Protocol v2: what a model takes and gives in them, and their bytes.

A model takes one tensor for each column, of shape ``[rows]`` or ``[rows, 1]``; it also takes all columns in one tensor
of shape ``[rows, columns]``, in the order of its metadata. REST and gRPC share this.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tidemill.core.errors import InvalidRequestError
from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.core.tasks import TASKS
from tidemill.packaging.ordered import Ordered
from tidemill.serving.decisions import parts_of
from tidemill.serving.limits import require_few

_DATATYPES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "float32": "FP32", "float64": "FP64",
}  # fmt: skip
#: Datatype to NumPy's little-endian one; BF16 is the upper half of a float32, BYTES has lengths of its own.
_NUMPY = {
    "BOOL": "?", "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BF16": "<u2",
}  # fmt: skip
_SIZES = {name: np.dtype(kind).itemsize for name, kind in _NUMPY.items()}
#: The letters of `struct`, which is quicker than NumPy for a few values.
_STRUCT = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FP32": "f", "FP64": "d",
}  # fmt: skip
_FEW = 32
DATATYPES = (*_NUMPY, "BYTES")
_LENGTH = struct.Struct("<I")


class Tensor(NamedTuple):
    """Values with a name and a shape.

    Parameters
    ----------
    name, datatype, shape
        As the protocol has them.
    values
        All elements in row-major order, as Python values.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]


class Spec(NamedTuple):
    """What is known of a tensor before there are values: -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the protocol's metadata has it."""
        told = {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}
        return told | ({"parameters": {"columns": list(self.columns)}} if self.columns else {})


def inputs_of(signature: Signature) -> list[Spec]:
    """One tensor for each column."""
    return [Spec(column.name, _datatype(column), (-1,)) for column in signature.inputs]


def outputs_of(signature: Signature) -> tuple[Spec, ...]:
    """The decision or the value, and the numbers that it rests on.

    >>> from tidemill.core.schema import TableSchema
    >>> for output in outputs_of(Signature(TableSchema(()), "quantile", "delay", ("0.1", "0.9"))):
    ...     print(output.to_dict())
    {'name': 'delay', 'datatype': 'FP64', 'shape': [-1]}
    {'name': 'quantiles', 'datatype': 'FP64', 'shape': [-1, 2], 'parameters': {'columns': ['0.1', '0.9']}}
    """
    kind, many = TASKS[signature.task], len(signature.classes)
    outputs = [Spec(signature.target, "BYTES" if kind.classifies or kind.decides else "FP64", (-1,))]
    if signature.task in {"binary", "multiclass"}:
        outputs.append(Spec("probability", "FP64", (-1,)))
    elif signature.task == "anomaly":
        outputs.append(Spec("score", "FP64", (-1,)))
    if signature.task in {"binary", "anomaly"}:
        outputs.append(Spec("decision", "BYTES", (-1,)))
    if signature.interval is not None:
        outputs.append(Spec("interval", "FP64", (-1, 2), ("low", "high")))
    if kind.scores != "one":
        name = "quantiles" if signature.task == "quantile" else "probabilities"
        outputs.append(Spec(name, "FP64", (-1, many), signature.classes))
    return (outputs[0], *(spec for spec in outputs[1:] if spec.name != signature.target))


def rows_of(tensors: Sequence[Tensor], names: tuple[str, ...]) -> Ordered:
    """The rows that tensors hold, of a model with inputs of those names.

    Raises
    ------
    InvalidRequestError
        When there are none, lengths differ, or a shape is not that of a column.
    """
    if not tensors:
        raise InvalidRequestError("the request has no inputs", hint="Send one tensor for each column.")
    only = tensors[0]
    if len(tensors) == 1 and only.name not in names and len(only.shape) == 2 and only.shape[1] == len(names):
        if not only.shape[0]:
            raise InvalidRequestError("the tensor has no rows", value=list(only.shape))
        require_few(only.shape[0])
        values, width = only.values, len(names)
        return Ordered(names, [(*values[at : at + width],) for at in range(0, len(values), width)])
    columns = {tensor.name: _column(tensor) for tensor in tensors}
    if len(columns) < len(tensors):
        sent = [tensor.name for tensor in tensors]
        raise InvalidRequestError("a tensor was sent twice", value=sent, hint="Send each column once.")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
        raise InvalidRequestError("the tensors have different lengths, or none", value=lengths)
    require_few(next(iter(lengths.values())))
    return Ordered((*columns,), list(zip(*columns.values(), strict=True)))


def warnings_of(predictions: Sequence[Mapping[str, Any]], target: str) -> str:
    """What was unusual about rows, for which a tensor has no place: by the row's number, as JSON; empty if nothing was.

    >>> warnings_of([{"late": True}, {"late": True, "warnings": ["distance 9000 is outside of 80 to 4983"]}], "late")
    '{"1":["distance 9000 is outside of 80 to 4983"]}'
    """
    told = {
        str(place): said
        for place, one in enumerate(predictions)
        if "warnings" in one and (said := parts_of(one, target).get("warnings"))
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) if told else ""


def whole_row(datatype: str, columns: int) -> struct.Struct | None:
    """What reads the bytes of a row that comes in one tensor of numbers; None for a type that bytes alone do not say.

    >>> whole_row("FP32", 2).unpack(bytes(8)), whole_row("BYTES", 2)
    ((0.0, 0.0), None)
    """
    code = _STRUCT.get(datatype)
    return None if code is None else _elements_of(code, columns)


@lru_cache(maxsize=256)
def _elements_of(code: str, count: int) -> struct.Struct:
    """So many elements of a letter of `struct`: what is kept is ours, and never what a client called a type."""
    return struct.Struct(f"<{count}{code}")


def tensors_of(outputs: Sequence[Spec], predictions: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    """Predictions as the tensors that `outputs` say."""
    rows = len(predictions)
    return [Tensor(spec.name, spec.datatype, (rows, *spec.shape[1:]), values_of(spec, predictions)) for spec in outputs]


def values_of(spec: Spec, predictions: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The elements of an output, in row-major order."""
    data: list[Any] = [prediction[spec.name] for prediction in predictions]
    if len(spec.shape) == 2:
        return [told[column] for told in data for column in spec.columns]
    return [_text(value) for value in data] if spec.datatype == "BYTES" else data


def chosen(outputs: tuple[Spec, ...], wanted: Sequence[str]) -> tuple[Spec, ...]:
    """Those of the outputs that are `wanted`, in that order; all if none are named.

    Raises
    ------
    InvalidRequestError
        When there is no such output, or one is named twice.
    """
    if not wanted:
        return outputs
    specs = {spec.name: spec for spec in outputs}
    unknown = [name for name in wanted if name not in specs]
    if unknown:
        raise InvalidRequestError("there is no such output", value=unknown[0], hint=f"Outputs: {', '.join(specs)}.")
    if len(wanted) > len(specs) or len(set(wanted)) < len(wanted):
        twice = next(name for place, name in enumerate(wanted) if name in wanted[:place])
        raise InvalidRequestError("an output is asked for twice", value=twice, hint="Name each output once.")
    return tuple(specs[name] for name in wanted)


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> Tensor:
    r"""A tensor from its bytes: little-endian, row by row; each element of BYTES after its length in four bytes.

    Raises
    ------
    InvalidRequestError
        When the bytes are not of that type and shape.

    Examples
    --------
    >>> from_bytes("x", "FP32", (2,), struct.pack("<2f", 0.5, 2.0)).values
    [0.5, 2.0]
    >>> from_bytes("dest", "BYTES", (1,), b"\x03\x00\x00\x00IAH").values
    ['IAH']
    """
    count = _elements(name, shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _texts(name, raw, count))
    if datatype not in _NUMPY:
        raise _unknown_type(name, datatype)
    code = _STRUCT.get(datatype)
    if code is not None and count <= _FEW and len(raw) == count * _SIZES[datatype]:
        return Tensor(name, datatype, shape, list(struct.unpack(f"<{count}{code}", raw)))
    array = np.frombuffer(raw, _NUMPY[datatype]) if len(raw) == count * _SIZES[datatype] else None
    if array is None:
        raise InvalidRequestError(
            f"the bytes of tensor {name!r} do not fit its shape",
            value=f"{len(raw)} bytes for {datatype} {list(shape)}",
            hint="Send the elements one after the other, little-endian.",
        )
    if datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return Tensor(name, datatype, shape, array.tolist())


def to_bytes(datatype: str, values: Sequence[Any]) -> bytes:
    r"""What `from_bytes` reads.

    >>> to_bytes("BYTES", ["true"])
    b'\x04\x00\x00\x00true'
    """
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join([_LENGTH.pack(len(text)) + text for text in texts])
    count, code = len(values), _STRUCT.get(datatype)
    if code is not None and count <= _FEW:
        return struct.pack(f"<{count}{code}", *values)
    return np.asarray(values, dtype=_NUMPY[datatype]).tobytes()


def checked(name: str, datatype: str, shape: tuple[int, ...], values: Sequence[Any]) -> Tensor:
    """A tensor of values that came one by one, if they are as many as its shape says."""
    if datatype not in DATATYPES:
        raise _unknown_type(name, datatype)
    if _elements(name, shape) != len(values):
        raise InvalidRequestError(
            f"the data of tensor {name!r} does not fit its shape", value=f"{len(values)} values for {list(shape)}"
        )
    return Tensor(name, datatype, shape, values)


def _elements(name: str, shape: tuple[int, ...]) -> int:
    if not shape or min(shape) < 0:
        raise InvalidRequestError(f"the shape of tensor {name!r} is none", value=list(shape), hint="Send [rows].")
    return prod(shape)


def _column(tensor: Tensor) -> Sequence[Any]:
    if len(tensor.shape) > 1 and prod(tensor.shape[1:]) != 1:
        raise InvalidRequestError(
            f"tensor {tensor.name!r} is no column", value=list(tensor.shape), hint="Send one tensor of [rows] a column."
        )
    return tensor.values


def _texts(name: str, raw: bytes, count: int) -> list[str]:
    texts, at = [], 0
    try:
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size
            if at + length > len(raw):
                raise struct.error
            texts.append(raw[at : at + length].decode())
            at += length
    except (struct.error, UnicodeDecodeError):
        at = -1
    if at != len(raw):
        raise InvalidRequestError(
            f"the bytes of tensor {name!r} are not {count} texts",
            value=f"{len(raw)} bytes",
            hint="Send each text as its length in four bytes, little-endian, and its UTF-8.",
        )
    return texts


def _unknown_type(name: str, datatype: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"tensor {name!r} has an unknown datatype", value=datatype, hint=f"Known: {', '.join(DATATYPES)}."
    )


def _datatype(column: Column) -> str:
    return "BYTES" if column.categories is not None else _DATATYPES.get(column.type, "BYTES")


def _text(value: Any) -> str:
    """A decision as text; of several labels a JSON list."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value).lower() if isinstance(value, bool) else str(value)
