"""A model that learns from a stream must be kept without pickle, answer the same elsewhere, and go on learning."""

from __future__ import annotations

import json

import numpy as np
import pytest
from elsewhere import check_travels
from made_up import made_up
from river import compose, ensemble, forest, linear_model, naive_bayes, neighbors, optim, preprocessing, rules, tree

import tidemill as tm
from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.data.operations import FillLearned
from tidemill.integrations.river import predict
from tidemill.integrations.river_state import FILE, load, save
from tidemill.training.prediction import encoded


def scaled(model):
    return compose.Pipeline(preprocessing.StandardScaler(), model)


MODELS = {
    "logistic": ("binary", lambda params: scaled(linear_model.LogisticRegression())),
    "tree": ("binary", lambda params: tree.HoeffdingTreeClassifier(grace_period=50)),
    "adwin": ("binary", lambda params: ensemble.ADWINBaggingClassifier(linear_model.Perceptron(), n_models=2)),
    "adaptive tree": ("multiclass", lambda params: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50)),
    "forest": ("multiclass", lambda params: forest.ARFClassifier(n_models=2)),
    "bayes": ("multiclass", lambda params: naive_bayes.GaussianNB()),
    "softmax": ("multiclass", lambda params: scaled(linear_model.SoftmaxRegression())),
    "linear": ("regression", lambda params: scaled(linear_model.LinearRegression(optim.Adam(0.1)))),
    "forest of values": ("regression", lambda params: scaled(forest.ARFRegressor(n_models=2))),
    "rules": ("regression", lambda params: rules.AMRules()),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_comes_back_whole_repeats_and_goes_on_learning_as_if_it_had_never_been_away(name):
    kind, build = MODELS[name]
    data = made_up(kind, 400)
    model = tm.train(build, {}, data, baselines=False)
    files = save(model.estimator)
    assert save(tm.train(build, {}, data, baselines=False).estimator) == files
    again, matrix = load(files), encoded(model, data.test)
    np.testing.assert_array_equal(predict(again, matrix, model.signature.task), tm.predict(model, data.test))
    answer = {"binary": True, "multiclass": 1, "regression": 3.0}[kind]
    for learner in (again, model.estimator):
        for row in learner.rows(matrix):
            learner.model.learn_one(row, answer)
    assert save(again) == save(model.estimator)


@pytest.mark.parametrize("name", ["logistic", "forest"])
def test_it_answers_the_same_in_a_process_without_the_training_code(name, tmp_path):
    kind, build = MODELS[name]
    data = made_up(kind)
    model = tm.train(build, {}, data, baselines=False)
    assert (model.framework, "river" in model.metadata["versions"]) == ("river", True)
    check_travels(model, data.test, tmp_path, onnx=False)


def test_rows_are_learnt_in_their_order():
    seen = []

    class Listening(linear_model.LogisticRegression):
        def learn_one(self, x, y, w=1.0):
            seen.append(x["wind"])
            super().learn_one(x, y, w)

    data = made_up("binary", holes=0)
    tm.train(lambda params: Listening(), {}, data, baselines=False)
    np.testing.assert_allclose(seen, data.train["wind"].to_numpy(), rtol=1e-6)


def test_a_hole_is_a_value_that_is_not_there_and_a_model_that_needs_it_says_so():
    def picky(params):
        return compose.Select("wind", "heat") | preprocessing.StandardScaler() | linear_model.LogisticRegression()

    data = made_up("binary")
    with pytest.raises(ModelError, match=r"does not take missing values: .heat.\. .*FillLearned"):
        tm.train(picky, {}, data, baselines=False)
    assert tm.train(picky, {}, data, cleaning=[FillLearned("heat")], baselines=False).metrics["roc_auc"] > 0.7


def test_what_cannot_be_kept_says_where_it_is():
    model = tm.train(lambda params: scaled(neighbors.KNNClassifier()), {}, made_up("binary"), baselines=False)
    with pytest.raises(ModelError, match=r"dist_func of the model is neither plain nor one of River's own"):
        tm.package(model)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "river.datasets.base:RemoteDataset",
        "river.stream.iter_csv:iter_csv",
        "builtins:eval",
        "river.utils:random",
    ],
)
def test_a_file_cannot_name_anything_but_models(name):
    model = tm.train(MODELS["logistic"][1], {}, made_up("binary", 200), baselines=False)
    state = json.loads(save(model.estimator)[FILE])
    for forged in (
        {"number": 0, "object": name, "state": []},
        {"called": name},
        {"number": 0, "rust": name, "args": []},
    ):
        with pytest.raises(UnsafeModelError):
            load({FILE: json.dumps({**state, "model": forged}).encode()})


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"[]", b'{"format": 1}'])
def test_bytes_of_another_kind_are_refused(data):
    with pytest.raises(UnsafeModelError):
        load({FILE: data})
