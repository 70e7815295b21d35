"""The digest of a table: if it moved with the engine, the cache would never hit; if it missed a change, it lied."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

import duckdb
import narwhals as nw
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from tidemill.core.errors import MaterialiserError
from tidemill.engine.materialisers import save
from tidemill.engine.materialisers.table_digest import TableDigest, digest_frame, table_schema, type_text

DTYPES = [
    *(
        pl.Boolean,
        pl.Int8,
        pl.Int16,
        pl.Int32,
        pl.Int64,
        pl.UInt8,
        pl.UInt16,
        pl.UInt32,
        pl.UInt64,
        pl.Float32,
        pl.Float64,
    ),
    *(pl.String, pl.Binary, pl.Date, pl.Time, pl.Null, pl.Categorical, pl.Enum(["b", "a"]), pl.Decimal(12, 3)),
    *(pl.Datetime("ms"), pl.Datetime("us", "UTC"), pl.Datetime("ns", "Europe/Paris"), pl.Duration("us")),
    *(
        pl.List(pl.Int64),
        pl.List(pl.List(pl.String)),
        pl.Array(pl.Int16, 2),
        pl.Struct({"x": pl.Int64, "y": pl.List(pl.String)}),
    ),
    *(pl.List(pl.Struct({"a": pl.Float64, "b": pl.Boolean})), pl.Array(pl.Array(pl.Float32, 2), 3)),
]
frames = dataframes(
    min_cols=0,
    max_cols=4,
    max_size=12,
    allowed_dtypes=DTYPES,
    allow_null=True,
    allow_chunks=True,
)
checked = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@checked
@given(frames, st.lists(st.integers(0, 12), max_size=4))
def test_it_does_not_matter_where_a_table_is_cut(frame, cuts):
    digest = TableDigest(frame.schema)
    edges = sorted({0, frame.height, *(cut for cut in cuts if cut < frame.height)})
    for start, end in pairwise(edges):
        digest.update(frame.slice(start, end - start))
    assert digest.rows == frame.height
    assert digest.hexdigest() == digest_frame(frame) == digest_frame(frame.rechunk())


@checked
@given(frames)
def test_it_survives_the_file(artifacts, frame):
    draft = save(frame, None, artifacts)
    assert draft.digest == digest_frame(frame)
    assert digest_frame(pl.read_parquet(artifacts.path(draft.blob), glob=False)) == draft.digest
    assert save(frame.lazy(), None, artifacts).digest == draft.digest


@checked
@given(frames)
def test_it_is_the_same_for_arrow(artifacts, frame):
    assume(frame.width)
    digest = digest_frame(frame)
    table = frame.to_arrow()
    assert save(table, None, artifacts).digest == digest
    assert save(table.to_reader(3), None, artifacts).digest == digest
    assert save(nw.from_native(table), None, artifacts).digest == digest


@checked
@given(frames, frames)
def test_different_tables_have_different_digests(left, right):
    if digest_frame(left) == digest_frame(right):
        assert left.schema == right.schema
        assert left.equals(right)


COMMON = pl.DataFrame(
    {
        "whole": pl.Series([1, 2, 3], dtype=pl.Int64),
        "small": pl.Series([1, 2, 3], dtype=pl.UInt8),
        "real": [1.5, -0.0, None],
        "text": ["x", None, "é"],
        "flag": pl.Series([True, None, False]),
        "raw": [b"\xff\x00", None, b""],
        "at": pl.Series([datetime(2013, 1, 1, 5), None, datetime(1969, 1, 1)], dtype=pl.Datetime("us")),
        "zoned": pl.Series([datetime(2013, 7, 1, tzinfo=UTC), None, None], dtype=pl.Datetime("us", "UTC")),
        "clock": [time(1, 2, 3), None, time(0)],
        "nested": [[{"a": "x"}], None, []],
    }
)


def test_every_engine_gives_one_digest(artifacts):
    """A team that mixes engines would never have a cache hit."""
    digest = digest_frame(COMMON)
    arrow = COMMON.to_arrow()
    held = {
        "lazy": COMMON.lazy(),
        "arrow": arrow,
        "batch": arrow.combine_chunks().to_batches()[0],
        "reader": arrow.to_reader(1),
        "pandas": COMMON.to_pandas(use_pyarrow_extension_array=True),
        "duckdb": duckdb.connect().from_arrow(arrow),
        "narwhals": nw.from_native(COMMON),
        "narwhals lazy": nw.from_native(COMMON.lazy()),
        "narwhals arrow": nw.from_native(arrow),
        "narwhals duckdb": nw.from_native(duckdb.connect().from_arrow(arrow)),
    }
    assert {name: save(frame, None, artifacts).digest == digest for name, frame in held.items()} == dict.fromkeys(
        held, True
    )


def test_numpy_backed_pandas_has_the_digest_of_what_it_can_hold(artifacts):
    frame = COMMON.select("whole", "small", "real", "text", "at", "zoned")
    assert save(frame.to_pandas(), None, artifacts).digest == digest_frame(frame)


def test_missing_values_hide_what_lies_under_them():
    """Arrow buffers hold anything where a value is missing; the table is the same."""
    mask = pa.py_buffer(b"\x05")
    one, other = (
        pl.from_arrow(
            pa.table({"a": pa.Array.from_buffers(pa.int64(), 3, [mask, pa.py_buffer(np.array(raw).tobytes())])})
        )
        for raw in ([1, 2, 3], [1, 99, 3])
    )
    assert digest_frame(one) == digest_frame(other)


def test_every_nan_is_one_nan_and_no_missing_value():
    payload = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype=np.uint64).view(np.float64)
    plain = np.array([np.nan, np.nan])
    assert digest_frame(pl.DataFrame({"a": payload})) == digest_frame(pl.DataFrame({"a": plain}))
    assert digest_frame(pl.DataFrame({"a": plain})) != digest_frame(
        pl.DataFrame({"a": [None, None]}, schema={"a": pl.Float64})
    )


BASE = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})


@pytest.mark.parametrize(
    "changed",
    [
        BASE.reverse(),
        BASE.select("b", "a"),
        BASE.rename({"a": "A"}),
        BASE.head(2),
        BASE.with_columns(pl.col("a").cast(pl.Int32)),
        BASE.with_columns(pl.col("a").cast(pl.Float64)),
        BASE.with_columns(a=pl.Series([1, 2, 4])),
        BASE.with_columns(a=pl.Series([1, 2, None])),
        BASE.with_columns(b=pl.Series(["x", "y", ""])),
        BASE.with_columns(b=pl.Series(["xy", "", None])),
        BASE.with_columns(b=pl.Series(["x", None, "y"])),
        BASE.with_columns(pl.col("b").cast(pl.Categorical)),
        BASE.with_columns(pl.col("b").cast(pl.Enum(["x", "y"]))),
        BASE.with_columns(pl.col("b").cast(pl.Binary)),
        BASE.with_columns(c=pl.lit(None)),
        BASE.drop("b"),
    ],
)
def test_any_change_changes_it(changed):
    assert digest_frame(changed) != digest_frame(BASE)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([[1], [2, 3]], [[1, 2], [3]]),
        ([[], None], [None, []]),
        ([[None]], [[]]),
        ([{"x": None}], [None]),
        ([0.0], [-0.0]),
        ([Decimal("1.0")], [Decimal("1.1")]),
        ([date(2013, 1, 1)], [date(2013, 1, 2)]),
        ([timedelta(1)], [timedelta(2)]),
    ],
)
def test_close_calls_differ(left, right):
    dtype = pl.Struct({"x": pl.Int64}) if isinstance(left[0], dict) else None
    one, other = (pl.DataFrame({"a": pl.Series(values, dtype=dtype)}) for values in (left, right))
    assert digest_frame(one) != digest_frame(other)


def test_the_type_of_a_time_counts():
    moments = pl.Series("a", [datetime(2013, 1, 1)])
    types = [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns")]
    digests = {digest_frame(moments.cast(kind).to_frame()) for kind in types}
    digests |= {digest_frame(moments.dt.replace_time_zone(zone).to_frame()) for zone in ("UTC", "Europe/Paris")}
    assert len(digests) == 5


def test_known_digests_never_change():
    """After an upgrade of Tidemill or Polars every cache would be cold and every stored digest wrong."""
    assert digest_frame(pl.DataFrame()) == KNOWN["empty"]
    assert digest_frame(BASE) == KNOWN["base"]
    assert digest_frame(COMMON) == KNOWN["common"]


KNOWN = {
    "empty": "fcfffff1401f004a817455bb88a7b62e2ad6929edf78640f141c321394bef1b3",
    "base": "5ff79dea05a12e7b73bc2cce7e34c25de6871f1f168dbc9e1d62459e3dccca91",
    "common": "96a0ea7d9989472a29aa45ac1655fe8a68a8b5ed1d941e7045713e0f48fb05de",
}


def test_rows_without_columns_count():
    assert digest_frame(pl.DataFrame(height=2)) != digest_frame(pl.DataFrame(height=3))


def test_the_parts_of_a_type_cannot_be_confused():
    names = [
        pl.Struct({"a: int64, b": pl.Int64}),
        pl.Struct({"a": pl.Int64, "b": pl.Int64}),
        pl.Enum(["a, b"]),
        pl.Enum(["a", "b"]),
    ]
    assert len({type_text(kind, "c") for kind in names}) == 4


def test_a_type_that_no_table_holds_is_named():
    frame = pl.DataFrame({"ok": [1], "odd": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(MaterialiserError, match="column 'odd'"):
        digest_frame(frame)
    with pytest.raises(MaterialiserError, match="Int128"):
        table_schema(pl.Schema({"big": pl.Int128()}))


def test_files_of_other_writers_do_not_matter(tmp_path, artifacts):
    """The same table in another Parquet file, with other row groups and compression, is the same table."""
    pq.write_table(COMMON.to_arrow(), tmp_path / "other.parquet", row_group_size=1, compression="snappy")
    assert save(pl.scan_parquet(tmp_path / "other.parquet"), None, artifacts).digest == digest_frame(COMMON)
