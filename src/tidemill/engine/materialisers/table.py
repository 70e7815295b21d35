"""Tables as Parquet (with statistics; zstd where it pays), whichever engine holds them; only Polars is needed."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import polars as pl

from tidemill.core.errors import MaterialiserError
from tidemill.core.records import Artifact
from tidemill.engine.materialisers.draft import Draft
from tidemill.engine.materialisers.frames import converter, frame_kind, is_open
from tidemill.engine.materialisers.table_digest import (
    TableDigest,
    batch_rows,
    digest_frame,
    table_schema,
)
from tidemill.store.artifacts import ArtifactStore

NAME = "tidemill.engine.materialisers.table:TableMaterialiser"
_GROUP_ROWS = 1 << 17
#: The levels above the first take half as long again, and make files a few percent smaller, if at all.
_ZSTD_LEVEL = 1
#: A table of more bytes is compressed only if that makes a sample of so many bytes smaller than this share of it.
_TRIED_FROM, _SAMPLE_BYTES, _WORTH = 8 << 20, 1 << 20, 0.9
_Compression = Literal["zstd", "uncompressed"]
_FULL = "|".join(str(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_OS_ERROR = re.compile(rf"\(os error ({_FULL})\)")


class TableMaterialiser:
    """Stores data frames of Polars, pandas, Arrow, DuckDB and Narwhals as Parquet.

    A lazy frame is run in a streaming way into the file and digested from there, so that neither needs memory for the
    whole table; loaded with a lazy annotation it is a scan of the file.
    """

    type = "table"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store a frame; the digest is that of the table, not of the file."""
        kind = frame_kind(type(value))
        if kind is None:
            raise _no_frame(type(value))
        frame = value if kind.startswith("polars:") else converter(kind).to_polars(value)
        if isinstance(frame, pl.LazyFrame):
            return _save_lazy(frame, artifacts)
        return _save_eager(frame, artifacts)

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Any:
        """The table as the frame that the annotation names; a Polars data frame if it names none."""
        if artifact.blob is None:
            raise MaterialiserError("a table has no blob", value=artifact.digest, hint="Run the step again.")
        kind = "polars:DataFrame" if is_open(annotation) else frame_kind(annotation)
        if kind is None:
            raise _no_frame(annotation)
        path = artifacts.path(artifact.blob)
        if kind == "polars:LazyFrame":
            return pl.scan_parquet(path, glob=False)
        if kind == "polars:DataFrame":
            return pl.read_parquet(path, glob=False)
        return converter(kind).read_parquet(path, kind)


def _save_eager(frame: pl.DataFrame, artifacts: ArtifactStore) -> Draft:
    digest = digest_frame(frame)
    with artifacts.writer() as writer, _disk_errors():
        _write(frame, writer.path, compression(frame))
    return _draft(digest, frame.height, frame.schema, writer.blob.size, writer.blob.digest)


def compression(frame: pl.DataFrame) -> _Compression:
    """How a table is stored: zstd, or not compressed if a sample says that this would save next to nothing.

    Measured numbers in floats take five times as long to compress as to write, and stay as large as they are.

    >>> compression(pl.DataFrame({"a": [1, 1, 1]}))
    'zstd'
    """
    size = int(frame.estimated_size())
    if size <= _TRIED_FROM:
        return "zstd"
    rows = max(1, _SAMPLE_BYTES // 3 * frame.height // size)
    sample = pl.concat([frame.slice(start, rows) for start in _starts(frame.height, rows)])
    plain, packed = io.BytesIO(), io.BytesIO()
    _write(sample, plain, "uncompressed")
    _write(sample, packed, "zstd")
    return "zstd" if packed.tell() < _WORTH * plain.tell() else "uncompressed"


def _starts(height: int, rows: int) -> tuple[int, int, int]:
    """Where pieces of so many rows begin: first, in the middle, last."""
    return 0, (height - rows) // 2, height - rows


def _write(frame: pl.DataFrame, target: Path | io.BytesIO, how: _Compression) -> None:
    level = _ZSTD_LEVEL if how == "zstd" else None
    frame.write_parquet(target, compression=how, compression_level=level, statistics=True, row_group_size=_GROUP_ROWS)


def _save_lazy(frame: pl.LazyFrame, artifacts: ArtifactStore) -> Draft:
    with artifacts.writer() as writer, _disk_errors():
        frame.sink_parquet(
            writer.path, compression="zstd", compression_level=_ZSTD_LEVEL, statistics=True, row_group_size=_GROUP_ROWS
        )
        scan = pl.scan_parquet(writer.path, glob=False)
        schema = scan.collect_schema()
        digest = TableDigest(schema)
        for batch in _batches(scan):
            digest.update(batch)
    return _draft(digest.hexdigest(), digest.rows, schema, writer.blob.size, writer.blob.digest)


def _batches(scan: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows of a file in order, in batches of about `BATCH_BYTES`, each of whole row groups where they are small."""
    total = int(scan.select(pl.len()).collect().item())
    start, rows = 0, min(total, _GROUP_ROWS)
    while start < total:
        batch = scan.slice(start, rows).collect()
        yield batch
        start += batch.height
        wanted = batch_rows(int(batch.estimated_size()), batch.height)
        rows = max(wanted // _GROUP_ROWS, 1) * _GROUP_ROWS


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Give a full disk, which Polars reports as text, its number back; what the user's query raises stays as it is."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        number = _OS_ERROR.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _draft(digest: str, rows: int, schema: pl.Schema, size: int, blob: str) -> Draft:
    metadata = {"rows": rows, "columns": len(schema), "schema": table_schema(schema).to_dict()}
    return Draft(digest, "table", NAME, size, None, blob, metadata)


def _no_frame(kind: Any) -> MaterialiserError:
    return MaterialiserError(
        "a table cannot be given or taken as this type",
        value=kind,
        hint="Annotate with a data frame: polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, …",
    )
