"""A repair that is replayed differently in serving than in training makes a model wrong without a word."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.operations import (
    LEARNED,
    BinLearned,
    ClipLearned,
    EncodeOneHot,
    EncodeOrdinal,
    EncodeTarget,
    FillByGroup,
    FillLearned,
    FillModelled,
    MergeRare,
    Rename,
    ScaleLearned,
    Winsorise,
)
from tidemill.data.repairs import added_columns, apply_repairs, compile_repairs, fit_repairs, learn_repairs

NUMBERS = st.lists(st.one_of(st.none(), st.integers(-9, 9).map(float)), min_size=1, max_size=30)


@given(NUMBERS, st.data())
def test_one_row_and_many_rows_are_repaired_alike(numbers, data):
    numbers = [0.0, *numbers]
    text = data.draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=len(numbers), max_size=len(numbers)))
    columns = {"x": np.array([np.nan if n is None else n for n in numbers]), "k": ["a", *text[1:]], "rest": numbers}
    repairs = fit_repairs(
        columns,
        [
            ClipLearned("x", 0.1, 0.9),
            FillLearned("x", indicator=True),
            MergeRare("k", 0.3),
            FillLearned("k", "most_frequent"),
        ],
    )
    repairs = json.loads(json.dumps(repairs))
    batch = apply_repairs(columns, repairs)
    row = compile_repairs(repairs)
    for index in range(len(numbers)):
        one = row({"x": numbers[index], "k": columns["k"][index], "rest": numbers[index]})
        assert one == {name: batch[name][index] for name in batch}
    assert added_columns(repairs) == ("x__missing",)


def same(one, other) -> bool:
    missing = [value is None or value != value for value in (one, other)]
    return all(missing) if any(missing) else one == other and type(one) is not bool


@settings(deadline=None)
@given(NUMBERS, st.data())
def test_every_learned_repair_is_replayed_alike_for_one_row(numbers, data):
    numbers = [0.0, 2.0, *numbers]
    size = len(numbers)
    text = data.draw(st.lists(st.sampled_from(["a", "b", None]), min_size=size, max_size=size))
    whole = data.draw(st.lists(st.sampled_from([1, 2, None]), min_size=size, max_size=size))
    columns = {"x": np.array([np.nan if n is None else n for n in numbers]), "k": text, "g": whole, "y": numbers}
    steps = st.lists(
        st.sampled_from(
            [
                FillByGroup("x", ("k",), indicator=True), FillByGroup("x", ("k", "g"), "mean"), FillLearned("y"),
                ScaleLearned("x"), ScaleLearned("x", "robust"), ScaleLearned("y", "minmax"), BinLearned("x", 3),
                BinLearned("y", 4), ClipLearned("x", 0.2, 0.8), FillByGroup("y", ("g",)),
                FillByGroup("y", ("k",), "most_frequent"), Winsorise("x", 0.2, 0.8), MergeRare("k", 0.4),
                FillModelled("x", ("y", "k"), indicator=True), FillModelled("k", ("x", "g")),
                FillModelled("y", ("g", "k")), EncodeOneHot("k", 2), EncodeOneHot("g"), EncodeOrdinal("k"),
                EncodeOrdinal("g", ("2",)), EncodeTarget("k", folds=2), EncodeTarget("g", 0.5, 2),
            ]
        ),
        max_size=5,
    )  # fmt: skip
    # A column that holds nothing, or is a number by now, is refused; the next one may do.
    truth, repairs = np.arange(size, dtype=np.float64) % 2, []
    for operation in data.draw(steps):
        current = apply_repairs(columns, repairs)
        if any(value is not None and value == value for value in current[operation.column]):
            repairs += json.loads(json.dumps(fit_repairs(current, [operation], truth)))
    batch, row = apply_repairs(columns, repairs), compile_repairs(repairs)
    for index in range(size):
        # A request's numbers may come whole or fractional.
        group = columns["g"][index]
        one = row(
            {"x": numbers[index], "k": text[index], "g": None if group is None else float(group), "y": numbers[index]}
        )
        assert set(one) == set(batch)
        assert all(same(one[name], batch[name][index]) for name in batch), (one, repairs)


def test_a_group_gets_its_own_statistic_and_an_unseen_one_that_of_all():
    columns = {"seats": [100.0, 200.0, None, 20.0, None, None], "maker": ["B", "B", "B", "C", "C", "D"]}
    repairs = fit_repairs(columns, [FillByGroup("seats", ("maker",))])
    assert apply_repairs(columns, repairs)["seats"] == [100.0, 200.0, 150.0, 20.0, 20.0, 100.0]
    assert compile_repairs(repairs)({"seats": None, "maker": "new"})["seats"] == 100.0
    with pytest.raises(SchemaError, match="not there"):
        fit_repairs({"seats": [1.0]}, [FillByGroup("seats", ("maker",))])
    with pytest.raises(SchemaError, match="not there"):
        apply_repairs({"seats": [1.0]}, repairs)


def test_numbers_come_to_a_common_scale():
    x = np.array([0.0, 10.0, 20.0, 30.0, 1000.0])

    def scaled(method):
        return apply_repairs({"x": x}, fit_repairs({"x": x}, [ScaleLearned("x", method)]))["x"]

    assert (scaled("standard").mean(), scaled("standard").std()) == pytest.approx((0, 1))
    assert scaled("robust")[:4].tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert (scaled("minmax").min(), scaled("minmax").max()) == (0, 1)
    same_value = fit_repairs({"x": [5.0, 5.0]}, [ScaleLearned("x")])
    assert apply_repairs({"x": [5.0]}, same_value)["x"].tolist() == [0.0]
    binned = apply_repairs({"x": x}, fit_repairs({"x": x}, [BinLearned("x", 2)]))["x"]
    assert binned.tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]


def test_what_is_learned_comes_from_the_rows_given():
    columns = {"x": np.array([1.0, np.nan, 3.0, 100.0]), "k": ["b", "a", "a", "b"]}
    assert [
        repair["value"] for repair in fit_repairs(columns, [FillLearned("x"), FillLearned("k", "most_frequent")])
    ] == [
        3.0,
        "a",  # of two equally frequent values the smaller: the order of rows does not matter
    ]
    assert fit_repairs(columns, [FillLearned("x", "mean")])[0]["value"] == pytest.approx(104 / 3)


def test_an_unseen_category_is_merged_like_a_rare_one():
    repairs = fit_repairs({"k": ["a"] * 99 + ["b"]}, [MergeRare("k", 0.05)])
    assert apply_repairs({"k": ["a", "b", "new", None]}, repairs)["k"] == ["a", "other", "other", None]


def test_every_operation_that_learns_is_in_the_property_above():
    body = Path(__file__).read_text().partition("def test_every_learned_repair")[2].partition("def test_a_group")[0]
    assert not [kind.__name__ for kind in LEARNED if f"{kind.__name__}(" not in body]


def test_a_missing_value_is_told_from_the_other_columns():
    draw = np.random.default_rng(0)
    seats, maker = draw.uniform(50, 400, 300), draw.choice(["A", "B"], 300)
    weight = 2 * seats + 30 * (maker == "B") + draw.normal(0, 1, 300)
    columns = {"seats": seats, "maker": maker.tolist(), "weight": np.where(np.arange(300) % 5 == 0, np.nan, weight)}
    (repair,) = fit_repairs(columns, [FillModelled("weight", ("seats", "maker"))])
    filled = apply_repairs(columns, [repair])["weight"]
    assert np.quantile(np.abs(filled - weight)[::5], 0.9) < 4  # the median would be hundreds off
    extreme = compile_repairs([repair])({"seats": 10_000.0, "maker": "B", "weight": None})
    assert extreme["weight"] == repair["range"][1]  # never beyond what was seen
    hidden = {"maker": [None, *maker[1:]], "weight": weight}
    told = apply_repairs(hidden, fit_repairs(hidden, [FillModelled("maker", ("weight",))]))["maker"]
    assert told[0] in ("A", "B")
    with pytest.raises(UsageError, match="from numbers and text"):
        fit_repairs({**columns, "at": [date(2013, 1, 1)] * 300}, [FillModelled("weight", ("at",))])
    with pytest.raises(UsageError, match="tells a column from others"):
        fit_repairs(columns, [FillModelled("weight", ("weight",))])


def test_categories_become_numbers():
    columns = {"size": ["S", "L", "S", "M", None], "maker": ["b", "a", "a", None, "c"]}
    repairs = fit_repairs(columns, [EncodeOrdinal("size", ("S", "M")), EncodeOneHot("maker", 2)])
    batch = apply_repairs(columns, repairs)
    assert batch["size"][:4].tolist() == [0.0, -1.0, 0.0, 1.0]
    assert np.isnan(batch["size"][4])
    assert batch["maker__is__a"].tolist() == [0, 1, 1, 0, 0]
    assert batch["maker__is__b"].tolist() == [1, 0, 0, 0, 0]
    assert added_columns(repairs) == ("maker__is__a", "maker__is__b")


def test_no_training_row_is_told_its_own_label():
    names = [f"only {row}" for row in range(40)]
    truth = np.arange(40) % 2 * 1.0
    learnt = learn_repairs({"name": names}, [EncodeTarget("name", smoothing=0.001)], truth)
    # Each name is in one row: the other folds know nothing of it.
    assert np.abs(learnt.columns["name"] - 0.5).max() < 0.1
    assert learnt.repairs[0]["means"]["only 1"] > 0.99
    with pytest.raises(UsageError, match="needs a target"):
        fit_repairs({"name": names}, [EncodeTarget("name")])
    with pytest.raises(UsageError, match="two folds"):
        learn_repairs({"name": names}, [EncodeTarget("name", folds=1)], truth)


def test_misuse_is_named():
    with pytest.raises(UsageError, match="does not learn"):
        fit_repairs({"a": [1]}, [Rename({"a": "b"})])
    with pytest.raises(DataError, match="nothing to learn from"):
        fit_repairs({"a": [None]}, [FillLearned("a")])
    with pytest.raises(SchemaError, match="not there"):
        fit_repairs({"a": [1]}, [FillLearned("b")])
    with pytest.raises(SchemaError, match="not there"):
        apply_repairs({"a": [1]}, [{"kind": "fill", "column": "b", "value": 1}])


def test_serving_replays_repairs_without_a_table_library():
    code = "import sys, tidemill.data.repairs; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
