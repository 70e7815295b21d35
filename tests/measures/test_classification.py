"""If these fail, a team believes a wrong number about its model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidemill import measures
from tidemill.core.errors import DataError, UsageError
from tidemill.measures import ranking

FEW = settings(deadline=None, max_examples=60)

labelled = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda tenth: tenth / 8)), min_size=1, max_size=60
)


def arrays(rows):
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


@FEW
@given(labelled, st.integers(0, 1000))
def test_ranking_measures_equal_scikit_learn_with_ties_and_weights(rows, seed):
    labels, scores = arrays(rows)
    assume(0 < labels.sum() < len(labels))
    weights = np.random.default_rng(seed).integers(1, 4, len(labels)).astype(float)
    assert measures.roc_auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))
    assert measures.roc_auc(labels, scores, weights) == pytest.approx(
        sk.roc_auc_score(labels, scores, sample_weight=weights)
    )
    assert measures.average_precision(labels, scores) == pytest.approx(sk.average_precision_score(labels, scores))
    assert measures.average_precision(labels, scores, weights) == pytest.approx(
        sk.average_precision_score(labels, scores, sample_weight=weights)
    )


def test_blocks_change_nothing(monkeypatch):
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 2, 1000), np.round(generator.random(1000), 2)
    monkeypatch.setattr(ranking, "BLOCK", 16)
    assert measures.roc_auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))
    assert measures.average_precision(labels, scores) == pytest.approx(sk.average_precision_score(labels, scores))
    weights = generator.poisson(1.0, 1000).astype(float)
    weights[scores > 0.9] = 0  # the best-scored groups are not drawn at all
    assert measures.average_precision(labels, scores, weights) == pytest.approx(
        sk.average_precision_score(labels, scores, sample_weight=weights)
    )


@FEW
@given(labelled)
def test_probability_measures_equal_scikit_learn(rows):
    labels, scores = arrays(rows)
    assert measures.log_loss(labels, scores) == pytest.approx(sk.log_loss(labels, scores, labels=[0, 1]))
    assert measures.brier(labels, scores) == pytest.approx(np.mean((labels - scores) ** 2))


@FEW
@given(labelled, st.sampled_from([0.0, 0.3, 0.5, 0.875, 1.1]))
def test_decisions_equal_scikit_learn(rows, threshold):
    labels, scores = arrays(rows)
    called = scores >= threshold
    found = measures.confusion(labels, scores, threshold)
    assert found.rows == len(labels)
    expected = sk.confusion_matrix(labels, called, labels=[0, 1]).ravel().tolist()
    assert [found.true_negative, found.false_positive, found.false_negative, found.true_positive] == expected
    assert measures.accuracy(labels, scores, threshold) == pytest.approx(sk.accuracy_score(labels, called))
    for ours, theirs in (
        (measures.precision, sk.precision_score),
        (measures.recall, sk.recall_score),
        (measures.f1, sk.f1_score),
    ):
        value = ours(labels, scores, threshold)
        expected = theirs(labels, called, zero_division=np.nan)
        assert value == pytest.approx(expected, nan_ok=True) or (math.isnan(value) and labels.sum() + called.sum() == 0)


@FEW
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_measures_of_many_classes_equal_scikit_learn(rows):
    labels = np.array([row[0] for row in rows])
    scores = np.array([row[1:] for row in rows], dtype=float)
    scores /= scores.sum(axis=1, keepdims=True)
    called = scores.argmax(axis=1)
    present = sorted(set(labels.tolist()) | set(called.tolist()))
    assert measures.class_accuracy(labels, scores) == pytest.approx(sk.accuracy_score(labels, called))
    assert measures.class_log_loss(labels, scores) == pytest.approx(sk.log_loss(labels, scores, labels=[0, 1, 2]))
    expected = sk.f1_score(labels, called, average="macro", labels=present, zero_division=0)
    assert measures.macro_f1(labels, scores) == pytest.approx(expected)


@FEW
@given(st.lists(st.tuples(st.integers(0, 2), *[st.integers(1, 9)] * 3), min_size=1), st.integers(0, 100))
def test_each_class_against_the_others_equals_scikit_learn(rows, seed):
    labels = np.array([row[0] for row in rows])
    scores = np.array([row[1:] for row in rows], dtype=float)
    scores /= scores.sum(axis=1, keepdims=True)
    weights = np.random.default_rng(seed).integers(1, 4, len(labels)).astype(float)
    present = sorted(set(labels.tolist()))
    for options, theirs in (({}, {}), ({"weights": weights}, {"sample_weight": weights})):
        found = measures.roc_auc_ovr(labels, scores, **options)
        if len(present) == 3:
            assert found == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr", **theirs))
        elif len(present) == 2:  # scikit-learn refuses these rows; a class that is absent has no curve
            areas = [sk.roc_auc_score(labels == code, scores[:, code], **theirs) for code in present]
            assert found == pytest.approx(np.mean(areas))
        else:
            assert math.isnan(found)


def test_the_area_of_many_classes_has_an_interval_and_a_reason_where_there_is_none():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 400)
    scores = generator.dirichlet(np.ones(3), 400) + 0.4 * np.eye(3)[labels]
    found = measures.estimate(labels, scores, ("roc_auc_ovr",), "multiclass")["roc_auc_ovr"]
    assert found.low < found.value < found.high
    one = measures.estimate(np.zeros(9), scores[:9], ("roc_auc_ovr",), "multiclass")["roc_auc_ovr"]
    assert (one.value, one.reason) == (None, "only one class is present")


@FEW
@given(labelled, st.sampled_from([0.05, 0.1, 0.5, 1.0]), st.integers(0, 100))
def test_the_top_share_does_not_depend_on_the_order_of_rows(rows, share, seed):
    labels, scores = arrays(rows)
    assume(labels.sum() > 0)
    order = np.random.default_rng(seed).permutation(len(labels))
    recall = measures.recall_at_share(labels, scores, share)
    assert measures.recall_at_share(labels[order], scores[order], share) == pytest.approx(recall)
    assert measures.lift_at_share(labels, scores, share) == pytest.approx(recall / share)
    hits = measures.precision_at_share(labels, scores, share) * share * len(labels)
    assert hits == pytest.approx(recall * labels.sum())


def test_curves_run_from_corner_to_corner_and_enclose_the_area():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 500)
    scores = np.round(np.clip(generator.normal(labels * 0.3, 0.4), 0, 1), 2)
    alarms, hits, _ = measures.roc_curve(labels, scores)
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(hits, alarms) == pytest.approx(measures.roc_auc(labels, scores))
    recall, precision, levels = measures.precision_recall_curve(labels, scores)
    assert recall[-1] == 1
    assert precision[-1] == pytest.approx(labels.mean())
    assert (np.diff(levels) < 0).all()


@pytest.mark.parametrize("name", list(measures.METRICS["binary"]))
def test_one_class_or_no_rows_is_undefined_and_never_crashes(name):
    for labels, scores in (([], []), ([1, 1], [0.2, 0.9]), ([0, 0], [0.2, 0.3]), ([1], [0.5])):
        value = measures.measure(labels, scores, (name,))[name]
        assert isinstance(value, float)
    found = measures.estimate([], [], (name,))[name]
    assert (found.value, found.low, found.reason) == (None, None, "there are no rows")


def test_an_undefined_metric_says_why():
    found = measures.estimate([1, 1, 1], [0.2, 0.5, 0.9], ("roc_auc", "recall"))
    assert (found["roc_auc"].value, found["roc_auc"].reason) == (None, "only one class is present")
    assert found["recall"].value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 1], [0.5], "truth has 2 rows and predictions have 1"),
        ([0, 1], [0.5, float("nan")], "the predictions hold 1 NaN, the first in row 1"),
        ([0, 2], [0.5, 0.5], "labels should be 0 or 1, and row 1 is not: 2.0"),
        (["yes", "no"], [0.5, 0.5], "the truth should be numbers"),
        ([[0, 1]], [[0.5, 0.5]], "should have 1 dimension: .1, 2."),
    ],
)
def test_wrong_arrays_are_named(labels, scores, words):
    with pytest.raises(DataError, match=words):
        measures.roc_auc(labels, scores)


def test_a_score_that_is_no_probability_is_named():
    with pytest.raises(DataError, match=r"row 1 does not: 1\.5"):
        measures.log_loss([0, 1], [0.5, 1.5])
    assert measures.roc_auc([0, 1], [0.5, 1.5]) == 1


def test_an_unknown_metric_suggests_the_nearest():
    with pytest.raises(UsageError, match=r"'roc_acu'.*Did you mean 'roc_auc'"):
        measures.metric("roc_acu")
    assert measures.metric("precision_at_5pct").needs == "score"
    with pytest.raises(UsageError, match="no metric of a regression model"):
        measures.metric("roc_auc", "regression")
