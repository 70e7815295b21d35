"""Tables as artifacts: each engine gets its own frame, and none pays for another."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import date, timedelta
from typing import Annotated, Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill.core.errors import CorruptArtifactError, MaterialiserError
from tidemill.core.schema import TableSchema
from tidemill.engine.materialisers import load, save
from tidemill.engine.materialisers.table import TableMaterialiser
from tidemill.testing import materialiser_contract

FRAME = pl.DataFrame({"a": [1, 2, None], "b": ["x", None, "z"], "c": [0.5, 1.5, None]})


def run_python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("check", materialiser_contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(artifacts, check):
    frames = [FRAME, FRAME.head(0), FRAME.select("a"), pl.DataFrame(), pl.DataFrame(height=3)]
    check(TableMaterialiser(), frames, artifacts, lambda left, right: left.equals(right))


def test_a_table_that_stays_as_large_is_stored_without_being_compressed(artifacts):
    numbers = np.random.default_rng(0).normal(size=(3, 400_000))
    measured = pl.DataFrame({f"x{place}": row for place, row in enumerate(numbers)})
    rounded = measured.select(pl.all().round(1))
    half = pl.concat([measured.head(100_000), rounded.select(pl.all() * 0.0)])
    for frame, codec in (
        (measured, "UNCOMPRESSED"), (rounded, "ZSTD"), (half, "ZSTD"), (measured.head(1000), "ZSTD"),
    ):  # fmt: skip
        saved = save(frame, None, artifacts)
        assert pq.ParquetFile(artifacts.path(saved.blob)).metadata.row_group(0).column(0).compression == codec
        assert load(saved, pl.DataFrame, artifacts).equals(frame)


def test_what_is_known_without_loading(artifacts):
    metadata = save(FRAME, pl.DataFrame, artifacts).metadata
    assert (metadata["rows"], metadata["columns"]) == (3, 3)
    assert [column.type for column in TableSchema.from_dict(metadata["schema"])] == ["int64", "string", "float64"]


@pytest.mark.parametrize(
    "annotation", [None, Any, object, pl.DataFrame, Annotated[pl.DataFrame, "x"], pl.DataFrame | None]
)
def test_a_data_frame_unless_asked_otherwise(artifacts, annotation):
    assert load(save(FRAME.lazy(), None, artifacts), annotation, artifacts).equals(FRAME)


@pytest.mark.parametrize(
    ("annotation", "to_polars"),
    [
        (pl.LazyFrame, lambda frame: frame.collect()),
        (pa.Table, pl.from_arrow),
        (pa.RecordBatch, pl.from_arrow),
        (pa.RecordBatchReader, lambda reader: pl.from_arrow(reader.read_all())),
        (duckdb.DuckDBPyRelation, pl.DataFrame),
        (nw.DataFrame, lambda frame: frame.to_native()),
        (nw.DataFrame[Any], lambda frame: frame.to_native()),
        (nw.LazyFrame, lambda frame: frame.collect().to_native()),
        (pd.DataFrame, pl.from_pandas),
    ],
)
@pytest.mark.parametrize("frame", [FRAME, FRAME.head(0)], ids=["rows", "empty"])
def test_each_engine_gets_its_own_frame(artifacts, annotation, to_polars, frame):
    loaded = load(save(frame, None, artifacts), annotation, artifacts)
    assert isinstance(loaded, getattr(annotation, "__origin__", annotation))
    assert to_polars(loaded).equals(frame)


def test_polars_loads_no_other_engine(artifacts):
    """Every worker process would start half a second later and 100 MB heavier."""
    loaded = run_python(
        """
        import sys
        import polars as pl
        from tidemill.engine.materialisers import load, parts, save
        from tidemill.store.artifacts import open_artifacts
        artifacts = open_artifacts(sys.argv[1])
        assert parts(tuple[pl.DataFrame, int]) == {"0": pl.DataFrame, "1": int}
        for frame in (pl.DataFrame({"a": [1]}), pl.LazyFrame({"a": ["x"], "d": [[1]]})):
            load(save(frame, type(frame), artifacts), type(frame), artifacts)
        print(sorted({"pandas", "pyarrow", "duckdb", "narwhals", "fsspec", "altair"} & set(sys.modules)))
        """,
        artifacts.root,
    )
    assert loaded == "[]\n"


def test_plain_values_load_no_engine_at_all(artifacts):
    loaded = run_python(
        """
        import sys
        from tidemill.engine.materialisers import load, save
        from tidemill.store.artifacts import open_artifacts
        artifacts = open_artifacts(sys.argv[1])
        load(save({"a": (1, 2)}, dict, artifacts), dict, artifacts)
        print(sorted({"polars", "numpy", "pandas", "pyarrow"} & set(sys.modules)))
        """,
        artifacts.root,
    )
    assert loaded == "[]\n"


def test_duckdb_needs_no_pyarrow(artifacts):
    loaded = run_python(
        """
        import sys
        sys.modules["pyarrow"] = None
        import duckdb
        from tidemill.engine.materialisers import load, save
        from tidemill.store.artifacts import open_artifacts
        artifacts = open_artifacts(sys.argv[1])
        draft = save(duckdb.sql("SELECT 1 AS a, 'x' AS b"), None, artifacts)
        print(load(draft, duckdb.DuckDBPyRelation, artifacts).fetchall())
        """,
        artifacts.root,
    )
    assert loaded == "[(1, 'x')]\n"


def test_a_lazy_frame_larger_than_memory_is_stored_and_digested(artifacts):
    """A step on a table of 100 GB would be killed, though each of its parts is small."""
    said = run_python(
        """
        import resource, sys
        import polars as pl
        from tidemill.engine.materialisers import save
        from tidemill.store.artifacts import open_artifacts
        artifacts = open_artifacts(sys.argv[1])
        part = sys.argv[1] + ".part"
        pl.select(a=pl.int_range(1_000_000) * 7919 % 1009, b=pl.int_range(1_000_000)).write_parquet(part)
        save(pl.scan_parquet(part).head(1000), None, artifacts)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        draft = save(pl.concat([pl.scan_parquet(part)] * 24), None, artifacts)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(draft.metadata["rows"], grown * 1024)
        """,
        artifacts.root,
    )
    rows, grown = map(int, said.split())
    assert rows == 24_000_000
    assert grown < rows * 16 * 0.4


def test_a_full_disk_is_said_to_be_full(artifacts):
    """Polars says that the file is out of specification."""
    said = run_python(
        """
        import resource, sys
        import numpy as np, polars as pl
        from tidemill.core.errors import OutOfSpaceError
        from tidemill.engine.materialisers import save
        from tidemill.store.artifacts import open_artifacts
        artifacts = open_artifacts(sys.argv[1])
        frame = pl.DataFrame({"a": np.random.default_rng(0).random(100_000)})
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        for value in (frame, frame.lazy(), frame["a"].to_numpy()):
            try:
                save(value, None, artifacts)
            except OutOfSpaceError as error:
                left = [*artifacts.blobs(), *(artifacts.root / "tmp").iterdir()]
                print("no space is left" in str(error), left)
        """,
        artifacts.root,
    )
    assert said == "True []\n" * 3


def test_what_the_users_query_raises_is_left_alone(artifacts):
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        save(FRAME.lazy().select("nowhere"), None, artifacts)
    with pytest.raises(FileNotFoundError):
        save(pl.scan_parquet("nowhere.parquet"), None, artifacts)
    assert list((artifacts.root / "tmp").iterdir()) == []


def test_a_scan_of_a_corrupt_blob_is_refused(artifacts):
    draft = save(FRAME, None, artifacts)
    path = artifacts.path(draft.blob)
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(CorruptArtifactError):
        load(draft, pl.LazyFrame, artifacts)


def test_pandas_keeps_whole_numbers_and_truth_values_that_are_missing(artifacts):
    """Identifiers above 2^53 would come back as other identifiers."""
    frame = pl.DataFrame({"id": [2**60 + 1, None], "flag": [True, None], "small": pl.Series([None, 7], dtype=pl.UInt8)})
    draft = save(frame, None, artifacts)
    loaded = load(draft, pd.DataFrame, artifacts)
    assert loaded["id"][0] == 2**60 + 1
    assert {name: str(dtype) for name, dtype in loaded.dtypes.items()} == {
        "id": "Int64",
        "flag": "boolean",
        "small": "UInt8",
    }
    assert save(loaded, None, artifacts).digest == draft.digest


def test_pandas_rows_filtered_and_sorted_need_no_reset(artifacts):
    frame = pd.DataFrame({"a": [3, 1, 2], "b": ["x", "y", "z"]})
    loaded = load(save(frame[frame["a"] > 1].sort_values("a"), None, artifacts), pd.DataFrame, artifacts)
    assert loaded.to_dict("list") == {"a": [2, 3], "b": ["z", "x"]}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), "reset_index"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, 2], name="id")), "reset_index"),
        (pd.DataFrame({"a": [1, 2], "b": [1, 2]}).set_index(["a", "b"], append=True), "reset_index"),
        (pd.DataFrame({0: [1]}), "text name"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "text name"),
    ],
)
def test_pandas_frames_that_are_no_tables(artifacts, frame, message):
    """An index that held the keys would be lost without a word."""
    with pytest.raises(MaterialiserError, match=message):
        save(frame, None, artifacts)


def test_duckdb_moments_do_not_depend_on_the_machines_zone(artifacts):
    connection = duckdb.connect()
    digests = set()
    for zone in ("UTC", "America/New_York"):
        connection.execute(f"SET TimeZone = '{zone}'")
        digests.add(save(connection.sql("SELECT '2013-01-01 00:00:00+00'::TIMESTAMPTZ AS at"), None, artifacts).digest)
    assert len(digests) == 1


def test_duckdb_intervals(artifacts):
    with pytest.raises(MaterialiserError, match="epoch_us"):
        save(duckdb.connect().sql("SELECT INTERVAL 1 MONTH AS i"), None, artifacts)
    draft = save(pl.DataFrame({"a b": [timedelta(days=1)], "d": [date(2013, 1, 1)]}), None, artifacts)
    assert load(draft, duckdb.DuckDBPyRelation, artifacts).fetchall() == [(timedelta(days=1), date(2013, 1, 1))]


def test_a_stream_of_batches_is_stored_without_holding_it(artifacts):
    schema = pa.schema([("a", pa.int64())])
    seen = []

    def batches():
        for start in range(5):
            seen.append(start)
            yield pa.RecordBatch.from_pydict({"a": [start, start]}, schema)

    draft = save(pa.RecordBatchReader.from_batches(schema, batches()), None, artifacts)
    assert seen == list(range(5))
    assert load(draft, None, artifacts)["a"].to_list() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_form_that_a_table_cannot_take(artifacts):
    with pytest.raises(MaterialiserError, match="a table cannot be given or taken as this type"):
        load(save(FRAME, None, artifacts), int, artifacts)
