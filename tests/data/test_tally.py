"""A profile made of parts must say what one made at once says; a wrong moment or rank misleads every reader of it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.tally import (
    Tally,
    at_ranks,
    deviation,
    histogram,
    merged,
    moments,
    most_frequent,
    shape,
    tally,
    total,
)

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
WHOLE = st.lists(st.integers(-9, 9), min_size=1, max_size=60)


@given(st.lists(WHOLE, min_size=1, max_size=4))
def test_tallies_of_parts_make_the_tally_of_the_whole(parts):
    whole = tally(np.array([value for part in parts for value in part]))
    found = merged([tally(np.array(part)) for part in parts])
    assert found.values.tolist() == whole.values.tolist()
    assert found.counts.tolist() == whole.counts.tolist()


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_moments_of_two_parts_add_up(one, other):
    summed, whole = (
        moments(tally(np.array(one))) + moments(tally(np.array(other))),
        moments(tally(np.array(one + other))),
    )
    scale = max(1.0, *(abs(value) for value in one + other))
    assert summed.count == whole.count
    assert summed.mean == pytest.approx(whole.mean, abs=1e-9 * scale)
    for power, name in ((2, "second"), (3, "third"), (4, "fourth")):
        assert getattr(summed, name) == pytest.approx(
            getattr(whole, name), rel=1e-6, abs=1e-6 * whole.count * scale**power
        )


@settings(deadline=None)
@given(WHOLE)
def test_shape_rank_and_deviation_are_those_of_the_values(values):
    given_, series = tally(np.array(values)), pl.Series(values, dtype=pl.Float64)
    found = shape(moments(given_))
    assert found["mean"] == pytest.approx(series.mean())
    assert found["std"] == pytest.approx(series.std(ddof=0), abs=1e-9)
    if len(given_.values) > 1:
        assert found["skewness"] == pytest.approx(series.skew(), abs=1e-6)
        assert found["kurtosis"] == pytest.approx(series.kurtosis(), abs=1e-6)
    assert total(given_) == sum(values)
    ordered = sorted(values)
    assert at_ranks(given_, (0.25, 0.5)).tolist() == [ordered[round(q * (len(values) - 1))] for q in (0.25, 0.5)]
    middle = ordered[round(0.5 * (len(values) - 1))]
    assert deviation(given_) == sorted(abs(value - middle) for value in values)[(len(values) - 1) // 2]
    bins = histogram(given_)
    assert sum(bins["counts"]) == len(values)
    common = given_.counts[most_frequent(given_)].tolist()
    assert common == sorted(given_.counts.tolist(), reverse=True)[:20]


def test_numbers_too_large_for_their_square_still_have_a_mean():
    huge = tally(np.array([1e308, 1.5e308, -1e308]))
    found = shape(moments(huge))
    assert found["mean"] == pytest.approx(0.5e308)
    assert (found["std"], found["skewness"], found["kurtosis"]) == (None, None, None)
    assert shape(moments(tally(np.array([1e300]))))["std"] == 0
    assert total(tally(np.array([1e308, 1.5e308]))) is None
    assert total(tally(np.array([2**62, 2**62 - 1]))) == pytest.approx(2.0**63)
    assert shape(moments(tally(np.array([0.1] * 3))))["skewness"] is None
    assert math.isclose(shape(moments(tally(np.array([0.1] * 3))))["mean"], 0.1)


def test_no_values_are_no_statistics():
    nothing = Tally(np.zeros(0), np.zeros(0, np.int64))
    assert shape(moments(nothing)) == {"mean": None, "std": None, "skewness": None, "kurtosis": None}
    assert (total(nothing), deviation(nothing), histogram(nothing)) == (None, None, {})
