"""One read in a fresh process; prints the CPU seconds that it took, imports left out, and the peak of memory."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def tidemill_csv(path: str) -> Callable[[], object]:
    import tidemill as tm

    read = tm.read
    return lambda: read(path).collect()


def polars_csv(path: str) -> Callable[[], object]:
    import polars as pl

    return lambda: pl.scan_csv(path).collect()


def polars_csv_with_dates(path: str) -> Callable[[], object]:
    import polars as pl

    return lambda: pl.scan_csv(path, try_parse_dates=True).collect()


def digest(path: str) -> Callable[[], object]:
    return lambda: hashlib.sha256(Path(path).read_bytes()).hexdigest()


def tidemill_table(uri: str) -> Callable[[], object]:
    from tidemill.data.read import resolve_source, scan_source

    sources = {"s": {"uri": uri, "table": "flights"}}
    here = Path()
    return lambda: scan_source(resolve_source("s", root=here, sources=sources), root=here).collect()


def polars_table(uri: str, engine: str) -> Callable[[], object]:
    import polars as pl

    return lambda: pl.read_database_uri("SELECT * FROM flights", uri, engine=engine)


READS = {
    "tidemill_csv": tidemill_csv,
    "polars_csv": polars_csv,
    "polars_csv_with_dates": polars_csv_with_dates,
    "digest": digest,
    "tidemill_table": tidemill_table,
    "connectorx_table": lambda uri: polars_table(uri, "connectorx"),
    "adbc_table": lambda uri: polars_table(uri, "adbc"),
}


if __name__ == "__main__":
    read = READS[sys.argv[1]](sys.argv[2])
    before = cpu()
    read()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"CPU": cpu() - before, "peak memory": peak}))
