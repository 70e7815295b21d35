"""A repair that is replayed differently in serving than in training makes a model wrong without a word."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.operations import ClipLearned, FillLearned, MergeRare, Rename
from tidemill.data.repairs import added_columns, apply_repairs, compile_repairs, fit_repairs

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
