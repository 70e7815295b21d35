"""If these fail, a champion is replaced by chance, or kept although the challenger is plainly better."""

from __future__ import annotations

import numpy as np
import pytest

from tidemill.measures import mcnemar, paired_test


def two_models(seed, rows=400, gain=0.0):
    """Labels and two noisy scores, the first of which is worth more by `gain`."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < 0.4).astype(float)
    signals = (1.0 + gain, 1.0)
    scores = (1 / (1 + np.exp(-(s * (2 * labels - 1) + generator.normal(0, 1.5, rows)))) for s in signals)
    return labels, *scores


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "brier"])
def test_equal_models_differ_as_rarely_as_stated_and_better_ones_are_seen(name):
    false_alarms = sum(paired_test(*two_models(seed), name, seed=seed).p_value < 0.05 for seed in range(100))
    assert false_alarms <= 11  # 5 expected; more than 11 comes once in 200 times
    seen = sum(paired_test(*two_models(seed, gain=1.0), name, seed=seed).p_value < 0.05 for seed in range(20))
    assert seen >= 18


def test_mcnemar_is_the_binomial_test_and_close_to_its_approximation(monkeypatch):
    labels, mine, theirs = two_models(0, rows=3000, gain=0.15)
    exact = mcnemar(labels, mine, theirs)
    monkeypatch.setattr("tidemill.measures.paired.EXACT_ROWS", 10)
    assert mcnemar(labels, mine, theirs) == pytest.approx(exact, rel=0.05)
    only_positives = labels == 1
    assert mcnemar(labels, mine, theirs, positives=True) == mcnemar(
        labels[only_positives], mine[only_positives], theirs[only_positives]
    )


def test_what_cannot_be_tested_says_so():
    nothing = paired_test([1, 1], [0.2, 0.3], [0.1, 0.5], "roc_auc")
    assert (nothing.difference.reason, nothing.p_value, nothing.test) == ("only one class is present", None, "")
    plain = paired_test([0, 1], [0.2, 0.3], [0.5, 0.1], "roc_auc", resamples=0)
    assert (plain.difference.value, plain.difference.low, plain.p_value) == (1.0, None, None)


def test_a_difference_in_a_number_is_tested_too():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=300)
    near, far = truth + generator.normal(0, 0.5, 300), truth + generator.normal(0, 1, 300)
    found = paired_test(truth, near, far, "rmse", "regression")
    assert found.difference.high < 0
    assert (found.test, found.p_value) == ("bootstrap", 2 / 201)
