"""Arrays, tables and table expressions as values, by content; none of their libraries is loaded for it."""

from __future__ import annotations

import io
import sys
from typing import Any

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import UsageError
from tidemill.engine.key.encoder import Encoder, tagged, type_name, undigestable

#: How Polars marks a Python function inside a serialised expression or query.
_PYTHON_FUNCTION = (b"PLPYFN", b"AnonymousFunction", b"PYTHON")


def encode_frame(encoder: Encoder, value: Any, path: str) -> bytes | None:
    """The canonical bytes of a NumPy, Polars, pandas or Arrow object; None for anything else."""
    library = type(value).__module__.partition(".")[0]
    encode = {"numpy": _numpy, "polars": _polars, "pandas": _pandas, "pyarrow": _arrow}.get(library)
    if encode is None:
        return None
    encoder.reached.package(library)
    return encode(encoder, value, path)


def _numpy(encoder: Encoder, value: Any, path: str) -> bytes | None:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.dtype):
        return tagged("dtype", repr(value.descr if value.names else value.str).encode())
    if not isinstance(value, numpy.ndarray | numpy.generic):
        return tagged("ufunc", value.__name__.encode()) if isinstance(value, numpy.ufunc) else None
    if value.dtype.hasobject:
        return tagged("array", str(value.shape).encode(), encoder.encode(value.tolist(), path))
    if isinstance(value, numpy.ndarray):
        encoder.reached.guards.check(lambda: hash(value.tobytes()), hash(value.tobytes()))
    content = digest_bytes(value.tobytes())
    return tagged(type(value).__name__, repr(value.dtype).encode(), str(value.shape).encode(), content.encode())


def _polars(encoder: Encoder, value: Any, path: str) -> bytes | None:
    polars = sys.modules["polars"]
    if isinstance(value, polars.Series):
        return tagged("series", _polars(encoder, value.to_frame(), path) or b"")
    if isinstance(value, polars.DataFrame):
        content = io.BytesIO()
        value.rechunk().write_ipc(content)
        return tagged("frame", digest_bytes(content.getvalue()).encode())
    if isinstance(value, polars.Expr):
        return _expression(encoder, value, path, value.meta.serialize)
    if isinstance(value, polars.LazyFrame):
        return _expression(encoder, value, path, value.serialize)
    return None


def _expression(encoder: Encoder, value: Any, path: str, serialise: Any) -> bytes:
    """An expression or a query by its serialised form.

    A Python function inside it cannot be taken out again and would hide the helpers that it calls, so that everything
    in the module of the expression counts instead.
    """
    try:
        content: bytes = serialise()
    except Exception as error:  # whatever a plugin raises
        raise undigestable(value, path) from error
    if not any(mark in content for mark in _PYTHON_FUNCTION):
        return tagged(type(value).__name__, digest_bytes(content).encode())
    module = encoder.reached.whole_module()
    if module is None:
        raise UsageError(
            f"{path} calls a Python function inside a Polars {type_name(type(value)).rpartition('.')[2]}, "
            "so a change of that function could not be seen",
            value=str(value),
            hint="Make the expression at the top level of a module, or inside the function that uses it.",
        )
    text = str(value) if isinstance(value, sys.modules["polars"].Expr) else value.explain(optimized=False)
    return tagged(type(value).__name__, text.encode(), module.encode())


def _pandas(encoder: Encoder, value: Any, path: str) -> bytes | None:
    pandas = sys.modules["pandas"]
    if not isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index):
        return None

    def content() -> str:
        return digest_bytes(pandas.util.hash_pandas_object(value, index=True).to_numpy().tobytes())

    types = value.dtypes if isinstance(value, pandas.DataFrame) else [value.dtype]
    names = list(value.columns) if isinstance(value, pandas.DataFrame) else [value.name]
    try:
        seen = content()
    except TypeError as error:
        raise undigestable(value, path) from error
    encoder.reached.guards.check(content, seen)
    shape = repr([str(kind) for kind in types]).encode()
    return tagged(type(value).__name__, shape, encoder.encode(names, path), seen.encode())


def _arrow(_encoder: Encoder, value: Any, _path: str) -> bytes | None:
    arrow = sys.modules["pyarrow"]
    if not isinstance(value, arrow.Table | arrow.RecordBatch):
        return None
    table = value.combine_chunks() if isinstance(value, arrow.Table) else arrow.Table.from_batches([value])
    sink = arrow.BufferOutputStream()
    with arrow.RecordBatchStreamWriter(sink, table.schema) as writer:
        writer.write_table(table)
    return tagged("arrow", digest_bytes(sink.getvalue().to_pybytes()).encode())
