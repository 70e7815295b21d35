"""If these fail, a monitor compares this week with a different question than last week."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import DataError
from tidemill.measures import count_like, profile_categories, profile_numbers

numbers = st.lists(st.none() | st.integers(-5, 5).map(float) | st.sampled_from([np.inf, -np.inf]), max_size=40)


def as_array(values):
    return np.array([np.nan if value is None else value for value in values], dtype=float)


@given(numbers, st.integers(1, 8))
def test_every_number_has_one_bin_and_the_reference_counts_itself(values, bins):
    array = as_array(values)
    profile = json.loads(json.dumps(profile_numbers(array, bins), allow_nan=False))
    counted = count_like(profile, array)
    assert counted["counts"] == profile["counts"]
    assert sum(profile["counts"]) + profile["missing"] == profile["rows"] == len(values)
    assert len(profile["counts"]) == len(profile["edges"]) + 1 <= max(bins, 1)


@given(numbers, st.integers(1, 8))
def test_numbers_of_half_the_bytes_have_the_same_profile(values, bins):
    array = as_array(values)
    given_edges = {"edges": [0.1, 0.5]}
    assert profile_numbers(array.astype(np.float32), bins) == profile_numbers(array, bins)
    assert profile_numbers(array.astype(np.float32), **given_edges) == profile_numbers(array, **given_edges)


def test_bins_hold_about_equally_many_rows_and_stay_fixed():
    profile = profile_numbers(np.arange(1000.0), bins=10)
    assert profile["counts"] == [100] * 10
    later = count_like(profile, np.arange(5000.0, 5010.0))
    assert later["counts"] == [0] * 9 + [10]


@given(st.lists(st.none() | st.sampled_from(["a", "b", "c", "d"])), st.integers(1, 5))
def test_categories_lose_no_row(values, top):
    profile = profile_categories(values, top)
    assert sum(profile["counts"]) + profile["missing"] + profile["other"] == profile["rows"] == len(values)
    counted = count_like(profile, values)
    assert (counted["counts"], counted["other"], counted["missing"]) == (
        profile["counts"],
        profile["other"],
        profile["missing"],
    )


def test_flags_and_given_edges():
    profile = profile_numbers([0.0, 1.0, 1.0, np.nan], edges=[0.5])
    assert (profile["counts"], profile["missing"]) == ([1, 2], 1)


def test_an_unknown_profile_is_refused():
    with pytest.raises(DataError, match="unknown kind: 'sketch'"):
        count_like({"kind": "sketch"}, [1])
