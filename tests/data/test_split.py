"""A split that mixes past and future, or the same entity on both sides, measures a model that does not exist."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.digests import digest_value
from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.split import by_group, by_share, by_time, split

TABLE = pl.DataFrame(
    {
        "at": [datetime(2013, 1, 1) + timedelta(hours=12 * i) for i in range(100)],
        "who": [f"w{i % 20}" for i in range(100)],
        "x": range(100),
        "late": [i % 3 == 0 for i in range(100)],
    }
)


def test_by_time_puts_boundaries_into_the_later_part():
    parts = split(TABLE.reverse(), by_time("2013-01-11", "2013-01-21T12:00", time="at"), "late")
    assert parts.train["at"].max() < datetime(2013, 1, 11) == parts.validation["at"].min()
    assert parts.test["at"].min() == datetime(2013, 1, 21, 12)
    assert parts.spec.rows == {"train": 20, "validation": 21, "test": 59}
    assert parts.spec.features == ("who", "x")
    assert parts.train["x"].to_list() == list(range(19, -1, -1))  # rows keep their order
    assert parts.spec.spans["validation"] == ("2013-01-11T00:00:00", "2013-01-21T00:00:00")


def test_an_embargo_leaves_out_rows_before_each_boundary():
    parts = split(TABLE, by_time("2013-01-11", "2013-01-21", time="at", embargo="1d"), "late")
    assert parts.spec.left_out == {"embargo": 4}
    assert parts.train["at"].max() == datetime(2013, 1, 9, 12)


def test_rows_without_label_or_time_are_left_out_and_counted():
    table = TABLE.with_columns(late=pl.when(pl.col("x") >= 2).then("late"), at=pl.when(pl.col("x") != 50).then("at"))
    parts = split(table, by_time("2013-01-11", "2013-01-21", time="at"), "late")
    assert parts.spec.left_out == {"missing target": 2, "missing time": 1}


@given(st.integers(0, 5), st.sampled_from([by_share, by_group]))
def test_parts_are_disjoint_complete_and_repeatable(seed, kind):
    method = kind("who", 0.5, 0.25, seed=seed) if kind is by_group else kind(0.5, 0.25, seed=seed)
    one, two = split(TABLE, method, "late"), split(TABLE, method, "late")
    assert sorted(pl.concat([one.train, one.validation, one.test])["x"]) == list(range(100))
    assert one.spec == two.spec
    assert one.train.equals(two.train)
    if kind is by_group:
        assert not set(one.train["who"]) & set(one.test["who"])
        assert one.train["who"].n_unique() == 10
    else:
        assert one.spec.rows == {"train": 50, "validation": 25, "test": 25}


def test_missing_group_names_stay_together():
    table = TABLE.with_columns(who=pl.when(pl.col("x") % 4 > 0).then("who"))
    parts = split(table, by_group("who", 0.5, 0.25), "late")
    assert sum(frame["who"].null_count() > 0 for frame in (parts.train, parts.validation, parts.test)) == 1


def test_an_empty_part_and_wrong_boundaries_are_named():
    with pytest.raises(DataError, match="test part of the split is empty"):
        split(TABLE, by_time("2013-01-11", "2014-01-01", time="at"), "late")
    with pytest.raises(UsageError, match="must begin after"):
        split(TABLE, by_time("2013-01-11", "2013-01-01", time="at"), "late")
    with pytest.raises(UsageError, match="needs a time column"):
        split(TABLE, by_time("2013-01-11", "2013-01-21"), "late")
    with pytest.raises(SchemaError, match="does not have"):
        split(TABLE, by_share(), "nowhere")
    with pytest.raises(UsageError, match="shares"):
        by_share(0.9, 0.2)


def test_the_record_has_a_digest_that_tells_splits_apart():
    one = split(TABLE, by_share(seed=1), "late").spec
    assert one.digest != split(TABLE, by_share(seed=2), "late").spec.digest
    assert digest_value(one)
