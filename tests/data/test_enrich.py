"""A join that loses, doubles, reorders or looks ahead spoils every model behind it without an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.enrich import asof_join, key_join

START = datetime(2013, 1, 1)
keys = st.sampled_from(["a", "b", None])
moments = st.one_of(st.none(), st.integers(0, 12))


def hours(number: int | None) -> datetime | None:
    return None if number is None else START + timedelta(hours=number)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(keys, moments), max_size=20),
    st.lists(st.tuples(keys, moments), max_size=20),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_as_of_equals_its_definition(rows, readings, tolerance, exact):
    schema = {"k": pl.String, "t": pl.Datetime("us")}
    left = pl.DataFrame([(k, hours(t)) for k, t in rows], schema=schema, orient="row")
    right = pl.DataFrame([(k, hours(t)) for k, t in readings], schema=schema, orient="row").with_row_index("v")
    out = asof_join(
        left, right, left_time="t", right_time="t", by="k", columns=["v"], allow_exact=exact,
        tolerance=None if tolerance is None else f"{tolerance}h", keep_time="seen",
    )  # fmt: skip
    expected = []
    for k, t in rows:
        known = [
            (when, index)
            for index, (key, when) in enumerate(readings)
            if None not in (k, t, key, when) and key == k and (when <= t if exact else when < t)
            and (tolerance is None or t - when <= tolerance)
        ]  # fmt: skip
        expected.append(max(known) if known else (None, None))
    assert out.table.select("k", "t").equals(left)
    assert out.table["v"].to_list() == [index for _, index in expected]
    assert out.table["seen"].to_list() == [hours(when) for when, _ in expected]
    assert out.report.matched == sum(index is not None for _, index in expected)
    assert out.report.availability == {"v": "seen"}


def test_as_of_across_zones_units_and_shifts():
    left = pl.DataFrame({"dep": [datetime(2013, 1, 1, 12, tzinfo=UTC)]})
    right = pl.DataFrame({"t": [datetime(2013, 1, 1, hour) for hour in (9, 10, 11)], "x": [9, 10, 11]}).with_columns(
        pl.col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York").dt.cast_time_unit("ms")
    )
    out = asof_join(left, right, left_time="dep - 2h", right_time="t", prefix="w_")
    assert out.table["w_x"].to_list() == [10]
    assert out.table["dep"].to_list() == left["dep"].to_list()
    naive = right.with_columns(pl.col("t").dt.replace_time_zone(None))
    with pytest.raises(SchemaError, match="with and without a zone"):
        asof_join(left, naive, left_time="dep", right_time="t")
    with pytest.raises(UsageError, match="another column"):
        asof_join(left, right, left_time="dep", right_time="t", keep_time="x")


def test_a_key_join_keeps_every_row_and_reports_what_did_not_match():
    left = pl.DataFrame({"dest": ["MIA", "SJU", None, "SJU", "IAH"], "row": range(5)})
    right = pl.DataFrame({"faa": ["IAH", "MIA"], "name": [None, "Miami"], "tz": [-6, -5]})
    out = key_join(left, right, {"dest": "faa"}, columns=["name"], prefix="dest_")
    assert out.table.rows() == [
        ("MIA", 0, "Miami"),
        ("SJU", 1, None),
        (None, 2, None),
        ("SJU", 3, None),
        ("IAH", 4, None),
    ]
    assert (out.report.matched, out.report.missing_keys, out.report.unmatched) == (2, 1, (("SJU", 2),))
    assert out.report.match_rate == pytest.approx(0.4)


def test_joins_that_would_multiply_or_replace_are_refused():
    left = pl.DataFrame({"k": ["a"], "x": [1]})
    with pytest.raises(DataError, match="rows would multiply"):
        key_join(left, pl.DataFrame({"k": ["a", "a"], "y": [1, 2]}), "k")
    with pytest.raises(SchemaError, match="would replace"):
        key_join(left, pl.DataFrame({"k": ["a"], "x": [2]}), "k")
    with pytest.raises(SchemaError, match="differ in type"):
        key_join(left, pl.DataFrame({"k": [1], "y": [2]}), "k")


def test_a_join_without_a_key_says_so():
    with pytest.raises(UsageError, match="needs a key"):
        key_join(pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]}), [])


@pytest.mark.parametrize("name", ["found:", "time:", "known:", "row:"])
def test_a_column_named_like_one_that_the_join_works_with_is_refused_by_name(name):
    left, right = pl.DataFrame({"k": [1], name: [2]}), pl.DataFrame({"k": [1], "v": [3]})
    with pytest.raises(SchemaError, match=f"named like those that a join works with: \\['{name}'\\]"):
        key_join(left, right, "k")
    with pytest.raises(SchemaError, match="named like those"):
        key_join(left.select("k"), right.rename({"v": name}), "k")
