"""Tidemill: ``ours.py FILE``: explore a Parquet or CSV file within 2 GiB of memory."""

import sys

import polars as pl

import tidemill as tm
from benchmarks.used import report

MEMORY = 2 * 2**30
tm.explore  # noqa: B018  # imported before it is timed


def explore() -> None:
    name = sys.argv[1]
    found = tm.explore(pl.scan_csv(name) if name.endswith(".csv") else pl.scan_parquet(name), memory=MEMORY)
    assert len(found.columns) == 30
    assert not all(column.exact for column in found.columns)


report(explore)
