"""If these fail, "30 %" no longer means three in ten."""

from __future__ import annotations

import numpy as np
import pytest

from tidemill import measures
from tidemill.core.errors import DataError


def test_honest_probabilities_lie_on_the_diagonal():
    generator = np.random.default_rng(0)
    scores = generator.random(20_000)
    labels = (generator.random(20_000) < scores).astype(int)
    bins = measures.calibration_curve(labels, scores)
    assert sum(found.rows for found in bins) == 20_000
    assert len(bins) == 10
    assert all(found.low - 0.01 <= found.predicted <= found.high + 0.01 for found in bins)
    assert measures.ece(labels, scores) < 0.02


def test_boastful_probabilities_are_found_out():
    labels = np.array([0, 1] * 100)
    assert measures.ece(labels, np.full(200, 0.9)) == pytest.approx(0.4)


def test_weights_count_like_repeated_rows():
    labels, scores = np.array([0, 1, 1]), np.array([0.1, 0.4, 0.8])
    repeated = measures.ece(np.repeat(labels, [1, 2, 3]), np.repeat(scores, [1, 2, 3]))
    assert measures.ece(labels, scores, weights=[1, 2, 3]) == pytest.approx(repeated)


def test_equal_probabilities_share_a_bin():
    bins = measures.calibration_curve([0, 1, 0, 1], [0.5] * 4)
    assert [(found.rows, found.observed) for found in bins] == [(4, 0.5)]
    assert measures.calibration_curve([], []) == ()


def test_a_curve_without_bins_is_refused():
    with pytest.raises(DataError, match="at least one bin"):
        measures.calibration_curve([0], [0.5], bins=0)
