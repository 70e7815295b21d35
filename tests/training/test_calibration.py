"""If these fail, a probability of 30 % is no 30 %, or a served answer is another than the one that was evaluated."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

import tidemill as tm
from tidemill.core.errors import DataError, UsageError
from tidemill.measures import ece, roc_auc
from tidemill.packaging.package import model_of, open_folder
from tidemill.serving.predictor import Predictor
from tidemill.training.calibration import apply_calibration, calibration_rows, fit_calibration

METHODS = ("sigmoid", "isotonic")


def bayes(params):
    return GaussianNB(**params)


def crowded(classes: int, rows: int = 4000) -> pl.DataFrame:
    """Columns that repeat each other, on which a naive Bayes is far too sure."""
    draw = np.random.default_rng(0)
    kind = draw.integers(0, classes, rows)
    base = kind + draw.normal(0, 1.2, rows)
    columns = {f"x{place}": base + draw.normal(0, 0.2, rows) for place in range(6)}
    target = kind == 1 if classes == 2 else pl.Series([f"class {code}" for code in kind])
    return pl.DataFrame({**columns, "target": target})


@pytest.fixture(scope="module")
def data():
    return tm.split(crowded(2), tm.by_share(0.4, 0.3), "target")


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_is_too_sure_becomes_honest(data, method):
    raw = tm.train(bayes, {}, data, baselines=False)
    model = tm.train(bayes, {}, data, calibrate=method, baselines=False)
    truth = data.test["target"].to_numpy()
    before, after = tm.predict(raw, data.test), tm.predict(model, data.test)
    assert ece(truth, after) < min(0.06, ece(truth, before) / 2)
    assert roc_auc(truth, after) == pytest.approx(roc_auc(truth, before), abs=0.005)
    order = np.argsort(before)
    assert (np.diff(after[order]) >= 0).all()
    assert json.loads(json.dumps(model.calibration)) == model.calibration


def test_threshold_and_metrics_come_from_other_rows_than_the_curve(data):
    model = tm.train(bayes, {}, data, calibrate="sigmoid", threshold="f1", baselines=False)
    rows = data.validation.height
    used = calibration_rows(rows, 0)
    assert model.metadata["calibration"] == {
        "method": "sigmoid", "rows": int(used.sum()), "of": rows, "drawn_with_seed": 0,
        "threshold_and_metrics_from": int((~used).sum()),
    }  # fmt: skip
    truth, scores = data.validation["target"].to_numpy(), tm.predict(model, data.validation)
    assert model.metrics["roc_auc"] == pytest.approx(roc_auc(truth[~used], scores[~used]))
    poisoned = truth.copy()
    poisoned[~used] = ~poisoned[~used]
    again = tm.train(
        bayes, {}, tm.Splits(data.train, data.validation.with_columns(target=poisoned), data.test, data.spec),
        calibrate="sigmoid", baselines=False,
    )  # fmt: skip
    assert again.calibration == model.calibration


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_calibrated_model_answers_alike_in_both_engines(method, classes, tmp_path):
    data = tm.split(crowded(classes), tm.by_share(0.5, 0.3), "target")
    model = tm.train(lambda params: LogisticRegression(**params), {}, data, calibrate=method, baselines=False)
    package = tm.package(model, data.validation)
    assert package.manifest["parity"]["verified"], package.manifest["parity"]
    opened = open_folder(package.write(tmp_path / "model"))
    expected = tm.predict(model, data.test)
    assert not np.allclose(expected, tm.predict(replace(model, calibration={}), data.test), atol=1e-3)
    np.testing.assert_array_equal(tm.predict(model_of(opened), data.test), expected)
    rows = [{name: row[name] for name in model.signature.inputs.names} for row in data.test.head(30).to_dicts()]
    for engine in ("native", "onnx"):
        for told, score in zip(Predictor(opened, engine=engine).predict(rows), expected, strict=False):
            likely = score if classes == 2 else score.max()
            assert told["probability"] == pytest.approx(likely, abs=1e-5)
    if classes == 3:
        np.testing.assert_allclose(expected.sum(axis=1), 1)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=60, max_size=200),
    st.sampled_from(METHODS),
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
)
def test_every_curve_rises_and_stays_a_probability(rows, method, asked):
    truth, scores = np.array(rows, dtype=float).T
    truth[:10], truth[10:20] = 0.0, 1.0
    calibration = json.loads(json.dumps(fit_calibration(truth, scores, "binary", method), allow_nan=False))
    told = apply_calibration(np.sort(asked), calibration)
    assert (np.diff(told) >= -1e-12).all()
    assert ((told >= 0) & (told <= 1)).all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"calibrate": "platt"}, UsageError, "unknown calibration: 'platt'.*isotonic, sigmoid"),
        ({"calibrate": "sigmoid", "task": "regression"}, UsageError, "regression model has no probabilities"),
    ],
)
def test_what_cannot_be_calibrated_is_said(data, options, error, words):
    build = (lambda params: RandomForestClassifier(5)) if "task" not in options else _mean
    with pytest.raises(error, match=words):
        tm.train(build, {}, data, baselines=False, **options)


class _Mean:
    def fit(self, matrix, truth):
        self.value = truth.mean()
        return self

    def predict(self, matrix):
        return np.full(len(matrix), self.value) + matrix[:, 0]


def _mean(params):
    return _Mean()


def test_too_few_rows_and_scores_that_are_no_probabilities_are_refused(data):
    few = tm.Splits(data.train, data.validation.head(40), data.test, data.spec)
    with pytest.raises(DataError, match=r"20 rows, with .* too few to calibrate on.*100 or more"):
        tm.train(bayes, {}, few, calibrate="sigmoid")
    with pytest.raises(DataError, match="calibration starts from probabilities"):
        tm.train(_mean, {}, data, calibrate="sigmoid", task="binary")
