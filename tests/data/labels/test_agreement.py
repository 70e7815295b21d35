"""An agreement that is computed wrongly makes a team trust labels that it should not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, UsageError
from tidemill.data.labels.agreement import agreement, cohen_kappa, fleiss_kappa, krippendorff_alpha

#: Fleiss (1971) as Wikipedia and statsmodels show it: 10 subjects, 14 raters, 5 categories; counts per subject.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
#: Krippendorff (2011), example C: 12 units, 4 observers, missing values.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
answers = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30)


def test_fleiss_is_the_published_one():
    items = [[category for category, n in enumerate(row) for _ in range(n)] for row in FLEISS]
    assert fleiss_kappa(items) == pytest.approx(0.210, abs=5e-4)


def test_alpha_is_the_published_one():
    units = [[row[unit] for row in OBSERVERS if row[unit] is not None] for unit in range(12)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, "interval") == pytest.approx(0.849, abs=5e-4)


def test_alpha_of_numbers_far_from_zero_loses_no_digits():
    units = [[1e9 + a, 1e9 + b] for a, b in [(0, 1), (2, 2), (5, 4), (9, 9)]]
    small = [[a - 1e9, b - 1e9] for a, b in units]
    assert krippendorff_alpha(units, "interval") == pytest.approx(krippendorff_alpha(small, "interval"))


@settings(deadline=None)
@given(answers)
def test_cohen_is_that_of_scikit_learn(pairs):
    metrics = pytest.importorskip("sklearn.metrics", reason="compared with the extra [ml]")
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    found = cohen_kappa(left, right)
    if len({*left, *right}) == 1:
        assert found is None
    else:
        assert found == pytest.approx(metrics.cohen_kappa_score(left, right))
        assert found == pytest.approx(cohen_kappa(right, left))


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=3, max_size=3), min_size=1, max_size=20))
def test_agreement_does_not_depend_on_order_and_is_at_most_one(items):
    fleiss, alpha = fleiss_kappa(items), krippendorff_alpha(items)
    turned = [list(reversed(item)) for item in reversed(items)]
    if fleiss is None:
        assert alpha is None
        return
    assert fleiss_kappa(turned) == pytest.approx(fleiss)
    assert krippendorff_alpha(turned) == pytest.approx(alpha)
    assert fleiss <= 1 + 1e-12
    assert alpha <= 1 + 1e-12
    assert (alpha == pytest.approx(1)) == all(len(set(item)) == 1 for item in items)


def test_sets_that_share_members_agree_in_part():
    near = krippendorff_alpha([[{"a", "b"}, {"a"}], [{"c"}, {"c"}]], "jaccard")
    far = krippendorff_alpha([[{"a", "b"}, {"c"}], [{"c"}, {"c"}]], "jaccard")
    assert far < near < 1
    found = agreement([{"ann": ["a", "b"], "bob": ["a"]}, {"ann": ["c"], "bob": ["c"]}], "multi_label")
    assert found.alpha == pytest.approx(near)
    assert found.observed == 0.5


def test_a_queue_with_gaps_is_measured_by_what_is_there():
    labels = [
        {"ann": "a", "bob": "a", "eve": "b"},
        {"ann": "b", "bob": "b"},
        {"ann": "a", "eve": "a"},
        {"bob": "b"},
        {"ann": "b", "bob": "a"},
    ]
    found = agreement(labels)
    assert found.tasks == 4
    assert [(pair.left, pair.right, pair.tasks) for pair in found.pairs] == [
        ("ann", "bob", 3), ("ann", "eve", 2), ("bob", "eve", 1),
    ]  # fmt: skip
    assert found.pairs[0].observed == pytest.approx(2 / 3)
    assert found.fleiss == pytest.approx(fleiss_kappa([["b", "b"], ["a", "a"], ["b", "a"]]))
    assert agreement([{"ann": "a"}]) == agreement([]) == agreement([{}])
    numbers = agreement([{"ann": 1.0, "bob": 2.0}, {"ann": 5.0, "bob": 5.0}], "number")
    assert numbers.fleiss is None
    assert numbers.pairs[0].kappa is None
    assert 0 < numbers.alpha < 1


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="same number of labels"):
        fleiss_kappa([["a", "b"], ["a"]])
    with pytest.raises(DataError, match="same items"):
        cohen_kappa(["a"], [])
    with pytest.raises(UsageError, match="not a distance"):
        krippendorff_alpha([["a", "b"]], "hamming")
    assert cohen_kappa([], []) is None
    assert krippendorff_alpha([["a"]]) is None
    assert not math.isnan(krippendorff_alpha([["a", "b"], ["a", "a"]]))
    assert np.isfinite(fleiss_kappa([["a", "b"], ["a", "a"]]))
