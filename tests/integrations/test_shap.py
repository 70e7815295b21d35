"""If these fail, a model whose library tells nothing is explained by numbers that do not make up its answer."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from task_cases import case

import tidemill as tm
from tidemill.core.errors import MissingExtraError
from tidemill.evaluation.contributions import attribution_of
from tidemill.training.prediction import encoded

pytestmark = pytest.mark.services
pytest.importorskip("shap", reason="shap is not installed: make test-services does, where it can")


@pytest.fixture(scope="module")
def table():
    draw = np.random.default_rng(0)
    x, z = draw.normal(size=400), draw.normal(size=400)
    kinds = draw.choice(["a", "b", "c"], 400)
    return pl.DataFrame({"x": x, "z": z, "kind": kinds, "y": 3 * x - z + 10 * (kinds == "c")})


def test_a_line_is_explained_exactly(table):
    data = tm.split(table, tm.by_share(), "y", features=["x", "z"])
    model = tm.train(lambda p: LinearRegression(), {}, data, baselines=False)
    found = tm.explain(model, data.test.head(4), background=data.train.head(50))
    means, line = data.train.head(50).select("x", "z").mean().row(0), model.estimator.coef_.tolist()
    for place, name in enumerate(("x", "z")):
        one = found.filter(pl.col("input") == name)
        np.testing.assert_allclose(
            one["contribution"], line[place] * (data.test[name].head(4) - means[place]), atol=1e-4
        )
    np.testing.assert_allclose(found.unique("row", maintain_order=True)["score"], tm.predict(model, data.test.head(4)))


@pytest.mark.parametrize("task", ["binary", "multiclass", "anomaly"])
def test_answers_of_any_model_are_added_up_to(task):
    asked = case(task)
    forest = lambda p: RandomForestClassifier(12, max_depth=4, n_jobs=1)  # noqa: E731
    build = asked.build if task == "anomaly" else forest
    model = tm.train(build, {}, asked.data, baselines=False, **asked.options)
    rows = encoded(model, asked.data.test.head(6))
    found = attribution_of(model, rows, encoded(model, asked.data.train.head(10)), passes=2)
    answers = tm.predict(model, asked.data.test.head(6)).reshape(6, -1)
    np.testing.assert_allclose(found.scores, answers, atol=1e-6)
    assert (found.method, found.scale) == ("shap", "answer")


def test_an_evaluation_uses_it_where_the_library_tells_nothing_and_repeats_itself(table):
    data = tm.split(table, tm.by_share(), "y")
    model = tm.train(lambda p: LinearRegression(), {}, data, baselines=False)
    np.random.seed(5)
    first = tm.evaluate(model, data.validation, importance="shap", bootstrap=20, discover=False)
    drawn = np.random.random()
    np.random.seed(5)
    assert drawn == np.random.random()  # what others draw is not disturbed
    assert first.contributions.method == "shap"
    assert {one.column: one.direction for one in first.contributions.columns}["x"] > 0.95
    again = tm.evaluate(model, data.validation, importance="shap", bootstrap=20, discover=False)
    assert again.contributions == first.contributions


def test_a_background_is_compared_with_even_where_the_library_tells(table):
    asked = case("binary")
    model = tm.train(asked.build, {}, asked.data, baselines=False)
    found = tm.explain(model, asked.data.test.head(2), background=asked.data.train)
    assert found["scale"].unique().to_list() == ["answer"]
    np.testing.assert_allclose(
        found.unique("row", maintain_order=True)["score"], tm.predict(model, asked.data.test.head(2))
    )


def test_without_the_package_the_extra_is_named(table, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "shap", None)
    monkeypatch.delitem(sys.modules, "tidemill.integrations.shap", raising=False)
    data = tm.split(table, tm.by_share(), "y", features=["x", "z"])
    model = tm.train(lambda p: LinearRegression(), {}, data, baselines=False)
    with pytest.raises(MissingExtraError, match=r'needs the package \'shap\'.*pip install "tidemill\[shap\]"'):
        tm.explain(model, data.test.head(1), background=data.train)
