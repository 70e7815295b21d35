"""Tables out of Spark and into it: by Parquet where it shares this disk, else as Arrow; never row by row in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tidemill.core.errors import SchemaError
from tidemill.integrations.spark_session import is_local

_BATCH_ROWS = 1 << 16
_BUFFER = 1 << 20
#: Types that a Parquet file of Spark gives back as they were, by their class.
_IN_PARQUET = frozenset(
    "BooleanType ByteType ShortType IntegerType LongType FloatType DoubleType DecimalType StringType CharType "
    "VarcharType BinaryType DateType TimestampType TimestampNTZType ArrayType MapType StructType".split()
)
#: Types that no Arrow table holds.
_NOWHERE = frozenset({"YearMonthIntervalType", "CalendarIntervalType", "VariantType", "GeometryType", "GeographyType"})
#: How Spark is to write, whatever its session is set to: it would write times without their zone.
_WRITING = {
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}


def received(frame: Any, folder: Path) -> pa.RecordBatchReader:
    """The rows of a Spark table in their order, as a stream of Arrow; moments are in UTC.

    A session on this machine writes them to an empty folder as Parquet, however many there are, and the stream reads
    them from there; another one sends them as Arrow, and they have to fit into memory.

    Raises
    ------
    SchemaError
        If columns have one name, or a type that no other engine holds.
    """
    _require_columns(frame.schema)
    if is_local(frame.sparkSession) and _types(frame.schema) <= _IN_PARQUET:
        parts = _written(frame, folder)
        if parts:
            return _stream(pq.read_schema(parts[0]), _read(parts))
    table = frame.toArrow()
    return _stream(table.schema, iter(table.to_batches()))


def _read(parts: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        with pq.ParquetFile(part, pre_buffer=False, buffer_size=_BUFFER) as file:
            yield from file.iter_batches(_BATCH_ROWS)


def _stream(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    """A stream of batches of some size, with moments in UTC: Spark keeps no zone with them."""
    wanted = pa.schema([field.with_type(_in_utc(field.type)) for field in schema])
    return pa.RecordBatchReader.from_batches(wanted, _grouped(wanted, batches))


def _grouped(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _BATCH_ROWS:
            yield from pa.Table.from_batches(waiting).cast(schema).combine_chunks().to_batches()
            waiting, rows = [], 0
    if waiting:
        yield from pa.Table.from_batches(waiting).cast(schema).combine_chunks().to_batches()


def _in_utc(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz is not None else kind


def given(path: Path, session: Any) -> Any:
    """The table in a Parquet file as a Spark table.

    A session on this machine reads the file itself when it asks for rows. Another one is sent the table, as it is one
    that Spark's reader of Parquet does not understand: with times of day, durations, nanoseconds.

    Raises
    ------
    SchemaError
        If Spark has no such type, or a time would lose nanoseconds.
    """
    schema = pl.read_parquet_schema(path)
    if is_local(session) and not any(_needs_arrow(kind) for kind in schema.values()):
        return session.read.parquet(_escaped(path))
    from pyspark.sql.pandas.types import from_arrow_schema

    table = _understood(pl.scan_parquet(path, glob=False), schema).to_arrow()
    return session.createDataFrame(table, schema=from_arrow_schema(table.schema, prefer_timestamp_ntz=True))


def _written(frame: Any, folder: Path) -> list[Path]:
    conf = frame.sparkSession.conf
    before = {key: conf.get(key, None) for key in _WRITING}
    for key, value in _WRITING.items():
        conf.set(key, value)
    try:
        frame.write.mode("overwrite").parquet(f"file://{folder.absolute() / 'parts'}")
    finally:
        for key, old in before.items():
            conf.unset(key) if old is None else conf.set(key, old)
    return sorted((folder / "parts").glob("part-*.parquet"), key=lambda part: (len(part.name), part.name))


def _require_columns(schema: Any) -> None:
    names = list(schema.names)
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise SchemaError("a Spark table names columns twice", value=twins, hint="Rename them with AS or toDF.")
    odd = [f"{field.name}: {field.dataType.simpleString()}" for field in schema if _kinds(field.dataType) & _NOWHERE]
    if odd:
        raise SchemaError(
            "a Spark table has columns of types that no other engine holds",
            value=odd,
            hint="CAST them, or leave them out: a period as days, a variant as text with to_json.",
        )


def _types(schema: Any) -> set[str]:
    return {name for field in schema for name in _kinds(field.dataType)}


def _kinds(kind: Any) -> set[str]:
    """The names of a type and of all types inside it."""
    inner = [getattr(kind, name, None) for name in ("elementType", "keyType", "valueType")]
    inner += [field.dataType for field in getattr(kind, "fields", ())]
    found = {type(kind).__name__}
    for one in inner:
        if one is not None:
            found |= _kinds(one)
    return found


def _needs_arrow(kind: pl.DataType) -> bool:
    """Whether Spark's reader of Parquet refuses this type, or takes it for a plain number."""
    if isinstance(kind, pl.Datetime):
        return kind.time_unit == "ns"
    return _any_inside(kind, _needs_arrow) or kind.base_type() in (pl.Duration, pl.Time, pl.Null, *_UNKNOWN)


_UNKNOWN = tuple(getattr(pl, name) for name in ("Int128", "UInt128", "Float16", "Object") if hasattr(pl, name))
_WIDER: dict[Any, pl.DataType] = {
    pl.UInt8: pl.Int16(), pl.UInt16: pl.Int32(), pl.UInt32: pl.Int64(), pl.UInt64: pl.Decimal(20, 0),
}  # fmt: skip


def _any_inside(kind: pl.DataType, test: Any) -> bool:
    if isinstance(kind, pl.List | pl.Array):
        return bool(test(kind.inner))
    return isinstance(kind, pl.Struct) and any(test(field.dtype) for field in kind.fields)


def _understood(frame: pl.LazyFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The table in types that Spark has; nothing is lost on the way."""
    wanted = {name: _spark_type(name, kind) for name, kind in schema.items()}
    changed = {name: kind for name, kind in wanted.items() if kind != schema[name]}
    table = frame.collect()
    cast = table.with_columns(pl.col(name).cast(kind) for name, kind in changed.items())
    for name in changed:
        if (cast[name].cast(schema[name]).ne_missing(table[name])).any():
            raise SchemaError(
                f"column {name!r} has times finer than a microsecond, which Spark does not hold",
                value=str(schema[name]),
                hint='Round it first: pl.col(…).dt.round("1us"), or cast_time_unit.',
            )
    return cast


def _spark_type(name: str, kind: Any) -> pl.DataType:
    if kind.base_type() in _UNKNOWN:
        raise SchemaError(f"Spark has no type for column {name!r}", value=str(kind), hint="Cast it first.")
    if isinstance(kind, pl.Datetime):
        return pl.Datetime("us", kind.time_zone)
    if isinstance(kind, pl.Duration):
        return pl.Duration("us")
    if isinstance(kind, pl.List):
        return pl.List(_spark_type(name, kind.inner))
    if isinstance(kind, pl.Array):
        return pl.List(_spark_type(name, kind.inner))
    if isinstance(kind, pl.Struct):
        return pl.Struct({field.name: _spark_type(name, field.dtype) for field in kind.fields})
    wider: pl.DataType = _WIDER.get(kind.base_type(), kind)
    return wider


def _escaped(path: Path) -> str:
    """A path on this machine, whatever file system Spark is set to, that it does not take for a pattern."""
    return "file://" + "".join(f"\\{sign}" if sign in "[]{}*?\\" else sign for sign in str(path.absolute()))
