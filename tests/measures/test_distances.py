"""If these fail, drift is missed, or alarms ring over nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import spatial, stats

from tidemill import measures
from tidemill.core.errors import DataError

FEW = settings(deadline=None, max_examples=60)
counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12)
samples = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=40)


@FEW
@given(counts)
def test_jensen_shannon_equals_scipy(rows):
    left, right = np.array(rows, dtype=float).T
    assume(left.sum() > 0 and right.sum() > 0)
    expected = spatial.distance.jensenshannon(left, right, base=2)
    assert measures.jensen_shannon(left, right) == pytest.approx(expected, abs=1e-7)


@FEW
@given(counts)
def test_chi2_equals_scipy_contingency(rows):
    left, right = np.array(rows, dtype=float).T
    seen = left + right > 0
    assume(left.sum() > 0 and right.sum() > 0 and seen.sum() > 1)
    expected = stats.chi2_contingency(np.vstack([left, right])[:, seen], correction=False)
    found = measures.chi2_two_sample(left, right)
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


@FEW
@given(st.floats(0.01, 500), st.integers(1, 300))
def test_chi2_survival_equals_scipy(statistic, freedom):
    assert measures.chi2_survival(statistic, freedom) == pytest.approx(
        stats.chi2.sf(statistic, freedom), rel=1e-8, abs=1e-14
    )


@FEW
@given(samples, samples)
def test_ks_and_wasserstein_equal_scipy(left, right):
    points = np.array(left + right)
    gaps = [np.mean(np.array(left) <= point) - np.mean(np.array(right) <= point) for point in points]
    assert measures.ks(left, right).statistic == pytest.approx(np.abs(gaps).max())
    assert measures.wasserstein(left, right) == pytest.approx(stats.wasserstein_distance(left, right))


def test_ks_p_values_are_close_to_exact_ones():
    generator = np.random.default_rng(0)
    for shift in (0.0, 0.1, 0.2, 0.4):
        left, right = generator.normal(0, 1, 300), generator.normal(shift, 1, 400)
        found = measures.ks(left, right).p_value
        assert found == pytest.approx(stats.ks_2samp(left, right).pvalue, rel=0.15, abs=0.02)


def test_no_drift_alarms_no_oftener_than_promised():
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(10))
    alarms = sum(
        measures.chi2_two_sample(generator.multinomial(1000, shares), generator.multinomial(1000, shares)).p_value
        < 0.05
        for _ in range(400)
    )
    assert 8 <= alarms <= 34


@FEW
@given(counts)
def test_psi_is_finite_symmetric_and_zero_for_equal_populations(rows):
    left, right = np.array(rows, dtype=float).T
    assume(left.sum() > 0 and right.sum() > 0)
    found = measures.psi(left, right)
    assert np.isfinite(found)
    assert found >= 0
    assert found == pytest.approx(measures.psi(right, left))
    assert measures.psi(left, left) == 0


def test_nothing_to_compare_is_nan_or_no_alarm():
    assert np.isnan(measures.psi([0, 0], [1, 2]))
    assert np.isnan(measures.jensen_shannon([], []))
    assert measures.chi2_two_sample([5], [9]).p_value == 1
    assert measures.ks([], [1.0]).p_value == 1
    assert np.isnan(measures.wasserstein([], [1.0]))
    assert measures.ks_from_counts([0, 0], [1, 1]).p_value == 1


def test_binned_ks_is_at_most_the_exact_one():
    generator = np.random.default_rng(2)
    left, right = generator.normal(0, 1, 2000), generator.normal(0.3, 1, 1500)
    profile = measures.profile_numbers(left, bins=20)
    binned = measures.ks_from_counts(profile["counts"], measures.count_like(profile, right)["counts"]).statistic
    exact = measures.ks(left, right).statistic
    assert 0.9 * exact <= binned <= exact + 1e-12


def test_wrong_counts_are_refused():
    with pytest.raises(DataError, match="counts are negative: -1"):
        measures.psi([-1, 2], [1, 2])
    with pytest.raises(DataError, match="truth has 1 rows and predictions have 2"):
        measures.psi([1], [1, 2])


def test_benjamini_hochberg_equals_scipy():
    values = np.random.default_rng(0).random(40) ** 3
    np.testing.assert_allclose(measures.benjamini_hochberg(values), stats.false_discovery_control(values))
    assert len(measures.benjamini_hochberg([])) == 0
    with pytest.raises(DataError, match="p-values lie between 0 and 1"):
        measures.benjamini_hochberg([1.5])
