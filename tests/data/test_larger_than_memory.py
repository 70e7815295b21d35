"""Exploring a table larger than the memory allowed must not take the machine down with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ALLOWED = 160 * 1024**2
#: The reader of CSV maps the file and keeps chunks in flight, whatever memory is allowed; that does not grow with it.
OF_THE_READER = {"parquet": 0, "csv": 256 * 1024**2}
CHILD = """
import json, resource, sys
import polars as pl
from tidemill.data.explore import explore
path, memory = sys.argv[1], int(sys.argv[2])
scan = pl.scan_csv if path.endswith("csv") else pl.scan_parquet
found = explore(scan(path), memory=memory)
print(json.dumps({
    "rows": found.rows, "basis": found.basis["columns"],
    "columns": {column.name: [column.distinct, column.exact, column.nulls, column.maximum] for column in found.columns},
    "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
}))
"""


def explored(path: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(ALLOWED)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_of_three_times_the_memory_is_explored_within_it(tmp_path, kind):
    rows = 6_000_000
    row = pl.int_range(rows)
    table = pl.LazyFrame().select(
        row.alias("id"),
        ((row * 2_654_435_761) % rows).alias("mixed"),
        ((row * 48_271) % 1_000_003 / 7).alias("part"),
        pl.when(row % 10 > 0).then(row % 100).alias("gaps"),
        *((row * 31 + place).hash(place).mod(10_000_000).alias(f"wide_{place}") for place in range(5)),
        ("customer-" + (row % 300_000).cast(pl.String)).alias("customer"),
        ("kind " + (row % 7).cast(pl.String)).alias("kind"),
    )
    large, small = tmp_path / f"large.{kind}", tmp_path / f"small.{kind}"
    frame = table.collect()
    assert frame.estimated_size() > 3 * ALLOWED
    for path, part in ((large, frame), (small, frame.head(1000))):
        part.write_csv(path) if kind == "csv" else part.write_parquet(path, row_group_size=100_000)
    found, base = explored(large), explored(small)
    assert found["rows"] == rows
    assert "in batches" in found["basis"]
    assert (found["kib"] - base["kib"]) * 1024 < ALLOWED + OF_THE_READER[kind]
    columns = found["columns"]
    assert columns["id"] == [rows, False, 0, rows - 1]
    assert columns["gaps"] == [90, True, rows // 10, 99]
    assert columns["kind"] == [7, True, 0, "kind 6"]
    assert columns["part"][0] == pytest.approx(1_000_003, rel=0.03)
    assert columns["customer"][:2] == [pytest.approx(300_000, rel=0.03), False]
