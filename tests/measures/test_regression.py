"""If these fail, errors of predicted numbers are reported wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidemill import measures
from tidemill.core.errors import DataError

numbers = st.integers(-1000, 1000).map(lambda value: value / 7)
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=50)


@settings(deadline=None, max_examples=60)
@given(pairs, st.integers(0, 100))
def test_errors_equal_scikit_learn(rows, seed):
    truth, predicted = np.array(rows).T
    weights = np.random.default_rng(seed).integers(1, 5, len(truth)).astype(float)
    for options in ({}, {"weights": weights}):
        theirs = {"sample_weight": weights} if options else {}
        assert measures.mae(truth, predicted, **options) == pytest.approx(
            sk.mean_absolute_error(truth, predicted, **theirs)
        )
        assert measures.rmse(truth, predicted, **options) == pytest.approx(
            sk.root_mean_squared_error(truth, predicted, **theirs)
        )
        assert measures.pinball(truth, predicted, 0.9, **options) == pytest.approx(
            sk.mean_pinball_loss(truth, predicted, alpha=0.9, **theirs)
        )
        if np.ptp(truth) > 0:
            assert measures.r2(truth, predicted, **options) == pytest.approx(sk.r2_score(truth, predicted, **theirs))


def test_a_target_that_does_not_vary_has_no_r2():
    found = measures.estimate([1.0, 1.0], [1.0, 2.0], ("r2", "rmse"), "regression")
    assert (found["r2"].value, found["r2"].reason) == (None, "the target does not vary")
    assert found["rmse"].value == pytest.approx(0.5**0.5)


def test_a_quantile_outside_its_range_is_refused():
    with pytest.raises(DataError, match="a quantile lies between 0 and 1: 90"):
        measures.pinball([1.0], [1.0], quantile=90)
