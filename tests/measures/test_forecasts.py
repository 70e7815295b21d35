"""If these fail, a forecast seems better than repeating the last value when it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidemill import measures
from tidemill.core.errors import DataError

numbers = st.integers(-100, 100).map(lambda value: value / 7)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=40), st.integers(0, 100))
def test_relative_errors_equal_those_of_scikit_learn_put_together(rows, seed):
    actual, last, predicted = np.array(rows).T
    weights = np.random.default_rng(seed).integers(1, 4, len(actual)).astype(float)
    truth = np.column_stack([actual, last])
    mine = sk.mean_absolute_error(actual, predicted, sample_weight=weights)
    naive = sk.mean_absolute_error(actual, last, sample_weight=weights)
    expected = mine / naive if naive else math.nan
    assert measures.mase(truth, predicted, weights) == pytest.approx(expected, nan_ok=True)
    size = np.average(np.abs(actual), weights=weights)
    expected = mine / size if size else math.nan
    assert measures.wape(truth, predicted, weights) == pytest.approx(expected, nan_ok=True)
    both = np.abs(actual) + np.abs(predicted)
    terms = [2 * abs(a - p) / s if s else 0.0 for a, p, s in zip(actual, predicted, both, strict=True)]
    assert measures.smape(truth, predicted, weights) == pytest.approx(np.average(terms, weights=weights))
    plain = measures.measure(truth, predicted, ("mae", "rmse"), "forecasting")
    assert plain["mae"] == pytest.approx(sk.mean_absolute_error(actual, predicted))
    assert plain["rmse"] == pytest.approx(sk.root_mean_squared_error(actual, predicted))


def test_rows_without_a_last_value_count_on_neither_side():
    truth = [[100.0, 80.0], [60.0, math.nan]]
    assert measures.mase(truth, [90.0, 0.0]) == 0.5


def test_without_a_last_value_there_is_no_relative_error():
    found = measures.estimate([1.0, 2.0], [1.0, 1.0], ("mase", "mae"), "forecasting", resamples=10)
    assert (found["mase"].value, found["mase"].reason[:20]) == (None, "no last value is kno")
    assert found["mae"].value == 0.5


def test_a_forecast_of_nan_is_an_error():
    with pytest.raises(DataError, match="NaN"):
        measures.mase([[1.0, 1.0]], [math.nan])


def test_what_is_flagged_needs_no_labels():
    found = measures.measure(np.full(4, np.nan), [0.1, 0.2, 0.9, 0.95], ("flagged",), "anomaly", threshold=0.9)
    assert found == {"flagged": 0.5}
