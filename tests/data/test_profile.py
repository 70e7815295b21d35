"""The profile is what contracts, cleaning and reports are made from: a wrong figure in it is wrong in all of them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.column_streams import stream_of
from tidemill.data.distinct import DistinctSketch
from tidemill.data.explore import explore
from tidemill.data.profile import measure_column
from tidemill.data.relations.coverage import time_coverage

ODD = {
    "infinite": pl.Series([1.0, float("inf"), float("-inf"), float("nan"), None]),
    "huge": pl.Series([2**63, 2**64 - 1, 0], dtype=pl.UInt64),
    "wide": pl.Series([2**100, 1, None], dtype=pl.Int128),
    "accounts": pl.Series([2**100, 2**100 + 1, 2**100 + 1], dtype=pl.Int128),
    "money": pl.Series([Decimal("1.10"), Decimal("1.10"), None]),
    "half": pl.Series([0.5, 1.5], dtype=pl.Float32),
    "bytes": pl.Series([b"a", b"b", None]),
    "span": pl.Series([timedelta(hours=2), None, timedelta(days=400)]),
    "level": pl.Series(["low", "high", None], dtype=pl.Enum(["low", "high"])),
    "kind": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
    "list": pl.Series([[1], [1], None]),
    "struct": pl.Series([{"a": 1}, {"a": 2}]),
    "null": pl.Series([None, None]),
    "flag": pl.Series([True, None, False, True]),
    "day": pl.Series([date(2024, 1, 1), date(2024, 1, 2)]),
    "none": pl.Series([], dtype=pl.Float64),
    "no words": pl.Series([], dtype=pl.String),
}


def streamed(series, limit=10**6, size=3):
    stream = stream_of(series.name, series.dtype, limit)
    for start in range(0, series.len(), size):
        stream.add(series[start : start + size])
    return stream.measured(series)


@pytest.mark.parametrize("name", ODD)
def test_every_type_has_a_profile_that_json_can_hold_whole_or_in_batches(name):
    series = ODD[name].alias(name)
    profile = measure_column(series).profile
    assert profile.rows == series.len()
    assert streamed(series).profile == profile
    json.dumps(explore(series.to_frame()).to_dict(), allow_nan=False)


def test_odd_values_are_counted_and_not_averaged():
    infinite = measure_column(ODD["infinite"]).profile
    assert (infinite.nulls, infinite.infinite, infinite.mean, infinite.total) == (2, 2, 1.0, 1.0)
    assert (infinite.minimum, infinite.maximum) == ("-inf", "inf")
    assert measure_column(ODD["huge"]).profile.maximum == 2**64 - 1
    assert measure_column(ODD["money"]).profile.distinct == 1
    assert measure_column(ODD["accounts"]).profile.distinct == 2
    assert measure_column(ODD["flag"]).profile.top == ((True, 2), (False, 1))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.none() | st.integers(-4, 4), max_size=30)
    | st.lists(st.none() | st.floats(-9, 9), max_size=30)
    | st.lists(st.none() | st.sampled_from(["a", "B", "é", "long word", ""]), max_size=30),
    st.integers(1, 7),
)
def test_batches_make_the_profile_of_the_whole(values, size):
    series = pl.Series("x", values)
    if series.dtype != pl.Null:
        assert streamed(series, size=size).profile == measure_column(series).profile


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-300, 300) | st.floats(-9, 9), min_size=20, max_size=200), st.integers(1, 50))
def test_what_is_not_estimated_stays_exact(values, size):
    series = pl.Series("x", values, dtype=pl.Float64)
    whole, found = measure_column(series).profile, streamed(series, limit=4, size=size).profile
    for name in ("rows", "nulls", "minimum", "maximum", "zeros", "negatives", "infinite", "monotone"):
        assert getattr(found, name) == getattr(whole, name)
    assert found.mean == pytest.approx(whole.mean, abs=1e-9)
    assert found.std == pytest.approx(whole.std, abs=1e-6)
    assert found.total == pytest.approx(whole.total, abs=1e-6)
    if not found.exact:
        assert found.distinct <= found.rows
        assert sum(found.histogram["counts"]) == found.rows


def test_an_estimate_never_makes_a_column_a_key():
    shuffled = np.random.default_rng(3).permutation(50_000)
    estimated = streamed(pl.Series("id", shuffled), limit=1000, size=5000).profile
    assert not estimated.exact
    assert estimated.distinct < 50_000
    assert estimated.distinct == pytest.approx(50_000, rel=0.03)
    in_order = streamed(pl.Series("id", np.arange(50_000)), limit=1000, size=5000).profile
    assert in_order.distinct == 50_000


@pytest.mark.parametrize("count", [0, 1, 100, 10_000, 60_000, 400_000])
def test_distinct_values_are_told_within_three_per_cent(count):
    sketch = DistinctSketch()
    for _ in range(2):
        sketch.add(pl.Series(np.arange(count)).hash(1).to_numpy())
    assert sketch.estimate() == pytest.approx(count, rel=0.03)


def test_text_has_its_lengths_and_its_most_frequent_words():
    words = pl.Series("w", ["b"] * 3 + ["aa"] * 3 + [f"word {place:03}" for place in range(40)])
    profile = measure_column(words).profile
    assert profile.top[:3] == (("aa", 3), ("b", 3), ("word 000", 1))
    assert len(profile.top) == 20
    assert profile.lengths == {"shortest": 1, "mean": (3 + 6 + 8 * 40) / 46, "longest": 8}


@pytest.mark.parametrize("kind", [pl.Datetime("us"), pl.Datetime("ms", "UTC")])
def test_the_holes_of_a_time_column_are_found_in_batches_and_none_is_made_up(kind):
    minutes = pl.Series("at", np.arange(60_000) * 60_000).cast(pl.Datetime("ms")).cast(kind)
    for series, gaps in ((minutes, []), (minutes[:20_000].extend(minutes[30_000:]), ["1970-01-14T21:00:00"])):
        stream = stream_of("at", kind, 500)
        for start in range(0, series.len(), 7000):
            stream.add(series[start : start + 7000])
        found = time_coverage(stream.covering(stream.measured(series.gather_every(100))))
        assert [gap.after[:19] for gap in found.gaps] == gaps
        assert (found.unit, found.last) == ("hour", measure_column(series).profile.maximum)


def test_times_all_over_the_place_have_no_coverage(monkeypatch):
    monkeypatch.setattr("tidemill.data.column_streams._MOST_PERIODS", 100)
    stream = stream_of("at", pl.Datetime("ms"), 10)
    times = pl.Series("at", np.arange(1000) * 3_600_000).cast(pl.Datetime("ms"))
    for start in range(0, 1000, 90):
        stream.add(times[start : start + 90])
    assert time_coverage(stream.covering(stream.measured(times))) is None
