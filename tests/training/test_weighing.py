"""If these fail, rows count more than somebody said, or twice, and nobody sees it."""

from __future__ import annotations

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import tidemill as tm
from tidemill.core.errors import DataError, ModelError, UsageError
from tidemill.training.weighing import row_weights_of


@pytest.fixture(scope="module")
def data():
    draw = np.random.default_rng(0)
    x = draw.normal(size=600)
    table = pl.DataFrame({"x": x, "late": x + draw.normal(size=600) > 1.6, "cost": draw.integers(0, 4, 600)})
    return tm.split(table, tm.by_share(), "late", features=["x", "cost"])


def logistic(params):
    return make_pipeline(StandardScaler(), LogisticRegression(**params))


def test_balanced_classes_weigh_as_scikit_learn_has_it():
    truth = np.array([0.0, 0, 0, 1, 2, 2])
    found = row_weights_of(pl.DataFrame({"y": truth}), truth, "multiclass", ("a", "b", "c"), "balanced", "")
    np.testing.assert_allclose(found, compute_sample_weight("balanced", truth))


def test_class_weights_reach_the_estimator(data):
    mine = tm.train(logistic, {}, data, class_weight="balanced", baselines=False)
    theirs = tm.train(lambda p: logistic({"class_weight": "balanced"}), {}, data, baselines=False)
    np.testing.assert_allclose(tm.predict(mine, data.test), tm.predict(theirs, data.test), atol=0.02)
    assert tm.predict(mine, data.test).mean() > 2 * tm.predict(tm.train(logistic, {}, data), data.test).mean()
    assert mine.metadata["class_weight"] == "balanced"
    named = tm.train(logistic, {}, data, class_weight={False: 1, True: 9}, baselines=False)
    assert named.metadata["class_weight"] == {"false": 1.0, "true": 9.0}


def test_a_column_of_weights_is_no_feature_and_leaves_rows_of_weight_0_out(data):
    model = tm.train(logistic, {}, data, weights="cost", baselines=False)
    assert model.signature.inputs.names == ("x",)
    assert model.metadata["weights"] == "cost"
    counted = data.train.filter(pl.col("cost") > 0)
    alone = tm.train(
        lambda p: LogisticRegression(), {}, tm.Splits(counted, data.validation, data.test, data.spec), weights="cost"
    )
    with_all = tm.train(lambda p: LogisticRegression(), {}, data, weights="cost")
    np.testing.assert_allclose(tm.predict(alone, data.test), tm.predict(with_all, data.test), atol=1e-6)


def test_boosted_trees_are_weighted_too(data):
    def build(params):
        return lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1)

    plain, heavy = (tm.train(build, {}, data, class_weight=w, baselines=False) for w in (None, "balanced"))
    assert tm.predict(heavy, data.test).mean() > 1.5 * tm.predict(plain, data.test).mean()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"class_weight": "balanced", "weights": "cost"}, UsageError, "both class_weight and weights"),
        ({"class_weight": "heavy"}, UsageError, "unknown class weights: 'heavy'"),
        ({"class_weight": {True: 2}}, UsageError, r"other classes than the target has: \['false'\].*false, true"),
        ({"class_weight": {"no": 1, "true": 2, "false": 1}}, UsageError, r"other classes.*\['no'\]"),
        ({"class_weight": {"true": -1, "false": 1}}, UsageError, "numbers of 0 or more"),
        ({"class_weight": "balanced", "task": "regression"}, UsageError, "this is regression"),
        ({"weights": "nothing"}, DataError, "nothing"),
        ({"weights": "late"}, UsageError, "cannot be the weight of its own row: 'late'"),
    ],
)
def test_weights_that_cannot_be_are_said(data, options, error, words):
    with pytest.raises(error, match=words):
        tm.train(logistic, {}, data, **options)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (pl.lit(-1), "600|420 weights in 'cost' are missing, negative or infinite"),
        (pl.lit(None, dtype=pl.Int64), "are missing, negative or infinite"),
        (pl.lit(0), "all weights in 'cost' are 0"),
        (pl.lit("much"), "should be numbers"),
    ],
)
def test_a_column_of_bad_weights_is_said(data, weights, words):
    bad = tm.Splits(data.train.with_columns(cost=weights), data.validation, data.test, data.spec)
    with pytest.raises(DataError, match=words):
        tm.train(logistic, {}, bad, weights="cost")


def test_weights_never_multiply_in_silence(data):
    with pytest.raises(ModelError, match=r"both train\(\) and Pipeline weigh the classes.*class_weight"):
        tm.train(lambda p: logistic({"class_weight": "balanced"}), {}, data, class_weight="balanced")
    with pytest.raises(ModelError, match="scale_pos_weight"):
        tm.train(lambda p: lightgbm.LGBMClassifier(scale_pos_weight=5.0), {}, data, class_weight="balanced")


def test_an_estimator_that_takes_no_weights_says_so(data):
    class Blind:
        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            return matrix[:, 0]

    with pytest.raises(ModelError, match=r"Blind.fit\(\) takes no sample_weight"):
        tm.train(lambda p: Blind(), {}, data, class_weight="balanced")
