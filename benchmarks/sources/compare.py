"""Reading a CSV file of 500 MB beside Polars, and a table of PostgreSQL beside Polars's readers, in one run."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measuring import ROOT, Figure, figure, here, run_script

SCRIPT = Path(__file__).with_name("reading.py")
#: A row without times is about 65 bytes.
ROWS, TABLE_ROWS = 7_700_000, 1_000_000


def run(runs: int, peers: bool) -> list[Figure]:
    """CPU seconds and peak memory of fresh processes that take turns."""
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        plain, dated = Path(folder) / "plain.csv", Path(folder) / "dated.csv"
        frame = table(ROWS)
        frame.write_csv(plain)
        _with_times(frame.head(ROWS // 4)).write_csv(dated)
        figures = _taken("CSV, 500 MB", runs, {"tidemill": "tidemill_csv", "polars": "polars_csv"}, str(plain))
        figures += _taken(
            "CSV with times", runs, {"tidemill": "tidemill_csv", "polars": "polars_csv_with_dates"}, str(dated)
        )
        with postgresql(table(TABLE_ROWS)) as uri:
            figures += _table(uri, runs, peers)
    return figures


def table(rows: int) -> pl.DataFrame:
    """Numbers and texts as flights have them."""
    random = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "distance": random.normal(1000, 300, rows).round(2),
            "delay": random.normal(size=rows).round(9),
            "seats": random.integers(0, 1000, rows),
            "number": random.integers(0, 10**9, rows),
            "note": random.integers(0, 5000, rows),
            "id": np.arange(rows),
        }
    ).with_columns(note=pl.format("name {}", "note"))


def _with_times(frame: pl.DataFrame) -> pl.DataFrame:
    moments = pl.from_epoch(pl.col("number") + 400_000_000, time_unit="s")
    return frame.with_columns(day=moments.dt.date(), at=moments.dt.to_string("iso:strict").str.head(19))


def _taken(what: str, runs: int, readers: dict[str, str], place: str) -> list[Figure]:
    samples: dict[tuple[str, str], list[float]] = {}
    for _ in range(runs):
        for who, reader in readers.items():
            for name, value in run_script(here(), SCRIPT, [reader, place], {"PYTHONPATH": str(ROOT)}).items():
                samples.setdefault((who, name), []).append(value)
    units = {"CPU": "s", "peak memory": "MiB"}
    return [figure(who, f"{what}: {name}", values, units[name]) for (who, name), values in samples.items()]


def _table(uri: str, runs: int, peers: bool) -> list[Figure]:
    rows = uri.replace("postgresql:", "postgresql+psycopg:")
    what = f"PostgreSQL, {TABLE_ROWS:,} rows"
    figures = _taken(what, runs, {"tidemill": "tidemill_table"}, uri)
    figures += _taken(what, runs, {"tidemill, rows of psycopg": "tidemill_table"}, rows)
    if peers:
        readers = {"polars, connectorx": "connectorx_table", "polars, adbc": "adbc_table"}
        figures += _taken(what, runs, {who: reader for who, reader in readers.items() if _has(who)}, uri)
    return figures


def _has(who: str) -> bool:
    """Whether a reader's package is here: connectorx is of no other use, so it is not installed for this alone."""
    import importlib.util

    found = importlib.util.find_spec("connectorx" if "connectorx" in who else "adbc_driver_postgresql") is not None
    if not found:
        print(f"{who}: not installed, left out", file=sys.stderr)
    return found


@contextmanager
def postgresql(frame: pl.DataFrame) -> Iterator[str]:
    """A server of its own with the table `flights`."""
    sys.path.insert(0, str(ROOT / "tests" / "_shared"))
    import psycopg
    from postgres_server import serve

    home = Path(tempfile.mkdtemp(prefix="tidemill-pg-"))
    for uri in serve(home):
        with psycopg.connect(uri) as connection:
            connection.execute(
                "CREATE TABLE flights (origin text, distance float8, delay float8, "
                "seats int, number int, note text, id int)"
            )
            with connection.cursor().copy("COPY flights FROM STDIN (FORMAT csv)") as copy:
                copy.write(frame.write_csv(include_header=False))
        yield uri
