"""Wrong associations send people after nothing; a key that is none multiplies rows in the next join."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.explore import explore
from tidemill.data.profile import measure_column
from tidemill.data.relations.associations import associations, relations
from tidemill.data.relations.coverage import time_coverage
from tidemill.data.relations.keys import key_candidates
from tidemill.data.relations.missing import missing_patterns

RNG = np.random.default_rng(0)
ROWS = 4000


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | st.floats(-50, 50), st.none() | st.floats(-50, 50)), min_size=15, max_size=60))
def test_correlations_with_missing_values_are_those_of_the_complete_pairs(pairs):
    table = pl.DataFrame(pairs, schema={"a": pl.Float64, "b": pl.Float64}, orient="row")
    both = table.drop_nulls()
    expected = both.select(pl.corr("a", "b")).item() if both.height > 9 else None
    found = {item.measure: item.value for item in associations(table)}
    spread = both["a"].std(), both["b"].std()
    if expected is None or expected != expected or min(value or 0 for value in spread) < 0.01:
        return
    if abs(expected) > 0.11:
        assert found["pearson"] == pytest.approx(expected, abs=1e-6)


def test_numbers_too_large_for_their_square_correlate():
    huge = pl.DataFrame({"a": [1e300 * place for place in range(20)], "b": [-1e-300 * place for place in range(20)]})
    assert {(found.measure, round(found.value, 9)) for found in associations(huge)} == {
        ("pearson", -1.0), ("spearman", -1.0),
    }  # fmt: skip


def test_each_kind_of_pair_has_its_measure():
    x, kind = RNG.normal(size=ROWS), RNG.integers(0, 3, ROWS)
    table = pl.DataFrame(
        {
            "x": x,
            "cubed": x**3,
            "kind": [("a", "b", "c")[k] for k in kind],
            "twin": [("A", "B", "C")[k] for k in kind],
            "size": kind * 3 + RNG.normal(size=ROWS),
            "noise": RNG.normal(size=ROWS),
            "dice": [str(v) for v in RNG.integers(0, 6, ROWS)],
            "text": [str(v) for v in range(ROWS)],
        }
    )
    found = {(item.left, item.right, item.measure): item.value for item in associations(table)}
    assert found["x", "cubed", "spearman"] == pytest.approx(1)
    assert 0.7 < found["x", "cubed", "pearson"] < 0.9
    assert found["kind", "twin", "cramers_v"] == pytest.approx(1)
    between = np.var([table.filter(kind=k)["size"].mean() for k in "abc"]) / table["size"].var()
    assert found["size", "kind", "correlation_ratio"] == pytest.approx(between**0.5, abs=0.02)
    assert not [key for key in found if {"noise", "dice", "text"} & set(key)]


def test_the_target_is_told_by_levels():
    x = RNG.normal(size=ROWS)
    port = RNG.choice(["n", "s"], ROWS)
    table = pl.DataFrame({"x": x, "port": port, "late": (x + (port == "n") + RNG.normal(size=ROWS)) > 1, "rest": 1})
    found = {item.column: item for item in relations(table, "late")}
    assert list(found) == ["x", "port"]
    assert found["x"].measure == "auc"
    assert len(found["x"].levels) == 10
    means = [level.mean for level in found["x"].levels]
    assert means == sorted(means)
    assert {level.label: level.mean for level in found["port"].levels}["n"] == table.filter(port="n")["late"].mean()
    numeric = {item.column: item.measure for item in relations(table, "x")}
    assert numeric == {"late": "spearman", "port": "correlation_ratio"}
    three = pl.when(pl.col("x") < -1).then(pl.lit("a")).when(pl.col("x") < 1).then(pl.lit("b")).otherwise(pl.lit("c"))
    classes = relations(table.with_columns(kind=three), "kind")
    assert {item.column: item.measure for item in classes}["x"] == "correlation_ratio"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_a_key_candidate_is_a_key_and_as_small_as_can_be(rows):
    table = pl.DataFrame(rows, schema=["a", "b", "c"], orient="row")
    for key in key_candidates(table, [measure_column(column) for column in table]):
        assert table.select(key).is_unique().all()
        for name in key:
            rest = [other for other in key if other != name]
            assert not rest or not table.select(rest).is_unique().all()


def test_values_missing_together_are_one_pattern():
    a = pl.Series("a", [1.0, None, float("nan"), 4.0])
    found = missing_patterns(
        [measure_column(a).series, pl.Series("b", [None, None, None, 1]), pl.Series("c", [1, 2, 3, 4])]
    )
    assert [(item.columns, item.rows) for item in found] == [(("a", "b"), 2), (("b",), 1)]


def coverage(times):
    return time_coverage(measure_column(pl.Series("at", times)))


def test_holes_are_told_from_rhythm():
    start = datetime(2024, 1, 1)
    days = [start + timedelta(days=i) for i in range(300)]
    weekdays = [day for day in days if day.weekday() < 5]
    assert coverage(weekdays).gaps == ()
    holed = coverage([day for day in weekdays if not 100 <= (day - start).days < 114])
    assert [(gap.after[:10], gap.before[:10]) for gap in holed.gaps] == [("2024-04-09", "2024-04-24")]
    dates = coverage([day.date() for day in days if day.day != 7])
    assert (dates.unit, dates.periods, dates.empty) == ("day", 300, 10)
    assert coverage([start, start]) is None
    assert time_coverage(measure_column(pl.Series([1, 2, 3, 4]))) is None


def test_a_table_larger_than_the_memory_allowed_is_explored_in_batches(tmp_path):
    rows = 400_000
    table = pl.DataFrame(
        {
            "id": range(rows),
            "speed": RNG.gamma(4, 3, rows),
            "kind": RNG.choice(["a", "b", "A "], rows),
            "other": RNG.normal(size=rows),
            "gap": [None, 1] * (rows // 2),
        }
    ).with_columns(speed=pl.when(pl.col("id") == 77_777).then(1e6).otherwise("speed"))
    table.write_parquet(tmp_path / "t.parquet")
    lazy = pl.scan_parquet(tmp_path / "t.parquet")
    whole = explore(lazy)
    batches = explore(lazy, memory=36_000_000)
    assert "all 400,000 rows" in whole.basis["columns"]
    assert "in batches" in batches.basis["columns"]
    assert "on a sample of" in batches.basis["rows"]
    assert {(f.kind, f.column) for f in batches.findings} == {(f.kind, f.column) for f in whole.findings}
    assert batches.keys == whole.keys == (("id",),)
    assert [column.exact for column in batches.columns] == [False, False, True, False, True]
    assert batches.basis["estimates"].endswith("of id, speed, other")
    for found, exact in zip(batches.columns, whole.columns, strict=True):
        if found.exact:
            assert found == exact
            continue
        assert (found.nulls, found.minimum, found.maximum) == (exact.nulls, exact.minimum, exact.maximum)
        assert (found.zeros, found.negatives, found.monotone) == (exact.zeros, exact.negatives, exact.monotone)
        assert found.distinct == pytest.approx(exact.distinct, rel=0.03)
        for name in ("mean", "std", "skewness", "kurtosis", "total"):
            assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-9, abs=1e-9)
        assert all(
            value == pytest.approx(exact.quantiles[share], abs=0.05 * exact.std)
            for share, value in found.quantiles.items()
        )
