"""A few bytes that stand for gigabytes must be refused before they fill the memory of a server."""

from __future__ import annotations

import csv
import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import InvalidRequestError
from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.serving.arrow_packing import is_packed
from tidemill.serving.parquet_packing import unpacked
from tidemill.serving.tables import (
    MAX_BYTES,
    MAX_CELLS,
    Columns,
    TooManyRowsError,
    _checked_csv,
    _even_lines,
    read_chunks,
    read_csv,
)

SIGNATURE = Signature(TableSchema((Column("x", "string"),)), "regression", "y")


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", **options)
    return out.getvalue()


def stream(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def one_long_category(rows: int = 900_000) -> pa.Table:
    codes = pa.array(np.zeros(rows, np.int32))
    return pa.table({"x": pa.DictionaryArray.from_arrays(codes, pa.array(["a" * 1_000_000]))})


def one_long_list() -> bytes:
    length = MAX_CELLS + 1
    return parquet(pa.table({"x": pa.ListArray.from_arrays([0, length], pa.array(np.zeros(length, np.int8)))}))


def long_pages() -> bytes:
    out, part = io.BytesIO(), pa.table({"x": ["\0" * 50_000_000]})
    with pq.ParquetWriter(out, part.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(MAX_BYTES // 50_000_000 + 1):
            writer.write_table(part)
    return out.getvalue()


def lying_footer() -> bytes:
    """The same, and the footer says that each page is of one byte."""
    data, parts = long_pages(), MAX_BYTES // 50_000_000 + 1
    footer, size = len(data) - 8 - int.from_bytes(data[-8:-4], "little"), b""
    number = unpacked(data).size // parts << 1  # as Thrift writes it, seven bits at a time
    while number:
        size, number = size + bytes([number & 0x7F | 0x80 * (number > 0x7F)]), number >> 7
    assert data[footer:].count(size) >= parts
    return data[:footer] + data[footer:].replace(size, b"\x82" + b"\x80" * (len(size) - 2) + b"\x00")


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a category": ("parquet", lambda: parquet(one_long_category())),
    "a text": ("parquet", lambda: parquet(one_long_category(), store_schema=False)),
    "a text whose length overflows 32 bits": ("parquet", lambda: parquet(one_long_category(4295), store_schema=False)),
    "a category in a structure": (
        "parquet", lambda: parquet(pa.table({"x": pa.StructArray.from_arrays(one_long_category()["x"].chunks, ["a"])})),
    ),
    "a list": ("parquet", one_long_list),
    "pages": ("parquet", long_pages),
    "a category of a stream": ("arrow", lambda: stream(one_long_category())),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_unpacks_to_gigabytes_is_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    kind, make = BOMBS[name]
    file = tmp_path / "bomb"
    file.write_bytes(make())
    assert file.stat().st_size < 5_000_000
    code = f"""
import json
from pathlib import Path
from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.serving.tables import TooManyRowsError, read_chunks
signature, said = Signature(TableSchema((Column("x", "string"),)), "regression", "y"), None
try:
    next(iter(read_chunks({kind!r}, Path({str(file)!r}).read_bytes(), signature)))
except TooManyRowsError as error:
    said = str(error)
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]  # of this program alone, in KiB
print(json.dumps([said, int(peak) / 1024]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    said, peak = json.loads(done.stdout)
    assert said is not None
    assert peak < 400


def test_pages_are_believed_and_not_the_footer() -> None:
    """Whoever writes a bomb writes its footer too."""
    told = unpacked(lying_footer())
    assert told.size > MAX_BYTES
    with pytest.raises(TooManyRowsError, match="bytes when it is unpacked"):
        read_chunks("parquet", lying_footer(), SIGNATURE)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"data_page_version": "2.0"}, {"use_dictionary": False}, {"row_group_size": 100}, {"store_schema": False},
        {"write_page_index": True}, {"data_page_size": 64},
    ],
    ids=str,
)  # fmt: skip
def test_an_honest_file_unpacks_to_what_it_holds(options: dict[str, Any]) -> None:
    table = pa.table({"a": [1, 2, None] * 1000, "b": ["x", "yy", None] * 1000, "c": [[1, 2], [3], None] * 1000})
    told = unpacked(parquet(table, **options))
    assert (told.rows, told.values) == (3000, 10_000)
    assert 0 < told.size < 300_000


def test_categories_are_read_as_their_text_and_all_else_as_it_was() -> None:
    frame = pl.DataFrame(
        {
            "x": pl.Series(["a", None, "b"], dtype=pl.Categorical),
            "e": pl.Series(["a", "b", None], dtype=pl.Enum("ab")),
            "d": [timedelta(seconds=1), None, timedelta(0)], "n": pl.Series([1, 2, 3], dtype=pl.UInt8),
            "t": pl.Series([datetime(2013, 1, 1, tzinfo=UTC)] * 3, dtype=pl.Datetime("ms", "America/New_York")),
        }
    )  # fmt: skip
    out = io.BytesIO()
    frame.write_parquet(out)
    every = Signature(TableSchema(tuple(Column(name, "string") for name in frame.columns)), "regression", "y")
    (chunk,) = read_chunks("parquet", out.getvalue(), every)
    assert isinstance(chunk, Columns)
    assert chunk.frame.to_dicts() == frame.to_dicts()


def test_bytes_that_stand_for_many_columns_are_refused() -> None:
    """A stream of a hundred columns of one buffer would unpack to a hundred times its length."""
    data = stream(pa.table({"x": np.arange(100_000), "y": np.arange(100_000)}))
    assert not is_packed(data)
    buffers = struct.pack("<qq", 800_000, 800_000)  # of the second column: its offset and its length
    before, found, after = data.rpartition(buffers)
    assert found
    with pytest.raises(InvalidRequestError, match="share bytes"):
        read_chunks("arrow", before + struct.pack("<qq", 0, 1_600_000) + after, SIGNATURE)


PIECES = ["a", "b", ",", ",", "\n", "\n", "\r\n", "\r", '"', " ", "\ufeff", "\x00", "ü"]


@given(data=st.lists(st.sampled_from(PIECES)).map("".join))
@settings(max_examples=1500)
@example("a,b\n1,2\n\n")
@example("\ufeffa,a\n1,2\n")
@example("a,b\n" + "1" * 200_000 + ",2\n")
def test_lines_that_are_counted_at_a_glance_are_those_of_the_careful_reader(data: str) -> None:
    """A row that only one of two parsers sees would shift every answer behind it."""
    rows = _even_lines(data.encode())
    if rows is not None:
        assert rows == _checked_csv(data.removeprefix("\ufeff"), None)
        assert read_csv(data.encode()).height == rows


def test_a_plain_file_is_counted_at_a_glance() -> None:
    for ends in ("\n", "\r\n"):
        for last in ("", ends):
            assert _even_lines(f"a,b{ends}1,2{ends},{last}".encode()) == 2
    assert _even_lines(b'a,b\n1,"2"\n') is None


@pytest.mark.parametrize("name", ['is "vip"?', "a, b", "two\nlines", '"', 'all, "of"\nthem'])
def test_a_column_is_known_by_its_name_and_not_by_how_a_csv_file_writes_it(name: str) -> None:
    """A model with such a column could not be asked by CSV: an input would seem to be missing."""
    written = io.StringIO()
    csv.writer(written).writerows([[name, "x"], ['a "b"', "2"]])
    for data in (written.getvalue().encode(), b"\xef\xbb\xbf" + written.getvalue().encode()):
        assert read_csv(data).to_dicts() == [{name: 'a "b"', "x": "2"}]
    with pytest.raises(InvalidRequestError, match="repeat"):
        read_csv(b'"a""b","a""b"\n1,2\n')
