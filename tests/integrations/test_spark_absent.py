"""Without the large package of Spark everything else must work, and what needs it must say how to get it."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

from tidemill.core.errors import MissingExtraError
from tidemill.data.read import resolve_source
from tidemill.data.sources.shown import shown
from tidemill.engine.materialisers.frames import frame_kind
from tidemill.integrations import spark, spark_frames


@pytest.mark.parametrize("uri", ["spark://local[1]", "spark://", "sc://127.0.0.1:1"])
def test_the_extra_is_named(tmp_path, monkeypatch, uri):
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    with pytest.raises(MissingExtraError, match=r"reading from Spark needs .*'pyspark'.*tidemill\[spark\]"):
        resolve_source("s", root=tmp_path, sources={"s": {"uri": uri, "table": "flights"}})
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(MissingExtraError, match=r"tidemill\[spark\]"):
        spark_frames.read_parquet(tmp_path / "t.parquet", "pyspark.sql.dataframe:DataFrame")


def test_a_spark_table_is_known_by_its_name_alone():
    kind = type("DataFrame", (), {"__module__": "pyspark.sql.dataframe"})
    child = type("DataFrame", (kind,), {"__module__": "pyspark.sql.connect.dataframe"})
    assert frame_kind(child) == "pyspark.sql.dataframe:DataFrame"
    assert frame_kind(type("DataFrame", (), {"__module__": "pyspark.pandas.frame"})) is None
    code = (
        "import sys, tidemill.integrations.spark, tidemill.integrations.spark_frames; print('pyspark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_token_of_spark_connect_is_not_shown():
    assert shown("sc://h:1/;token=abc;user_id=ann") == "sc://h:1/;token=***;user_id=ann"
    assert spark._literal("a\\'b", "string") == "CAST(X'615c2762' AS STRING)"
