"""A model of CatBoost must answer elsewhere as it did where it was trained, to the last split."""

from __future__ import annotations

import numpy as np
import pytest
from bitten import check_survives
from elsewhere import check_travels
from made_up import made_up
from pruned import check_pruned, searched

import tidemill as tm
from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.packaging.engines import onnx_engine
from tidemill.training.prediction import encoded

pytestmark = pytest.mark.services
catboost = pytest.importorskip("catboost", reason="catboost is not installed: make test-services does, where it can")


#: Learning rates, the good ones first.
RATES = (0.1, 0.08, 0.12, 0.09, 0.1, 1e-5, 2e-5)


def classifier(params):
    return catboost.CatBoostClassifier(iterations=40, **params)


def regressor(params):
    return catboost.CatBoostRegressor(iterations=40, **params)


@pytest.mark.parametrize(("kind", "build"), [("binary", classifier), ("multiclass", classifier)])
def test_it_answers_the_same_in_a_process_without_the_training_code(kind, build, tmp_path, monkeypatch):
    from tidemill.integrations.catboost import save

    monkeypatch.chdir(tmp_path)
    data = made_up(kind)
    model = tm.train(build, {"depth": 4}, data, baselines=False)
    assert list(tmp_path.iterdir()) == []  # no catboost_info
    check_travels(model, data.test, tmp_path, onnx=True)
    assert save(tm.train(build, {"depth": 4}, data, baselines=False).estimator) == save(model.estimator)


@pytest.mark.parametrize(
    ("kind", "build", "params"),
    [
        ("binary", classifier, {"nan_mode": "Max"}),
        ("binary", classifier, {"grow_policy": "Lossguide"}),
        ("multiclass", classifier, {"loss_function": "MultiClassOneVsAll", "nan_mode": "Max"}),
        ("multiclass", classifier, {"grow_policy": "Depthwise"}),
        ("regression", regressor, {"loss_function": "MAE"}),
        ("count", regressor, {"loss_function": "Poisson"}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value))[:30],
)
def test_each_shape_of_tree_and_loss_answers_in_onnx_as_it_does_natively(kind, build, params):
    from tidemill.integrations.catboost import load, predict, save
    from tidemill.integrations.catboost_onnx import to_onnx

    data = made_up(kind)
    model = tm.train(build, params, data, baselines=False)
    matrix, task = encoded(model, data.test), model.signature.task
    expected = predict(load(save(model.estimator)), matrix, task)
    np.testing.assert_array_equal(expected, tm.predict(model, data.test))
    draw = np.random.default_rng(0)
    borders = [border for column in model.estimator.get_borders().values() for border in column if abs(border) < 1e30]
    rows = draw.choice(np.array(borders, dtype=np.float32), size=(4000, matrix.shape[1]))
    aside = np.where(draw.random(rows.shape) < 0.5, np.float32(np.inf), np.float32(-np.inf))
    rows = np.concatenate([matrix, np.where(draw.random(rows.shape) < 0.5, rows, np.nextafter(rows, aside))])
    rows[draw.random(rows.shape) < 0.1] = np.nan
    found = onnx_engine(to_onnx(model.estimator, matrix.shape[1]), task)(rows)
    np.testing.assert_allclose(found, predict(model.estimator, rows, task), rtol=1e-5, atol=1e-6)


def test_what_has_no_onnx_form_says_so():
    from tidemill.integrations.catboost_onnx import to_onnx

    model = tm.train(
        lambda params: catboost.CatBoostRegressor(iterations=5, loss_function="Lq:q=3"), {}, made_up("regression")
    )
    with pytest.raises(ModelError, match="Lq"):
        to_onnx(model.estimator, 4)


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"CBM1 broken"])
def test_bytes_of_another_kind_are_refused(data):
    from tidemill.integrations.catboost import FILE, load

    with pytest.raises(UnsafeModelError):
        load({FILE: data})


def test_each_round_is_reported_to_a_pruner_which_ends_hopeless_trials():
    data = made_up("binary")
    study = searched(classifier, {"depth": 3}, data, RATES)
    check_pruned(study, rounds=40)
    assert all(value < 0 for _, value in study.trials[0].reported)  # a loss, in a study for which more is better
    watched = searched(classifier, {"depth": 3, "eval_metric": "AUC", "custom_metric": ["Recall"]}, data, RATES[:1])
    assert all(0 < value <= 1 for _, value in watched.trials[0].reported)
    unwatched = tm.tune(classifier, {"depth": tm.integers(2, 3)}, data, trials=1)
    assert unwatched.trials[0].reported == ()


@pytest.mark.filterwarnings("ignore:Failed to import numba:UserWarning")
def test_the_way_of_a_metric_is_that_of_catboost():
    class Own:
        def get_final_error(self, error, weight):
            return error / weight

        def is_max_optimal(self):
            return True

        def evaluate(self, approxes, target, weight):
            return float(sum(target)), float(len(target))

    study = searched(classifier, {"depth": 2, "eval_metric": Own()}, made_up("binary"), RATES[:1])
    assert all(value > 0 for _, value in study.trials[0].reported)
    classes = searched(classifier, {"depth": 2, "eval_metric": "AUC:type=Mu"}, made_up("multiclass"), RATES[:1])
    assert all(value > 0 for _, value in classes.trials[0].reported)


@pytest.mark.parametrize(
    ("kind", "build"), [("binary", classifier), ("multiclass", classifier), ("regression", regressor)]
)
def test_what_each_input_adds_sums_to_its_score(kind, build):
    from tidemill.evaluation.contributions import attribution_of

    data = made_up(kind)
    model = tm.train(build, {}, data, baselines=False)
    found = attribution_of(model, encoded(model, data.test))
    answers = tm.predict(model, data.test).reshape(len(data.test), -1)
    risen = np.exp(found.scores)
    told = {
        "binary": 1 / (1 + 1 / risen),
        "multiclass": risen / risen.sum(axis=1, keepdims=True),
        "regression": found.scores,
    }[kind]
    np.testing.assert_allclose(told, answers, rtol=1e-4, atol=1e-4)
    assert found.method == "catboost"


@pytest.mark.parametrize("policy", ["SymmetricTree", "Lossguide"])
def test_what_became_of_a_file_never_ends_the_process(policy, tmp_path):
    from tidemill.integrations.catboost import FILE, save

    draw = np.random.default_rng(0)
    rows = draw.normal(size=(300, 4)).astype(np.float32)
    model = catboost.CatBoostClassifier(
        iterations=5, depth=3, grow_policy=policy, verbose=False, allow_writing_files=False
    )
    model.fit(rows, (rows[:, 0] > 0).astype(int))
    check_survives("catboost", save(model)[FILE], tmp_path, times=250)
