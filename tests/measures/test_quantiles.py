"""If these fail, an interval that is too narrow passes for an honest one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidemill import measures
from tidemill.core.errors import DataError, UsageError

LEVELS = (0.1, 0.5, 0.9)
numbers = st.integers(-100, 100).map(lambda value: value / 7)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=40), st.integers(0, 100))
def test_losses_equal_scikit_learn(rows, seed):
    both = np.array(rows)
    truth, predicted = both[:, 0], both[:, 1:]
    weights = np.random.default_rng(seed).integers(1, 4, len(truth)).astype(float)
    expected = [
        sk.mean_pinball_loss(truth, predicted[:, place], alpha=level, sample_weight=weights)
        for place, level in enumerate(LEVELS)
    ]
    assert measures.mean_pinball(truth, predicted, LEVELS, weights) == pytest.approx(np.mean(expected))
    found = measures.measure(
        truth, predicted, tuple(measures.metrics_of("quantile", LEVELS)), "quantile", levels=LEVELS
    )
    for place, level in enumerate(LEVELS):
        assert found[f"pinball_at_{level}"] == pytest.approx(
            sk.mean_pinball_loss(truth, predicted[:, place], alpha=level)
        )
    inside = (predicted[:, 0] <= truth) & (truth <= predicted[:, 2])
    assert found["coverage"] == pytest.approx(inside.mean())
    crossed = (predicted[:, 0] > predicted[:, 1]) | (predicted[:, 1] > predicted[:, 2])
    assert found["crossing"] == pytest.approx(crossed.mean())
    assert found["interval_width"] == pytest.approx((predicted[:, 2] - predicted[:, 0]).mean())


def test_the_true_quantiles_cover_what_they_say_within_their_interval():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=4000)
    predicted = np.tile([-1.2816, 0.0, 1.2816], (4000, 1))
    found = measures.estimate(truth, predicted, ("coverage", "pinball_at_0.9"), "quantile", levels=LEVELS)
    assert found["coverage"].low < 0.8 < found["coverage"].high
    assert found["pinball_at_0.9"].low < found["pinball_at_0.9"].value < found["pinball_at_0.9"].high


def test_what_does_not_fit_is_said():
    with pytest.raises(DataError, match="3 columns for 2 quantile levels"):
        measures.mean_pinball([1.0], [[1.0, 2.0, 3.0]], (0.1, 0.9))
    with pytest.raises(UsageError, match="need"):
        measures.measure([1.0], [[1.0]], ("pinball",), "quantile")
    with pytest.raises(UsageError, match=r"no metric of a quantile model is called 'pinball_at_0\.3'"):
        measures.metric("pinball_at_0.3", "quantile", LEVELS)
