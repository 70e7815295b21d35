"""Tidemill: ``ours.py FILE``: read and explore a Parquet or CSV file within 2 GiB of memory."""

import sys

import tidemill as tm
from benchmarks.used import report

tm.explore  # noqa: B018  # imported before it is timed


def explore() -> None:
    found = tm.explore(tm.read(sys.argv[1]), memory="2 GiB")
    assert len(found.columns) == 30
    assert not all(column.exact for column in found.columns)


report(explore)
