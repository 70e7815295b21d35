"""If these fail, a team acts on the wrong rows and pays for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, UsageError
from tidemill.training.threshold import cheapest_threshold, threshold_by

rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10).map(lambda tenth: tenth / 10)), min_size=1, max_size=30)
cost = st.integers(-3, 20).map(float)


def total(labels, scores, threshold, costs):
    called = scores >= threshold
    cells = {
        "true_positive": called & (labels == 1),
        "false_positive": called & (labels == 0),
        "false_negative": ~called & (labels == 1),
        "true_negative": ~called & (labels == 0),
    }
    return sum(costs.get(name, 0) * cell.sum() for name, cell in cells.items())


@given(rows, cost, cost, cost, cost)
def test_no_other_threshold_is_cheaper(rows, fp, fn, tp, tn):
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    costs = {"false_positive": fp, "false_negative": fn, "true_positive": tp, "true_negative": tn}
    found = cheapest_threshold(labels, scores, costs)
    best = min(total(labels, scores, threshold, costs) for threshold in np.linspace(-0.05, 1.05, 111))
    assert total(labels, scores, found, costs) == pytest.approx(best)


def test_never_acting_can_be_cheapest():
    assert cheapest_threshold([0, 0, 1], [0.9, 0.8, 0.1], {"false_positive": 100, "false_negative": 1}) > 0.9
    assert cheapest_threshold([], [], {"false_positive": 1, "false_negative": 1}) == 0.5


@pytest.mark.parametrize(
    ("costs", "words"),
    [({"false_positive": 1}, "incomplete: .'false_negative'"), ({"fp": 1, "fn": 2}, "unknown keys: .'fn', 'fp'")],
)
def test_costs_that_say_too_little_are_refused(costs, words):
    with pytest.raises(UsageError, match=words):
        cheapest_threshold([0, 1], [0.1, 0.9], costs)


RULES = st.sampled_from(
    ["f1", "youden", {"precision": 0.5}, {"precision": 0.9}, {"recall": 0.3}, {"recall": 1.0}, {"flagged": 0.25}]
)


@settings(deadline=None, max_examples=120)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=2, max_size=60), RULES)
def test_a_rule_chooses_the_threshold_that_it_promises(rows, rule):
    truth, scores = np.array(rows, dtype=float).T
    scores /= 12
    if truth.min() == truth.max():
        return
    candidates = [*np.unique(scores), 2.0]
    called = {cut: scores >= cut for cut in candidates}

    def worth(found):
        hits = float(truth[found].sum())
        if rule == "f1":
            return 2 * hits / (found.sum() + truth.sum())
        if rule == "youden":
            return hits / truth.sum() - float((1 - truth)[found].sum()) / (1 - truth).sum()
        share = next(iter(rule))
        if share == "precision":
            return hits / found.sum() if found.any() else 0.0
        return hits / truth.sum() if share == "recall" else found.mean()

    try:
        chosen = scores >= threshold_by(rule, truth, scores)
    except DataError as error:
        assert "no threshold reaches a precision" in str(error)  # noqa: PT017
        assert max(worth(found) for found in called.values()) < rule["precision"]
        return
    if isinstance(rule, str):
        assert worth(chosen) == pytest.approx(max(worth(found) for found in called.values()))
        return
    ((name, wanted),) = rule.items()
    if name == "flagged":
        assert chosen.mean() <= wanted + 1e-12
        assert all(found.sum() <= chosen.sum() for found in called.values() if found.mean() <= wanted)
        return
    assert worth(chosen) >= wanted - 1e-12
    better = [found for found in called.values() if worth(found) >= wanted]
    many = [int(found.sum()) for found in better]
    assert int(chosen.sum()) == (max(many) if name == "precision" else min(many))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("best", "unknown rule for the threshold: 'best'"),
        (True, "unknown rule"),
        ({"precision": 0.9, "recall": 0.1}, "names one share"),
        ({"accuracy": 0.9}, "names one share"),
        ({"precision": 1.5}, "names one share"),
        ({}, "names one share"),
        (float("nan"), "a finite number"),
    ],
)
def test_a_rule_that_is_none_is_said(rule, words):
    with pytest.raises(UsageError, match=words):
        threshold_by(rule, [0, 1], [0.1, 0.9])


def test_one_outcome_chooses_nothing():
    with pytest.raises(DataError, match="have one outcome only"):
        threshold_by("f1", [1, 1], [0.1, 0.9])
