"""Score a table into Parquet, SQLite and PostgreSQL: rows for each second of CPU time, beside the model alone.

Gradient boosting of 100 trees, 20 numbers and an entity. "The model alone" is what the native library, and ONNX Runtime
on one thread, take for the encoded matrix; what scoring adds to it is reading, checking, encoding, deciding, digests
and writing. A file is also predicted on the command line, and sent to a server in this process, which logs every row.
"By hand" reads the same file, asks the faster engine and writes its scores with Polars, nothing else. CPU time of the
process on one thread, so that a busy machine does not decide; PostgreSQL's own is not in it.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.measuring import Figure, collect, figure, here

HERE = Path(__file__).parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(runs: int, peers: bool) -> list[Figure]:
    """Medians over runs; the share is of the faster engine's throughput."""
    del peers  # the peer is the library itself
    samples = collect(runs, here(), HERE / "ours.py", environment=ONE_THREAD)
    targets = {
        "into Parquet, of the model alone": 80.0,
        "into Parquet, of by hand": 80.0,
        "into SQLite": 100_000.0,
        "into PostgreSQL": 100_000.0,
    }
    units = {what: "%" if ", of" in what else "rows/s CPU" for what in samples}
    return [
        figure("the library" if what.startswith(("the model", "by hand")) else "tidemill", what, values, units[what],
               targets.get(what))
        for what, values in samples.items()
    ]  # fmt: skip
