"""Arrow tables, batches and streams of batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source


def to_polars(frame: pa.Table | pa.RecordBatch | pa.RecordBatchReader) -> pl.DataFrame | pl.LazyFrame:
    """The same table held by Polars; a stream of batches becomes a lazy frame that can be read once."""
    if isinstance(frame, pa.RecordBatchReader):
        return _stream(frame)
    return _frame(frame)


def read_parquet(path: Path, kind: str) -> Any:
    """The table in a Parquet file as an Arrow table, batch or stream, with the types that Polars gives them."""
    table = pl.read_parquet(path, glob=False).to_arrow()
    if kind == "pyarrow:RecordBatchReader":
        return table.to_reader()
    if kind == "pyarrow:RecordBatch":
        whole = table.combine_chunks()
        return whole.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], table.schema)
    return table


def _stream(reader: pa.RecordBatchReader) -> pl.LazyFrame:
    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        for batch in reader:
            frame = _frame(batch)
            if columns is not None:
                frame = frame.select(columns)
            if predicate is not None:
                frame = frame.filter(predicate)
            if rows is not None:
                frame = frame.head(rows)
                rows -= frame.height
            yield frame
            if rows == 0:
                return

    return register_io_source(batches, schema=_frame(reader.schema.empty_table()).schema)


def _frame(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    if "fixed_size_list" in str(table.schema):
        table = _without_offsets(table)
    converted = pl.from_arrow(table)
    return converted if isinstance(converted, pl.DataFrame) else converted.to_frame()


def _without_offsets(table: pa.Table | pa.RecordBatch) -> pa.Table:
    """A copy that is no slice of something longer: Polars refuses slices of lists of fixed size.

    `take` is no way to copy them, since Arrow itself then gives other values for lists in lists.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
