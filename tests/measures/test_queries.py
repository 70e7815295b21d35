"""If these fail, a ranking is praised for an order that it did not make."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidemill import measures
from tidemill.core.errors import DataError

FEW = settings(deadline=None, max_examples=60)
ROW = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 6).map(lambda sixth: sixth / 6))


def by_query(rows):
    """Truth, scores, and the rows of each query in the order of the queries."""
    both = np.array(rows, dtype=float)
    groups = [both[both[:, 1] == query] for query in np.unique(both[:, 1])]
    return both[:, :2], both[:, 2], groups


@FEW
@given(st.lists(ROW, min_size=1, max_size=40), st.sampled_from([1, 2, 5, 10]))
def test_gains_equal_scikit_learn_within_each_query(rows, k):
    truth, scores, groups = by_query(rows)
    for value, group in zip(measures.ndcg(truth, scores, k), groups, strict=True):
        if not group[:, 0].any():
            assert np.isnan(value)
        elif len(group) > 1:
            assert value == pytest.approx(sk.ndcg_score([group[:, 0]], [group[:, 2]], k=k))
        else:
            assert value == 1
    for value, group in zip(measures.average_precisions(truth, scores), groups, strict=True):
        relevant = group[:, 0] > 0
        if relevant.any():
            assert value == pytest.approx(sk.average_precision_score(relevant, group[:, 2]))
        else:
            assert np.isnan(value)


def orders(group):
    """Every order of a query's rows that its scores allow."""
    for order in itertools.permutations(range(len(group))):
        scores = group[list(order), 2]
        if (np.diff(scores) <= 0).all():
            yield group[list(order), 0] > 0


@settings(deadline=None, max_examples=30)
@given(st.lists(ROW, min_size=1, max_size=5), st.integers(1, 4))
def test_ties_count_as_the_mean_over_the_orders_they_allow(rows, k):
    truth, scores, groups = by_query(rows)
    found = zip(
        measures.reciprocal_ranks(truth, scores),
        measures.precision_at(truth, scores, k),
        measures.recall_at(truth, scores, k),
        groups,
        strict=True,
    )
    for reciprocal, precise, recalled, group in found:
        allowed = list(orders(group))
        firsts = [1 / (np.argmax(order) + 1) if order.any() else 0.0 for order in allowed]
        assert reciprocal == pytest.approx(np.mean(firsts))
        assert precise == pytest.approx(np.mean([order[:k].sum() / k for order in allowed]))
        if group[:, 0].any():
            assert recalled == pytest.approx(np.mean([order[:k].sum() / order.sum() for order in allowed]))
        else:
            assert np.isnan(recalled)


def test_queries_are_drawn_as_wholes():
    """Hundreds of rows in three queries leave an interval as wide as three queries have, not one of hundreds."""
    generator = np.random.default_rng(0)
    query = np.repeat([0, 1, 2], 200)
    grade = generator.integers(0, 2, 600)
    scores = np.where(query == 0, grade, np.where(query == 1, -grade, generator.random(600)))
    found = measures.estimate(np.column_stack([grade, query]), scores, ("map",), "ranking", resamples=300)["map"]
    each = measures.average_precisions(np.column_stack([grade, query]), scores)
    assert found.rows == 3
    assert found.value == pytest.approx(each.mean())
    assert (found.low, found.high) == (pytest.approx(each.min()), pytest.approx(each.max()))


def test_any_number_of_rows_can_be_named_and_the_order_of_rows_does_not_matter():
    assert measures.metric("ndcg_at_3", "ranking").greater_is_better
    generator = np.random.default_rng(1)
    truth = np.column_stack([generator.integers(0, 3, 50), generator.integers(0, 5, 50)])
    scores, order = generator.random(50), generator.permutation(50)
    names = ("ndcg_at_3", "precision_at_7", "recall_at_2", "map", "mrr")
    expected = measures.measure(truth, scores, names, "ranking")
    assert measures.measure(truth[order], scores[order], names, "ranking") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "words"),
    [([[-1, 0]], "a grade is negative"), ([[1, 0, 0]], "a grade and a query"), ([1], "2 dimensions")],
)
def test_what_is_no_ranking_is_said(truth, words):
    with pytest.raises(DataError, match=words):
        measures.ndcg(truth, [0.5])
