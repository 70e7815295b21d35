"""The digest of a table: its column names, types and values in row order, and nothing about how they are held.

Each column is a tree of *leaves*: what is missing (row numbers), how long (texts and lists), and the values themselves
as little-endian bytes, missing ones as zeros. Every leaf has a SHA-256 of its own that is fed one batch after another,
so that it does not matter where a table is cut into chunks; the digest of the table is the SHA-256 of the schema, the
number of rows, and the leaves.

Two tables have one digest exactly when they have the same columns in the same order, of the same types, with the same
values: every NaN is one NaN, ``-0.0`` is not ``0.0``, a missing value is not NaN, a category is its text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import MaterialiserError
from tidemill.core.schema import Column, TableSchema

_VERSION = b"tidemill table 1\n"
#: Bytes of a frame that are digested at a time, about.
BATCH_BYTES = 32 << 20

_SIMPLE: dict[Any, str] = {
    pl.Boolean: "bool",
    pl.Int8: "int8",
    pl.Int16: "int16",
    pl.Int32: "int32",
    pl.Int64: "int64",
    pl.UInt8: "uint8",
    pl.UInt16: "uint16",
    pl.UInt32: "uint32",
    pl.UInt64: "uint64",
    pl.Float32: "float32",
    pl.Float64: "float64",
    pl.String: "string",
    pl.Binary: "binary",
    pl.Date: "date",
    pl.Time: "time",
    pl.Null: "null",
    pl.Categorical: "categorical",
}


class TableDigest:
    """The digest of a table that comes in batches.

    >>> whole, pieces = (TableDigest(pl.Schema({"a": pl.Int64()})) for _ in range(2))
    >>> whole.update(pl.DataFrame({"a": [1, None, 3]}))
    >>> for piece in ([1], [None, 3]):
    ...     pieces.update(pl.DataFrame({"a": piece}, schema={"a": pl.Int64}))
    >>> whole.hexdigest() == pieces.hexdigest()
    True
    """

    def __init__(self, schema: pl.Schema) -> None:
        self.rows = 0
        self._types = [[name, type_text(dtype, name)] for name, dtype in schema.items()]
        self._columns = [_column(dtype) for dtype in schema.values()]

    def update(self, batch: pl.DataFrame) -> None:
        """Add the next rows."""
        self.rows += batch.height
        for hasher, column in zip(self._columns, batch.iter_columns(), strict=True):
            hasher.update(column)

    def hexdigest(self) -> str:
        """The digest so far, as 64 hexadecimal digits."""
        total = hashlib.sha256(_VERSION)
        total.update(json.dumps([self._types, self.rows], separators=(",", ":")).encode())
        for column in self._columns:
            for leaf in column.leaves():
                total.update(leaf)
        return total.hexdigest()


def digest_frame(frame: pl.DataFrame) -> str:
    """The digest of a table in memory.

    >>> digest_frame(pl.DataFrame({"a": [1]})) == digest_frame(pl.DataFrame({"a": [1.0]}))
    False
    """
    digest = TableDigest(frame.schema)
    for batch in frame.iter_slices(batch_rows(int(frame.estimated_size()), frame.height)):
        digest.update(batch)
    return digest.hexdigest()


def batch_rows(size: int, rows: int) -> int:
    """How many rows to take at a time, of a table of so many bytes and rows."""
    return max(1, BATCH_BYTES * rows // max(size, 1)) if rows else 1


def table_schema(schema: pl.Schema) -> TableSchema:
    """The schema of a Polars frame in the terms of the house.

    >>> table_schema(pl.Schema({"at": pl.Datetime("us", "UTC")})).columns[0].type
    'timestamp[us, UTC]'
    """
    columns = []
    for name, dtype in schema.items():
        categories = tuple(dtype.categories) if isinstance(dtype, pl.Enum) else None
        columns.append(Column(name, type_text(dtype, name), categories=categories))
    return TableSchema(tuple(columns))


def type_text(dtype: pl.DataType, column: str) -> str:
    """The name of a type as Arrow names it, with its parameters.

    Raises
    ------
    MaterialiserError
        A type that tables here do not hold, such as Python objects.

    Examples
    --------
    >>> type_text(pl.List(pl.Decimal(10, 2)), "prices")
    'list[decimal[10, 2]]'
    """
    simple = _SIMPLE.get(dtype.base_type())
    if simple is not None:
        return simple
    if isinstance(dtype, pl.Datetime):
        zone = f", {dtype.time_zone}" if dtype.time_zone else ""
        return f"timestamp[{dtype.time_unit}{zone}]"
    if isinstance(dtype, pl.Duration):
        return f"duration[{dtype.time_unit}]"
    if isinstance(dtype, pl.Decimal):
        return f"decimal[{38 if dtype.precision is None else dtype.precision}, {dtype.scale}]"
    if isinstance(dtype, pl.List):
        return f"list[{type_text(_inner(dtype), column)}]"
    if isinstance(dtype, pl.Array):
        return f"array[{type_text(_inner(dtype), column)}, {dtype.size}]"
    if isinstance(dtype, pl.Struct):
        fields = (f"{_name(field.name)}: {type_text(_real(field.dtype), column)}" for field in dtype.fields)
        return f"struct[{', '.join(fields)}]"
    if isinstance(dtype, pl.Enum):
        return f"enum[{', '.join(json.dumps(category, ensure_ascii=False) for category in dtype.categories)}]"
    raise MaterialiserError(
        f"column {column!r} has a type that cannot be stored in a table",
        value=str(dtype),
        hint="Cast it: whole numbers to Int64 or Decimal, small floats to Float32, Python objects to text or a struct.",
    )


def _name(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name, ensure_ascii=False)


def _inner(dtype: pl.List | pl.Array) -> pl.DataType:
    return _real(dtype.inner)


def _real(dtype: Any) -> pl.DataType:
    real: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return real


class _Nulls:
    """Digest of the row numbers of missing values."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self._rows = 0

    def update(self, column: pl.Series) -> None:
        if column.null_count():
            rows = np.flatnonzero(column.is_null().to_numpy()) + self._rows
            self._hasher.update(rows.astype("<i8").data)
        self._rows += len(column)

    def leaves(self) -> Iterator[bytes]:
        yield self._hasher.digest()


class _Fixed:
    """Columns whose values all take the same number of bytes."""

    def __init__(self, zero: Any) -> None:
        self._nulls = _Nulls()
        self._hasher = hashlib.sha256()
        self._zero = zero

    def update(self, column: pl.Series) -> None:
        self._nulls.update(column)
        physical = column.to_physical()
        if physical.dtype == pl.Boolean:
            physical = physical.cast(pl.UInt8)
        if physical.null_count():
            physical = physical.fill_null(self._zero)
        for chunk in physical.get_chunks():
            self._hasher.update(_plain_bytes(chunk.to_numpy()))

    def leaves(self) -> Iterator[bytes]:
        yield from self._nulls.leaves()
        yield self._hasher.digest()


class _Text:
    """Columns of texts or bytes: lengths and content, one after another."""

    def __init__(self, prepare: Callable[[pl.Series], pl.Series], *, binary: bool = False) -> None:
        self._nulls = _Nulls()
        self._lengths = hashlib.sha256()
        self._content = hashlib.sha256()
        self._prepare = prepare
        self._binary = binary

    def update(self, column: pl.Series) -> None:
        self._nulls.update(column)
        texts = self._prepare(column)
        sizes = texts.bin.size() if self._binary else texts.str.len_bytes()
        self._lengths.update(_plain_bytes(sizes.fill_null(0).cast(pl.UInt32).to_numpy()))
        if self._binary:  # as hexadecimal digits, the only way to join bytes
            texts = texts.bin.encode("hex")
        joined = texts.str.join("").cast(pl.Binary).item() if len(texts) else b""
        self._content.update(joined or b"")

    def leaves(self) -> Iterator[bytes]:
        yield from self._nulls.leaves()
        yield self._lengths.digest()
        yield self._content.digest()


class _List:
    """Columns of lists and arrays: lengths, and one column of all their items."""

    def __init__(self, dtype: pl.List | pl.Array) -> None:
        self._as_list = pl.List(_inner(dtype))
        self._nulls = _Nulls()
        self._lengths = hashlib.sha256()
        self._items = _column(_inner(dtype))

    def update(self, column: pl.Series) -> None:
        self._nulls.update(column)
        lists = column.cast(self._as_list)
        sizes = lists.list.len().fill_null(0)
        self._lengths.update(_plain_bytes(sizes.cast(pl.UInt32).to_numpy()))
        filled = lists.filter(sizes > 0)
        if len(filled):
            self._items.update(filled.explode())

    def leaves(self) -> Iterator[bytes]:
        yield from self._nulls.leaves()
        yield self._lengths.digest()
        yield from self._items.leaves()


class _Struct:
    """Columns of structs: a column for each field, of the rows that are not missing."""

    def __init__(self, dtype: pl.Struct) -> None:
        self._nulls = _Nulls()
        self._fields = [(field.name, _column(_real(field.dtype))) for field in dtype.fields]

    def update(self, column: pl.Series) -> None:
        self._nulls.update(column)
        present = column.drop_nulls() if column.null_count() else column
        for name, hasher in self._fields:
            hasher.update(present.struct.field(name))

    def leaves(self) -> Iterator[bytes]:
        yield from self._nulls.leaves()
        for _, hasher in self._fields:
            yield from hasher.leaves()


_Hasher = _Nulls | _Fixed | _Text | _List | _Struct


def _column(dtype: pl.DataType) -> _Hasher:
    if isinstance(dtype, pl.Null):
        return _Nulls()
    if isinstance(dtype, pl.String):
        return _Text(lambda column: column)
    if isinstance(dtype, pl.Binary):
        return _Text(lambda column: column, binary=True)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return _Text(lambda column: column.cast(pl.String))
    if isinstance(dtype, pl.Decimal):  # 128 bits, which NumPy does not know: the unscaled number as text
        return _Text(lambda column: column.to_physical().cast(pl.String))
    if isinstance(dtype, pl.List | pl.Array):
        return _List(dtype)
    if isinstance(dtype, pl.Struct):
        return _Struct(dtype)
    return _Fixed(0.0 if dtype.is_float() else 0)


def _plain_bytes(values: np.ndarray[Any, Any]) -> memoryview:
    """The values, contiguous, little-endian, with one NaN."""
    if values.dtype.kind == "f":
        strange = np.isnan(values)
        if strange.any():
            values = values.copy()
            values[strange] = np.nan
    if values.dtype.byteorder == ">" or (values.dtype.byteorder == "=" and not _LITTLE):
        values = values.byteswap()
    return np.ascontiguousarray(values).data


_LITTLE = bool(np.little_endian)
