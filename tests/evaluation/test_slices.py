"""If these fail, a group that the model fails is averaged away."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.tasks import TASKS
from tidemill.evaluation import slices
from tidemill.evaluation.slices import parts_of
from tidemill.measures import metrics_of


def values(frame, slicing):
    return {value: rows.tolist() for value, rows in parts_of(frame, slicing)}


@given(st.lists(st.none() | st.floats(-100, 100) | st.just(float("nan")), min_size=1, max_size=80))
def test_quarters_lose_no_row(numbers):
    frame = pl.DataFrame({"x": pl.Series(numbers, dtype=pl.Float64)})
    rows = np.concatenate([rows for _, rows in parts_of(frame, "x")])
    assert sorted(rows.tolist()) == list(range(len(numbers)))


def test_values_come_in_their_own_order_and_missing_last():
    frame = pl.DataFrame({"n": [10, 9, None, 10], "s": ["b", None, "a", "b"], "f": [True, False, None, True]})
    assert values(frame, "n") == {"9": [1], "10": [0, 3], "(missing)": [2]}
    assert list(values(frame, "s")) == ["a", "b", "(missing)"]
    assert list(values(frame, "f")) == ["false", "true", "(missing)"]


def test_parts_of_times():
    start = datetime(2013, 1, 31, 23, tzinfo=UTC)
    frame = pl.DataFrame({"t": [start, start + timedelta(hours=2), None], "d": [date(2013, 5, 1)] * 3})
    assert values(frame, "month of t") == {"2013-01": [0], "2013-02": [1], "(missing)": [2]}
    assert list(values(frame, "hour of t")) == ["1", "23", "(missing)"]
    assert list(values(frame, "weekday of t")) == ["4", "5", "(missing)"]
    assert list(values(frame, "quarter of d")) == ["2013-Q2"]
    assert list(values(frame, "week of t")) == ["2013-W05", "(missing)"]


def test_a_column_may_be_called_like_a_part():
    assert values(pl.DataFrame({"month of sale": ["x"]}), "month of sale") == {"x": [0]}


def test_too_many_values_are_measured_together(monkeypatch):
    monkeypatch.setattr(slices, "MAX_SLICES", 3)
    frame = pl.DataFrame({"tail": ["a", "a", "b", "b", "c", "c", "d", "e"]})
    assert values(frame, "tail") == {"a": [0, 1], "b": [2, 3], "c": [4, 5], "(other)": [6, 7]}


def test_categoricals_are_text():
    frame = pl.DataFrame({"c": pl.Series(["z", "a"], dtype=pl.Categorical)})
    assert list(values(frame, "c")) == ["a", "z"]


def test_a_numeric_column_with_one_value_is_one_slice():
    frame = pl.DataFrame({"x": [1.0] * 20 + [float(i) for i in range(2, 20)]})
    parts = values(frame, "x")
    assert sum(map(len, parts.values())) == 38
    assert all(rows for rows in parts.values())
    assert pytest.approx(20) == len(parts["<= 1"])


@pytest.mark.parametrize("task", TASKS)
def test_the_table_of_measures_says_what_is_measured_on_slices(task):
    table = metrics_of(task, (0.1, 0.9))
    sliced = [name for name, found in table.items() if found.on_parts]
    assert 2 <= len(sliced) <= 3
    assert sliced[0] == next(iter(table))
