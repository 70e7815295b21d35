"""A model of XGBoost must answer elsewhere as it did where it was trained, to the last split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xgboost
from elsewhere import check_travels
from made_up import made_up

import tidemill as tm
from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.integrations.xgboost import FILE, fit, load, predict, save
from tidemill.integrations.xgboost_onnx import to_onnx
from tidemill.packaging.engines import onnx_engine
from tidemill.training.fitting import prepare
from tidemill.training.prediction import encoded


def classifier(params):
    return xgboost.XGBClassifier(**params)


def regressor(params):
    return xgboost.XGBRegressor(**params)


@pytest.mark.parametrize(
    ("kind", "build", "params"),
    [("binary", classifier, {}), ("multiclass", classifier, {"n_estimators": 10}), ("regression", regressor, {})],
)
def test_it_answers_the_same_in_a_process_without_the_training_code(kind, build, params, tmp_path):
    data = made_up(kind)
    model = tm.train(build, {"max_depth": 4, **params}, data, baselines=False)
    assert (model.framework, "xgboost-cpu" in model.metadata["versions"]) == ("xgboost", True)
    check_travels(model, data.test, tmp_path, onnx=True)
    again = tm.train(build, {"max_depth": 4, **params}, data, baselines=False)
    assert save(again.estimator) == save(model.estimator)


@pytest.mark.parametrize(
    ("kind", "build", "params"),
    [
        ("binary", classifier, {"booster": "dart", "rate_drop": 0.3, "n_estimators": 20}),
        ("binary", lambda params: xgboost.XGBRFClassifier(**params), {"n_estimators": 20}),
        ("multiclass", classifier, {"num_parallel_tree": 3, "n_estimators": 10, "subsample": 0.5}),
        ("regression", regressor, {"objective": "reg:absoluteerror"}),
        ("regression", regressor, {"base_score": 17.0}),
        ("count", regressor, {"objective": "count:poisson"}),
        ("count", regressor, {"objective": "reg:tweedie"}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value))[:30],
)
def test_each_booster_and_objective_answers_in_onnx_as_it_does_natively(kind, build, params):
    data = made_up(kind)
    model = tm.train(build, params, data, baselines=False)
    matrix, task = encoded(model, data.test), model.signature.task
    expected = predict(load(save(model.estimator)), matrix, task)
    np.testing.assert_array_equal(expected, tm.predict(model, data.test))
    found = onnx_engine(to_onnx(model.estimator, matrix.shape[1]), task)(matrix)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"booster": "gblinear"}, "linear booster"),
        ({"missing": 0.0}, "NaN is not what is missing"),
        ({"objective": "binary:hinge"}, "objective"),
    ],
)
def test_what_has_no_exact_onnx_form_says_so_and_is_served_natively(params, why):
    data = made_up("binary")
    model = tm.train(classifier, params, data, baselines=False)
    with pytest.raises(ModelError, match=why):
        to_onnx(model.estimator, len(model.encoding))
    matrix = encoded(model, data.test)
    expected = predict(load(save(model.estimator)), matrix, "binary")
    np.testing.assert_array_equal(expected, tm.predict(model, data.test))


def hard_rows(booster, rows=4000):
    """Rows on the thresholds and one float32 step beside them, with holes."""
    draw = np.random.default_rng(0)
    splits = booster.trees_to_dataframe().dropna(subset=["Split"])
    matrix = draw.normal(size=(rows, 4)).astype(np.float32)
    for row, place in enumerate(draw.integers(len(splits), size=rows)):
        feature, value = int(splits["Feature"].iloc[place][1:]), np.float32(splits["Split"].iloc[place])
        side = np.float32(draw.choice([-np.inf, np.inf]))
        matrix[row, feature] = draw.choice([value, np.nextafter(value, side)])
    matrix[draw.random(matrix.shape) < 0.1] = np.nan
    return matrix


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_rows_on_a_threshold_and_holes_take_the_same_branch_in_onnx(holes):
    draw = np.random.default_rng(1)
    matrix = draw.normal(size=(2000, 4)).astype(np.float32).round(1)
    truth = (matrix[:, 0] * matrix[:, 1] > 0).astype(int)
    matrix[draw.random(matrix.shape) < holes] = np.nan
    fitted = xgboost.XGBClassifier(n_estimators=30).fit(matrix, truth)
    rows = hard_rows(fitted.get_booster())
    found = onnx_engine(to_onnx(fitted, 4), "binary")(rows)
    np.testing.assert_allclose(found, fitted.predict_proba(rows)[:, 1], atol=2e-6)


def test_early_stopping_keeps_the_best_round_and_so_does_the_file():
    data = made_up("binary")
    model = tm.train(classifier, {"n_estimators": 500, "learning_rate": 0.5}, data, baselines=False, early_stopping=5)
    assert model.metadata["best_iteration"] < 400
    booster = load(save(model.estimator))
    assert booster.num_boosted_rounds() == model.metadata["best_iteration"]
    assert save(booster) == save(model.estimator)


def test_rows_that_weigh_nothing_teach_nothing():
    fitting = prepare(made_up("binary")).fitting
    weights = np.where(np.arange(len(fitting.truth)) < 300, 1.0, 0.0)
    few = replace(fitting, matrix=fitting.matrix[:300], truth=fitting.truth[:300])
    first, second = (
        fit(classifier({"n_estimators": 5}), one).predict_proba(fitting.validation)
        for one in (replace(fitting, weights=weights), few)
    )
    np.testing.assert_allclose(first, second, atol=0.02)


def test_a_booster_of_the_native_interface_is_refused_with_what_to_return():
    data = made_up("binary")
    matrix = xgboost.DMatrix(np.zeros((4, 4)), label=[0, 1, 0, 1])
    with pytest.raises(ModelError, match="XGBClassifier"):
        tm.train(lambda params: xgboost.train({}, matrix, 1), {}, data, baselines=False)


@pytest.mark.parametrize(
    ("kind", "build", "params", "words"),
    [
        ("regression", classifier, {}, "XGBClassifier is a classifier, and the answer of a regression is a number"),
        (
            "regression",
            regressor,
            {"objective": "nonsense"},
            "XGBoost cannot fit: Unknown objective function: `nonsense`",
        ),
        ("binary", lambda params: xgboost.XGBClassifier, {}, "returned the class XGBClassifier itself"),
    ],
)
def test_what_cannot_be_fitted_says_why_in_one_line(kind, build, params, words):
    with pytest.raises(ModelError, match=words) as raised:
        tm.train(build, params, made_up(kind), baselines=False)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"{L\x00\x00broken", b'{"learner": 3}'])
def test_bytes_of_another_kind_are_refused(data):
    with pytest.raises(UnsafeModelError):
        load({FILE: data})
