"""A split that mixes past and future, or the same entity on both sides, measures a model that does not exist."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.digests import digest_value
from tidemill.core.errors import DataError, LeakError, SchemaError, UsageError
from tidemill.data.split import by_group, by_share, by_time, rolling_origin, split

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


def test_strata_keep_their_shares_to_the_row():
    table = TABLE.with_columns(kind=pl.Series(["rare"] * 7 + ["common"] * 93))
    parts = split(table, by_share(0.6, 0.2, stratify=["kind", "late"]), "late")
    assert sorted(pl.concat([parts.train, parts.validation, parts.test])["x"]) == list(range(100))
    assert abs(parts.spec.rows["train"] - 60) <= 1
    for kind, late in (("common", True), ("common", False), ("rare", False)):
        wanted = table.filter((pl.col("kind") == kind) & (pl.col("late") == late)).height
        for part, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
            frame = getattr(parts, part)
            there = frame.filter((pl.col("kind") == kind) & (pl.col("late") == late)).height
            assert abs(there - wanted * share) <= 1.5, (kind, late, part)
    again = split(table, by_share(0.6, 0.2, stratify=["kind", "late"]), "late")
    assert again.spec == parts.spec


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["a", "b", None]), min_size=20, max_size=60), st.integers(0, 3))
def test_a_stratified_split_is_complete_and_near_its_shares(names, seed):
    table = pl.DataFrame({"k": names, "row": range(len(names)), "y": [place % 2 for place in range(len(names))]})
    parts = split(table, by_share(0.5, 0.25, seed=seed, stratify="k"), "y")
    assert sorted(pl.concat([parts.train, parts.validation, parts.test])["row"]) == list(range(len(names)))
    for name in {"a", "b", None} & set(names):
        rows = names.count(name)
        there = parts.train.filter(pl.col("k").eq_missing(pl.lit(name, dtype=pl.String))).height
        assert abs(there - rows * 0.5) <= 2


def test_later_parts_can_hold_entities_that_were_never_seen():
    table = TABLE.with_columns(who=pl.when(pl.col("x") % 10 > 0).then(pl.format("w{}", pl.col("x") // 15)))
    parts = split(table, by_time("2013-01-11", "2013-01-21", time="at", disjoint="who"), "late", entity="who")
    seen = [set(frame["who"].drop_nulls()) for frame in (parts.train, parts.validation, parts.test)]
    assert seen == [{"w0", "w1"}, {"w2"}, {"w3", "w4", "w5", "w6"}]
    assert parts.spec.left_out == {"entity of an earlier part": 9 + 4}
    assert parts.test["who"].null_count() == 6  # rows without an entity are where their time puts them
    assert "same_entity" not in parts.spec.overlaps
    both = split(TABLE, by_time("2013-01-11", "2013-01-21", time="at"), "late", entity="who")
    assert both.spec.overlaps["same_entity"] == 80


def test_a_rolling_origin_gives_folds_that_hold_out_the_same_test_rows():
    folds = rolling_origin(
        "2013-01-11", every="5d", folds=3, window="8d", embargo="1d", test_from="2013-01-31", time="at"
    )
    made = [split(TABLE, fold, "late") for fold in folds]
    assert [parts.spec.spans["validation"][0] for parts in made] == [
        "2013-01-11T00:00:00", "2013-01-16T00:00:00", "2013-01-21T00:00:00",
    ]  # fmt: skip
    for parts, fold in zip(made, folds, strict=True):
        origin = datetime.fromisoformat(fold.origin)
        assert parts.train["at"].min() >= origin - timedelta(days=8)
        assert parts.train["at"].max() < origin - timedelta(days=1)
        assert parts.validation["at"].max() < origin + timedelta(days=5)
        assert parts.test.equals(made[0].test)
        assert parts.spec.left_out["embargo"] == 2 + 2
        assert sum(parts.spec.rows.values()) + sum(parts.spec.left_out.values()) == 100
    assert made[0].spec.left_out["of a later fold"] > 0
    assert len({parts.spec.digest for parts in made}) == 3
    with pytest.raises(UsageError, match="before its last fold ends"):
        rolling_origin("2013-01-11", every="5d", folds=3, test_from="2013-01-12")
    with pytest.raises(UsageError, match="at least one fold"):
        rolling_origin("2013-01-11", every="5d", folds=0)
    with pytest.raises(UsageError, match="must move"):
        rolling_origin("2013-01-11", every="0d", folds=2)
    with pytest.raises(UsageError, match="not an ISO date"):
        rolling_origin("January", every="5d", folds=2)


def test_leaks_are_looked_for_each_time_and_can_be_forbidden():
    doubled = pl.concat([TABLE, TABLE.head(10)])
    parts = split(doubled, by_share(), "late", time="at", entity="who")
    train, later = parts.train, pl.concat([parts.validation, parts.test])
    assert parts.spec.overlaps == {
        "same_row": later.filter(pl.col("x").is_in(train["x"].implode())).height,
        "same_entity": later.filter(pl.col("who").is_in(train["who"].implode())).height,
        "future_in_train": train.filter(pl.col("at") > later["at"].min()).height,
    }
    assert min(parts.spec.overlaps.values()) > 0
    for leak, words in (
        ("same_row", "also training rows"), ("same_entity", "about an entity"), ("future_in_train", "later than"),
    ):  # fmt: skip
        with pytest.raises(LeakError, match=words):
            split(doubled, by_share(), "late", time="at", entity="who", forbid=[leak])
    clean = split(TABLE, by_time("2013-01-11", "2013-01-21", time="at"), "late", forbid=["same_row", "future_in_train"])
    assert clean.spec.overlaps == {}
    with pytest.raises(UsageError, match="no such leak"):
        split(TABLE, by_share(), "late", forbid=["same_day"])


def test_rows_are_the_same_only_if_they_are_in_every_column():
    doubled = pl.DataFrame(
        {
            **{name: [0.5, float("nan")] * 50 for name in ("a", "b", "c")},
            "id": [*range(50), *range(50, 0, -1)],
            "late": [True] * 100,
        }
    )
    parts = split(doubled, by_share(), "late")
    train, later = set(parts.train.rows()), pl.concat([parts.validation, parts.test])
    told = {("a" if a == a else None, identity) for a, _, _, identity, _ in train}
    same = [row for row in later.rows() if ("a" if row[0] == row[0] else None, row[3]) in told]
    assert 0 < len(same) < later.height
    assert parts.spec.overlaps == {"same_row": len(same)}


def test_what_is_no_method_or_no_column_of_times_is_named():
    with pytest.raises(UsageError, match=r"not a split method: 'random'.*by_share"):
        split(TABLE, "random", "late")
    with pytest.raises(SchemaError, match="a column of times, not string: 'who'"):
        split(TABLE, by_time("2013-01-11", "2013-01-21", time="who"), "late")
