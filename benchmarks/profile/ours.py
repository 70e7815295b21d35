"""Tidemill: ``ours.py TABLE.parquet [MEMORY]``: explore a table, findings and associations included."""

import sys

import polars as pl

import tidemill as tm
from benchmarks.used import report

tm.explore  # noqa: B018  # imported here, as the peers' are


def explore() -> None:
    found = tm.explore(pl.scan_parquet(sys.argv[1]))
    assert len(found.columns) == 30
    assert all(column.exact for column in found.columns)


report(explore)
