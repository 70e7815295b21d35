"""A table of 5 GiB, as Parquet and as CSV, explored within 2 GiB of memory; no profiler beside us does that."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.measuring import ROOT, Figure, collect
from benchmarks.measuring import here as interpreter
from benchmarks.profile.compare import rows_of
from benchmarks.profile.table import table

FOLDER = Path(__file__).parent
PART, BYTES = 1_000_000, 5 * 2**30


def run(runs: int, peers: bool) -> list[Figure]:
    """Both figures, of one run each: it takes minutes and 9 GB of disk."""
    del runs, peers
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        for path in (Path(folder) / "table.parquet", Path(folder) / "table.csv"):
            rows = write(path)
            samples = collect(1, interpreter(), FOLDER / "ours.py", [str(path)], {"PYTHONPATH": str(ROOT)})
            path.unlink()
            what = f"{rows // PART} M rows x 30 columns as {path.suffix[1:]}"
            shown = {"peak_mib": (f"{what}: peak memory", "MiB", 2048.0), "cpu_s": (f"{what}: CPU", "s", None)}
            figures += rows_of("tidemill", samples, shown)
    return figures


def write(path: Path) -> int:
    """Write parts of the profile's table until they would take 5 GiB in memory; the number of rows."""
    rows, size = 0, 0
    writer = None
    with path.open("wb") as file:
        while size < BYTES:
            part = table(PART, seed=rows + 1, start=rows)
            size += int(part.estimated_size())
            if path.suffix == ".csv":
                part.write_csv(file, include_header=rows == 0)
            else:
                arrow = part.to_arrow()
                writer = writer or pq.ParquetWriter(file, arrow.schema)
                writer.write_table(arrow, row_group_size=131_072)
            rows += PART
        if writer is not None:
            writer.close()
    return rows
