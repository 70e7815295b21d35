"""A check is only as good as the defects it is tried on; a wrong truth about them proves nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, SchemaError
from tidemill.data.disturb import disturb
from tidemill.data.generation import disturbances as d

START = datetime(2024, 1, 1)
ROWS = 400


def table() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": range(ROWS),
            "miles": [float(i % 97) + 1 for i in range(ROWS)],
            "stops": [i % 7 for i in range(ROWS)],
            "city": [("Bern", "Roma", "Wien")[i % 3] for i in range(ROWS)],
            "late": [i % 4 == 0 for i in range(ROWS)],
            "at": [START + timedelta(hours=i) for i in range(ROWS)],
        }
    )


VALUES = [
    d.Shift("miles", 10.0), d.Scale("stops", 3.0, share=0.5), d.NewCategory("city", "Oslo"), d.LabelNoise("late", 0.2),
    d.Nulls(("miles", "stops"), 0.2), d.NullTokens("city"), d.UnitChange("miles", 1.609344, since=0.25),
    d.Outliers("miles", 9999.0, 3), d.EncodingDamage("city", 0.1), d.Spelling("city", 0.1), d.Orphans("stops", 99),
]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(VALUES), min_size=1, max_size=4), st.integers(0, 5))
def test_the_rows_said_to_be_struck_are_those_that_changed(disturbances, seed):
    before = table()
    for index, disturbance in enumerate(disturbances):
        out = disturb(before, [disturbance], seed=seed + index)
        truth, marks = out.truth[0], out.marks["0"]
        changed = pl.select(
            pl.any_horizontal(before[name].ne_missing(out.table[name]) for name in before.columns)
        ).to_series()
        if not isinstance(disturbance, d.Nulls):  # a value that was missing before may be struck again
            assert changed.to_list() == marks.to_list()
        else:
            assert not (changed & ~marks).any()
        assert (truth.rows, truth.kind, truth.removed, truth.added) == (marks.sum(), disturbance.kind, 0, 0)
        assert not marks.head(truth.since).any()
        untouched = [name for name in before.columns if name not in truth.columns]
        assert before.select(untouched).equals(out.table.select(untouched))
        before = out.table


def test_the_same_seed_strikes_the_same_rows():
    assert disturb(table(), VALUES, seed=1).table.equals(disturb(table(), VALUES, seed=1).table)
    assert not disturb(table(), VALUES, seed=1).marks.equals(disturb(table(), VALUES, seed=2).marks)


def test_drift_begins_where_it_should():
    out = disturb(table(), [d.Shift("miles", 5.0), d.UnitChange("miles", 2.0, 32.0, where="city = 'Bern'")])
    assert out.truth[0].rows == ROWS // 2
    was, now = table()["miles"], out.table["miles"]
    assert now[1] == was[1]
    assert now[ROWS - 2] == was[ROWS - 2] + 5 if table()["city"][ROWS - 2] != "Bern" else True
    assert now[0] == was[0] * 2 + 32
    assert now[399] == (was[399] + 5) * 2 + 32


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_prevalence_becomes_what_was_asked_in_the_later_rows_only(share):
    out = disturb(table(), [d.Prevalence("late", value=True, share=share)])
    early, late = out.table.filter(pl.col("id") < 200), out.table.filter(pl.col("id") >= 200)
    assert early["late"].mean() == 0.25
    assert late["late"].mean() == pytest.approx(share, abs=0.01)
    assert out.truth[0].removed == ROWS - out.table.height
    assert out.table["id"].is_sorted()


def test_a_batch_that_came_twice_and_one_that_never_came():
    twice = disturb(table(), [d.DuplicatedBatch(0.5, 0.1)])
    assert twice.table["id"].to_list() == [*range(240), *range(200, 400)]
    assert twice.table.filter(twice.marks["0"])["id"].to_list() == list(range(200, 240))
    assert (twice.truth[0].added, twice.truth[0].rows) == (40, 40)
    gap = disturb(table(), [d.Gap(0.5, 0.1)])
    assert gap.table["id"].to_list() == [*range(200), *range(240, 400)]
    assert gap.truth[0].removed == 40


def test_rows_come_late_with_the_time_they_had():
    out = disturb(table(), [d.LateRows("at", "12h", 0.1, into="arrived")])
    assert out.table["arrived"].is_sorted()
    late = out.table["arrived"] > out.table["at"]
    assert late.to_list() == out.marks["0"].to_list()
    assert (out.table["arrived"] - out.table["at"]).max() <= timedelta(hours=12)
    assert sorted(out.table["at"]) == table()["at"].to_list()
    assert not disturb(table(), [d.LateRows("at", "12h", 0.1)]).table["at"].is_sorted()


def test_rows_entered_again_differ_in_writing_and_key():
    out = disturb(table(), [d.NearDuplicates(5, keys=("id",))])
    again = out.table.filter(out.marks["0"])
    assert again["id"].to_list() == [400, 401, 402, 403, 404]
    assert set(again["city"]) <= {"BERN ", "ROMA ", "WIEN "}


def test_labels_are_replaced_by_other_labels():
    out = disturb(table(), [d.LabelNoise("city", 1.0)])
    assert not (out.table["city"] == table()["city"]).any()
    assert set(out.table["city"]) == {"Bern", "Roma", "Wien"}


def test_the_schema_changes():
    out = disturb(
        table(),
        [
            d.SchemaChange("miles", "drop"),
            d.SchemaChange("stops", "rename", "halts"),
            d.SchemaChange("id", "type", "string"),
        ],
    )
    assert out.table.columns == ["id", "halts", "city", "late", "at"]
    assert out.table.schema["id"] == pl.String
    assert disturb(table(), [d.MixedTypes("stops")]).table.schema["stops"] == pl.String


@pytest.mark.parametrize(
    ("disturbance", "kind", "words"),
    [
        (d.Shift("city", 1.0), ConfigError, "shift needs a column of numbers"),
        (d.Shift("nowhere", 1.0), SchemaError, "nowhere"),
        (d.Shift("miles", 1.0, since=2.0), ConfigError, "since is a share"),
        (d.Nulls(("miles",), share=3.0), ConfigError, "share is a share"),
        (d.UnitChange("miles", 2.0, where="nowhere > 1"), ConfigError, "'unit_change' does not fit"),
        (d.LateRows("miles"), ConfigError, "column of times"),
        (d.SchemaChange("miles", "rename"), ConfigError, "needs the new name"),
        (d.LabelNoise("fixed"), ConfigError, "two labels"),
    ],
)
def test_a_disturbance_that_does_not_fit_is_named(disturbance, kind, words):
    with pytest.raises(kind, match=words):
        disturb(table().with_columns(fixed=pl.lit(1)), [disturbance])


def test_an_empty_table_stays_one():
    assert disturb(table().clear(), [d.Shift("miles", 1.0), d.Gap()]).table.is_empty()


def test_readings_go_wrong_where_it_is_said():
    before = table().with_columns(other=pl.col("miles") * 100)
    out = disturb(before, [{"kind": "swapped", "columns": ["miles", "other"], "since": 0.75}])
    assert out.truth[0].rows == 100
    assert out.table["miles"][399] == before["other"][399]
    stuck = disturb(before, [d.Stuck("miles", 0.5, 0.1)])
    assert stuck.table["miles"][200:240].n_unique() == 1
    flipped = disturb(before, [d.SignFlip("miles", 0.1)])
    assert (flipped.table["miles"] < 0).equals(flipped.marks["0"].alias("miles"))
    coded = disturb(before, [d.Sentinels("at", "1900-01-01", 0.1)])
    assert coded.table["at"].min() == datetime(1900, 1, 1)
    assert disturb(before, [d.Rounding("other", -3, since=0.0)]).table["other"].max() % 1000 == 0
    shifted = disturb(before, [d.ZoneShift("at", "-5h", since=0.0)]).table["at"]
    assert (before["at"] - shifted).unique().to_list() == [timedelta(hours=5)]
    told = disturb(before, [d.Leak("late", noise=0.0)]).table
    assert told["outcome_code"].n_unique() == 2


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"kind": "nuls", "columns": ["miles"]}, "Did you mean 'nulls'"),
        ({"kind": "nulls"}, "needs"),
        ({"kind": "nulls", "columns": ["miles"], "shre": 1}, "unknown options"),
        (d.Swapped(("miles", "city")), "different types"),
        (d.ZoneShift("miles"), "column of times"),
        (d.Leak("late", into="miles"), "new column"),
    ],
)
def test_a_disturbance_that_cannot_be_is_named(raw, words):
    with pytest.raises(ConfigError, match=words):
        disturb(table(), [raw])
