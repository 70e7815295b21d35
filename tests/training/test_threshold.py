"""If these fail, a team acts on the wrong rows and pays for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import UsageError
from tidemill.training.threshold import cheapest_threshold

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
