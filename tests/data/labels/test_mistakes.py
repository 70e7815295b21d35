"""Wrong labels in the training set are paid for by every user of the model; false alarms, by the annotators."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, UsageError
from tidemill.data.labels.mistakes import label_errors


def a_case(seed, rows, classes, noise):
    """Labels of which some are wrong, and the probabilities of a model that is right most of the time."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    scores = rng.dirichlet(np.full(classes, 0.6), rows)
    scores[np.arange(rows), truth] += 1.2
    scores = np.round(scores / scores.sum(axis=1, keepdims=True), 4)
    labels = np.where(rng.random(rows) < noise, (truth + rng.integers(1, classes, rows)) % classes, truth)
    return labels, scores / scores.sum(axis=1, keepdims=True), truth


#: What cleanlab 2.9.0 says about `a_case(0, 300, 3, 0.15)`: estimate_joint, and find_label_issues by normalized margin.
JOINT = [[0.253333, 0.02, 0.036667], [0.026667, 0.276667, 0.026667], [0.01, 0.033333, 0.316667]]
BY_NOISE_RATE = [
    273, 254, 61, 299, 224, 127, 92, 107, 91, 8, 288, 156, 258, 271, 207, 108, 33, 201, 298, 130, 39, 280, 133, 290,
    200, 186, 297, 295, 243, 40, 121, 213, 68, 131, 190, 15, 270, 153, 260, 294, 27,
]  # fmt: skip
BY_CONFIDENT_JOINT = [
    273, 254, 61, 299, 224, 127, 92, 107, 91, 8, 288, 156, 258, 271, 207, 108, 33, 201, 298, 130, 39, 280, 133, 290,
    186, 297, 243, 40, 121, 213, 68, 190,
]  # fmt: skip


def test_the_suspects_are_those_of_the_reference_implementation():
    labels, scores, _ = a_case(0, 300, 3, 0.15)
    found = label_errors(labels.tolist(), scores)
    assert found.joint == pytest.approx(np.array(JOINT), abs=2e-3)  # there, counts are rounded to whole rows
    assert found.table["row"].to_list() == BY_NOISE_RATE
    assert label_errors(labels.tolist(), scores, by="confident_joint").table["row"].to_list() == BY_CONFIDENT_JOINT


def test_injected_noise_is_found():
    labels, scores, truth = a_case(1, 2000, 4, 0.1)
    found = label_errors(labels, scores)
    wrong, suspects = set(np.flatnonzero(labels != truth).tolist()), set(found.table["row"].to_list())
    assert len(suspects & wrong) / len(suspects) > 0.95
    assert len(suspects & wrong) / len(wrong) > 0.8
    assert found.noise == pytest.approx((labels != truth).mean(), abs=0.03)
    assert found.confusions[0].rows >= found.confusions[-1].rows
    assert found.table["margin"].is_sorted(descending=True)


@pytest.mark.slow
def test_wrong_digits_are_found_by_a_model_that_has_not_seen_them():
    datasets = pytest.importorskip("sklearn.datasets", reason="the model needs the extra [ml]")
    linear, selection = pytest.importorskip("sklearn.linear_model"), pytest.importorskip("sklearn.model_selection")
    pixels, truth = datasets.load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(len(truth)) < 0.1, (truth + rng.integers(1, 10, len(truth))) % 10, truth)
    model = linear.LogisticRegression(C=0.01, max_iter=500)
    scores = selection.cross_val_predict(model, pixels / 16, labels, cv=5, method="predict_proba")
    suspects = set(label_errors(labels, scores).table["row"].to_list())
    wrong = set(np.flatnonzero(labels != truth).tolist())
    assert len(suspects & wrong) / len(suspects) > 0.7
    assert len(suspects & wrong) / len(wrong) > 0.85


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4), st.floats(0, 0.4))
def test_the_joint_keeps_the_shares_of_the_labels(seed, classes, noise):
    labels, scores, _ = a_case(seed, 80, classes, noise)
    found = label_errors(labels, scores, range(classes))
    assert found.joint.sum() == pytest.approx(1)
    assert found.joint.sum(axis=1) == pytest.approx(np.bincount(labels, minlength=classes) / len(labels))
    rows = found.table["row"].to_numpy()
    assert (scores[rows].argmax(axis=1) != labels[rows]).all()
    assert found.noise == pytest.approx(sum(confusion.rows for confusion in found.confusions) / len(labels), abs=1e-9)


def test_clean_labels_have_no_errors():
    labels = ["a"] * 10 + ["b"] * 10
    found = label_errors(labels, [0.1] * 10 + [0.9] * 10)
    assert (found.table.height, found.noise, found.confusions) == (0, 0.0, ())
    assert found.table.schema["given"] == pl.String


@pytest.mark.parametrize(
    ("labels", "scores", "classes", "message"),
    [
        (["a", None], [0.1, 0.2], None, "row 1"),
        (["a", "a"], [0.1, 0.2], None, "two classes"),
        (["a", "b"], [0.1], None, "2 rows and 2 classes"),
        (["a", "b"], [[0.1, 0.2, 0.7]] * 2, None, "2 rows and 2 classes"),
        (["a", "b"], [[0.5, 0.5], [3.0, 1.0]], None, "row 1"),
        (["a", "b"], [0.5, float("nan")], None, "row 1"),
        (["a", "b"], [0.5, 0.5], ["b", "c"], "none of the classes: 'a'"),
        (["a", "b"], [[0.3, 0.3, 0.4]] * 2, ["a", "b", "c"], "no row has this class: 'c'"),
    ],
)
def test_what_does_not_fit_together_is_refused(labels, scores, classes, message):
    with pytest.raises(DataError, match=message):
        label_errors(labels, scores, classes)


def test_a_way_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="noise_rate or confident_joint"):
        label_errors(["a", "b"], [0.1, 0.9], by="luck")
