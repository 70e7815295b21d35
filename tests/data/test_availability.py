"""A column that is known too late must be named by its declared time, whatever it is called."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from tidemill.core.errors import SchemaError
from tidemill.data.availability import declared_availability, leaks, single_column_auc, source_availability
from tidemill.data.sources.source import Source

TRIPS = pl.DataFrame(
    {
        "dep": [datetime(2013, 1, 1, 12)] * 4,
        "left": [datetime(2013, 1, 1, 9), datetime(2013, 1, 1, 13), None, None],
        "innocent": [1, 2, 3, None],
        "dep_delay": [5, 6, 7, 8],
        "late": [False, True, True, False],
    }
)


def test_the_declared_time_decides_and_not_the_name():
    found = leaks(TRIPS, {"innocent": "left"}, "dep - 2h", target="late", columns=["innocent", "dep_delay"])
    assert [leak.column for leak in found] == ["innocent"]
    (leak,) = found
    assert leak.late == 0.5  # one is three hours late, one is never known; a missing value gives nothing away
    assert leak.lateness == 3 * 3600
    assert leak.auc == 1.0


def test_a_column_known_in_time_is_no_leak():
    assert leaks(TRIPS, {"innocent": "dep - 1d", "dep_delay": "always"}, "dep", target="late") == []


def test_the_moment_when_something_is_known_is_itself_known_only_then():
    assert [leak.column for leak in leaks(TRIPS, {"x": "left"}, "dep")] == ["left"]


def test_what_cannot_be_checked_is_not_passed():
    with pytest.raises(SchemaError, match="'innocent' is declared to be known at 'landed'"):
        leaks(TRIPS, {"innocent": "landed"}, "dep")


def test_declarations():
    source = Source("f", "f.csv", None, "dep", {"delay": "left", "*": "always"})
    assert source_availability(source, ["delay", "carrier"]) == {"delay": "left", "carrier": "always"}
    sources = {"a": {"uri": "a.csv", "available_at": {"x": "t", "*": "u"}}, "b": {"uri": "b.csv"}}
    assert declared_availability(sources) == {"x": "t"}
    with pytest.raises(SchemaError, match="'a' and 'c'"):
        declared_availability({**sources, "c": {"uri": "c.csv", "available_at": {"x": "other"}}})


def test_evidence():
    target = pl.Series([0, 0, 1, 1])
    assert single_column_auc(pl.Series([4, 3, 2, 1]), target) == 1.0
    assert single_column_auc(pl.Series(["a", "b", "a", "b"]), target) == 0.5
    assert single_column_auc(pl.Series([1, 2, 3, 4]), pl.Series([1.5, 2.5, 3.5, 4.5])) is None
    assert single_column_auc(pl.Series([[1], [2], [3], [4]]), target) is None
