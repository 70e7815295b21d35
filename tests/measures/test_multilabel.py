"""If these fail, a model of several labels is praised for numbers that nobody else would get."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidemill import measures
from tidemill.core.errors import DataError

FEW = settings(deadline=None, max_examples=60)
ROW = st.tuples(*[st.integers(0, 1)] * 3, *[st.integers(0, 8)] * 3)


def arrays(rows, seed):
    both = np.array(rows, dtype=float)
    weights = np.random.default_rng(seed).integers(1, 4, len(both)).astype(float)
    return both[:, :3], both[:, 3:] / 8, weights


@FEW
@given(st.lists(ROW, min_size=1, max_size=40), st.integers(0, 100), st.sampled_from([0.25, 0.5, 1.1]))
def test_decisions_about_labels_equal_scikit_learn(rows, seed, threshold):
    truth, scores, weights = arrays(rows, seed)
    called = (scores >= threshold).astype(int)
    present = np.flatnonzero(truth.sum(axis=0) + called.sum(axis=0)).tolist()
    for options, theirs in (({}, {}), ({"weights": weights}, {"sample_weight": weights})):
        assert measures.subset_accuracy(truth, scores, threshold, **options) == pytest.approx(
            sk.accuracy_score(truth, called, **theirs)
        )
        expected = np.average((truth != called).mean(axis=1), weights=weights if options else None)
        assert measures.hamming_loss(truth, scores, threshold, **options) == pytest.approx(expected)
        micro = measures.micro_f1(truth, scores, threshold, **options)
        macro = measures.estimate(truth, scores, ("macro_f1",), "multilabel", threshold=threshold, resamples=0)
        if present:
            assert micro == pytest.approx(sk.f1_score(truth, called, average="micro", zero_division=0, **theirs))
            expected = sk.f1_score(truth, called, average="macro", labels=present, zero_division=0)
            assert macro["macro_f1"].value == pytest.approx(expected)
        else:
            assert math.isnan(micro)
            assert macro["macro_f1"].value is None


@FEW
@given(st.lists(ROW, min_size=2, max_size=40), st.integers(0, 100))
def test_ranking_of_each_label_equals_scikit_learn(rows, seed):
    truth, scores, weights = arrays(rows, seed)
    split = [place for place in range(3) if 0 < truth[:, place].sum() < len(truth)]
    having = [place for place in range(3) if truth[:, place].sum()]
    for options, theirs in (({}, {}), ({"weights": weights}, {"sample_weight": weights})):
        areas = [sk.roc_auc_score(truth[:, place], scores[:, place], **theirs) for place in split]
        assert measures.macro_roc_auc(truth, scores, **options) == pytest.approx(
            np.mean(areas) if areas else math.nan, nan_ok=True
        )
        precisions = [sk.average_precision_score(truth[:, place], scores[:, place], **theirs) for place in having]
        assert measures.macro_average_precision(truth, scores, **options) == pytest.approx(
            np.mean(precisions) if precisions else math.nan, nan_ok=True
        )


def test_log_loss_is_the_mean_over_labels():
    truth, scores = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.3, 0.6]])
    found = measures.measure(truth, scores, ("log_loss",), "multilabel")["log_loss"]
    expected = np.mean([sk.log_loss(truth[:, place], scores[:, place], labels=[0, 1]) for place in range(2)])
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "scores", "words"),
    [
        ([[1, 0]], [[0.1]], r"truth has the shape \(1, 2\)"),
        ([[2, 0]], [[0.1, 0.2]], "labels should be 0 or 1"),
        ([1, 0], [0.1, 0.2], "2 dimensions"),
    ],
)
def test_what_does_not_fit_is_said(truth, scores, words):
    with pytest.raises(DataError, match=words):
        measures.micro_f1(truth, scores)
