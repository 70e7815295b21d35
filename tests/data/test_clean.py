"""A repair that changes what it should not, or loses a row without saying so, is worse than none."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, SchemaError, UsageError
from tidemill.data.clean import clean
from tidemill.data.operations import (
    Bin,
    Cast,
    CleaningPlan,
    Clip,
    ConvertUnit,
    Deduplicate,
    Derive,
    DropColumns,
    FillConstant,
    FillLearned,
    FilterRows,
    ForwardFill,
    Indicator,
    Log,
    MergeCategories,
    NormaliseText,
    NullOutside,
    NullValues,
    ParseHhmm,
    ParseTime,
    Rename,
    RepairEncoding,
    ToTimezone,
    plan,
)  # fmt: skip


def done(table: pl.DataFrame, *operations):
    return clean(table, CleaningPlan(operations))


def test_clock_numbers_become_moments_with_2400_and_daylight_saving():
    table = pl.DataFrame(
        {
            "dep": [517, 2400, 1, None, 1299, 230, 130],
            "day": [
                date(2013, 1, 1),
                date(2013, 12, 31),
                *[date(2013, 7, 4)] * 3,
                date(2013, 3, 10),
                date(2013, 11, 3),
            ],
        }
    )
    out = done(table, ParseHhmm("dep", "day", "at", zone="America/New_York")).table["at"].to_list()
    assert out == [
        datetime(2013, 1, 1, 10, 17, tzinfo=UTC),
        datetime(2014, 1, 1, 5, 0, tzinfo=UTC),
        datetime(2013, 7, 4, 4, 1, tzinfo=UTC),
        None,
        None,  # 12:99 is no clock time
        None,  # 02:30 was skipped that night
        datetime(2013, 11, 3, 5, 30, tzinfo=UTC),  # the first of two
    ]


def test_an_arrival_after_midnight_is_on_the_next_day():
    table = pl.DataFrame({"y": [2013], "m": [1], "d": [31], "dep": [2350], "arr": [25]})
    steps = (ParseHhmm("dep", ("y", "m", "d"), "dep_at"), ParseHhmm("arr", ("y", "m", "d"), "arr_at", after="dep_at"))
    assert done(table, *steps).table["arr_at"].to_list() == [datetime(2013, 2, 1, 0, 25)]


def test_values_are_repaired_and_counted():
    table = pl.DataFrame(
        {"wind": [5.0, 1048.0, None, -1.0], "gust": ["-", " a  B ", "C", None], "n": ["1", "x", "3", "4"]}
    )
    out = done(
        table,
        NullOutside("wind", 0, 200),
        NullValues(("gust",), ("-", 999)),
        NormaliseText(("gust",), "lower"),
        FillConstant("wind", 0),
        Cast("n", "int64"),
        Derive("windy", "wind > 4"),
        Rename({"gust": "text"}),
        DropColumns(("windy",)),
    )
    assert out.table.to_dict(as_series=False) == {
        "wind": [5.0, 0.0, 0.0, 0.0],
        "text": [None, "a b", "c", None],
        "n": [1, None, 3, 4],
    }
    counts = {item.operation: (item.changed, item.nulls_before, item.nulls_after) for item in out.report.operations}
    assert counts["null_outside"] == (2, 1, 3)
    assert counts["null_values"] == (1, 1, 2)
    assert counts["normalise_text"][0] == 2
    assert counts["cast"][1:] == (0, 1)


def test_rows_taken_out_go_to_quarantine_with_the_reason():
    table = pl.DataFrame({"id": [1, 1, 2, 3], "delay": [4, 5, None, 6]})
    out = done(table, Deduplicate(("id",)), FilterRows("delay IS NOT NULL", "no label"))
    assert out.table["id"].to_list() == [1, 3]
    assert out.quarantined.rows() == [(1, 5, ["(id) repeats"]), (2, None, ["no label"])]
    assert (out.report.rows_before, out.report.rows_after, out.report.operations[1].removed) == (4, 2, 1)
    assert done(table, Deduplicate(("id",), keep="last")).table["delay"].to_list() == [5, None, 6]


def test_categories_are_merged_as_told():
    table = pl.DataFrame({"engine": ["Turbo-fan", "turbofan", "Steam", None]})
    merge = MergeCategories("engine", {"turbofan": "Turbo-fan"}, keep=())
    assert done(table, merge).table["engine"].to_list() == ["Turbo-fan", "Turbo-fan", "other", None]


def test_time_zones():
    table = pl.DataFrame({"utc": [datetime(2013, 7, 1, 12)], "text": ["2013-07-01 12:00"], "day": ["01.07.2013"]})
    out = done(
        table,
        ToTimezone("utc", "America/New_York", assume="UTC", into="local"),
        ParseTime("text", "%Y-%m-%d %H:%M", zone="America/New_York"),
        ParseTime("day", "%d.%m.%Y"),
    ).table
    assert out["local"].dt.hour().to_list() == [8]
    assert out["text"].to_list() == [datetime(2013, 7, 1, 16, tzinfo=UTC)]
    assert out["day"].to_list() == [date(2013, 7, 1)]
    with pytest.raises(SchemaError, match="no time zone"):
        done(table, ToTimezone("utc", "UTC"))
    with pytest.raises(SchemaError, match="needs a time"):
        done(table, ToTimezone("text", "UTC"))


def test_a_learned_repair_is_refused_before_the_split():
    with pytest.raises(UsageError, match="fill_learned"):
        done(pl.DataFrame({"a": [1]}), FillLearned("a"))


def test_an_operation_that_does_not_fit_is_named():
    table = pl.DataFrame({"a": [1]})
    with pytest.raises(SchemaError, match="null_outside needs columns"):
        done(table, NullOutside("b", 0, 1))
    with pytest.raises(ConfigError, match="'derive' does not fit"):
        done(table, Derive("c", "b + 1"))
    for upside_down in (Clip("a", 5, 1), NullOutside("a", 5, 1)):
        with pytest.raises(ConfigError, match=r"on 'a' is above its maximum: \(5, 1\)"):
            done(table, upside_down)


def test_a_plan_survives_json():
    full = plan(
        ParseHhmm("dep", ("y", "m", "d"), "at", "UTC"), Rename({"a": "b"}), NullOutside("x", maximum=3.5),
        MergeCategories("k", {"a": "b"}, ("c",)), FilterRows("a > 1", "why"), FillLearned("x", indicator=True),
    )  # fmt: skip
    assert CleaningPlan.from_dict(json.loads(json.dumps(full.to_dict()))) == full
    with pytest.raises(ConfigError, match="Did you mean 'rename'"):
        CleaningPlan.from_dict({"operations": [{"kind": "renam"}]})
    with pytest.raises(ConfigError, match="unknown options"):
        CleaningPlan.from_dict({"operations": [{"kind": "rename", "name": {}}]})


def test_numbers_are_transformed_as_told():
    table = pl.DataFrame(
        {"x": [-3.0, 0.0, 9.0, None, float("nan")], "n": [1, 5, 9, None, 3], "unit": ["km", "mi", "mi", None, "km"]}
    )
    out = done(
        table,
        ConvertUnit("n", 1.609344, where="unit = 'mi'"),
        Indicator("x"),
        Clip("x", maximum=8),
        Bin("x", (0.0, 5.0), into="bin"),
        Log("x"),
    )
    assert out.table["n"].to_list() == pytest.approx([1.0, 5 * 1.609344, 9 * 1.609344, None, 3.0])
    assert out.table["x__missing"].to_list() == [False, False, False, True, True]
    assert out.table["bin"].to_list() == [0, 1, 2, None, None]
    assert out.table["x"].head(4).to_list() == pytest.approx([-math.log(4), 0.0, math.log(9), None])
    assert math.isnan(out.table["x"][4])
    assert [item.changed for item in out.report.operations[:3]] == [2, 5, 1]


def test_a_missing_value_is_filled_from_before_it_in_its_group_only():
    table = pl.DataFrame({"at": [3, 1, 2, 4, 5], "meter": ["a", "a", "b", "a", "a"], "x": [None, 7, None, None, 1]})
    out = done(table, ForwardFill("x", by=("meter",), order="at", limit=1))
    assert out.table["x"].to_list() == [7, 7, None, None, 1]
    assert done(table, ForwardFill("x", order="at")).table["x"].to_list() == [7, 7, 7, 7, 1]
    assert done(table, ForwardFill("x")).table["x"].to_list() == [None, 7, 7, 7, 1]


@given(st.lists(st.none() | st.text(max_size=8), max_size=20))
def test_letters_come_back_and_other_text_stays(words):
    words = [None if word is None else word + "é" for word in words]
    broken = pl.DataFrame({"t": [None if word is None else word.encode().decode("latin-1") for word in words]})
    broken = broken.with_columns(pl.col("t").cast(pl.String))
    assert done(broken, RepairEncoding(("t",))).table["t"].to_list() == words
    ascii_only = pl.DataFrame({"t": ["plain", "Zürich", "¥", None]})
    assert done(ascii_only, RepairEncoding(("t",))).table.equals(ascii_only)


def test_a_list_is_no_plan_and_a_kind_is_named_once():
    table = pl.DataFrame({"a": [1.0, None], "b": [None, 1.0]})
    with pytest.raises(UsageError, match="not a cleaning plan"):
        clean(table, [FillLearned("a")])
    with pytest.raises(UsageError, match=r"\['fill_learned'\]"):
        clean(table, CleaningPlan((FillLearned("a"), FillLearned("b"))))
