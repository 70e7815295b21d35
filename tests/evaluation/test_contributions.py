"""If these fail, people are told that an answer was made by what did not make it."""

from __future__ import annotations

import json
from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression
from task_cases import case

import tidemill as tm
from tidemill.core.errors import DataError, ModelError, SchemaError, UsageError
from tidemill.core.tasks import TASKS
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.evaluation import evaluate
from tidemill.evaluation.contributions import attribution_of
from tidemill.packaging.package import model_of, open_folder
from tidemill.training.prediction import encoded

LINKED = [task for task in TASKS if task != "anomaly"]  # no library here tells what makes a row strange


def sigmoid(scores):
    return 1 / (1 + np.exp(-scores))


def answers_from(scores, task):
    """What scores on the scale of the contributions become."""
    if task == "multiclass":
        risen = np.exp(scores)
        return risen / risen.sum(axis=1, keepdims=True)
    return sigmoid(scores) if task in {"binary", "multilabel"} else scores


@pytest.mark.parametrize("task", LINKED)
def test_contributions_add_up_to_the_answer_of_every_kind_of_question(task):
    asked = case(task)
    model = tm.train(asked.build, {}, asked.data, baselines=False, **asked.options)
    rows = asked.data.test.head(40)
    found = attribution_of(model, encoded(model, rows))
    answers = tm.predict(model, rows).reshape(len(rows), -1)
    told = answers_from(found.scores, task)
    np.testing.assert_allclose(np.sort(told) if task == "quantile" else told, answers, atol=1e-4)
    assert found.scale == ("log-odds" if TASKS[task].classifies else "answer")
    assert set(found.inputs) == set(model.signature.inputs.names)


def numbers(task="regression", **options):
    asked = case(task)
    return tm.train(asked.build, {}, asked.data, baselines=False, **asked.options, **options), asked.data


def test_explain_gives_a_line_for_each_input_of_each_row():
    model, data = numbers()
    found = tm.explain(model, data.test.head(3))
    assert found.columns == ["row", "input", "value", "contribution", "base", "score", "scale"]
    sums = found.group_by("row", maintain_order=True).agg(pl.col("base").first() + pl.col("contribution").sum())
    np.testing.assert_allclose(sums["base"], tm.predict(model, data.test.head(3)), atol=1e-4)
    first = found.filter(pl.col("row") == 0)
    assert first["contribution"].abs().to_list() == sorted(first["contribution"].abs().to_list(), reverse=True)
    told = dict(first.select("input", "value").iter_rows())
    assert {name: float(value) for name, value in told.items()} == {name: data.test[name][0] for name in told}


def test_explain_names_classes_and_works_on_a_model_that_was_packaged(tmp_path):
    asked = case("multiclass")
    model = tm.train(asked.build, {}, asked.data, baselines=False)
    found = tm.explain(model, asked.data.test.head(2))
    assert found["output"].unique(maintain_order=True).to_list() == list(model.signature.classes)
    opened = model_of(open_folder(tm.package(model, asked.data.validation).write(tmp_path / "model")))
    assert tm.explain(opened, asked.data.test.head(2)).equals(found)


def test_the_parts_of_an_input_are_added_up():
    hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 3, 1), "1h", eager=True)
    table = pl.DataFrame({"at": hours}).with_columns(y=pl.col("at").dt.hour() * 1.0 + pl.col("at").dt.weekday())
    data = tm.split(table, tm.by_share(), "y", features=["at"])
    model = tm.train(lambda p: lightgbm.LGBMRegressor(n_estimators=20), {}, data, baselines=False)
    assert len(model.encoding) > 1
    found = tm.explain(model, data.test.head(5))
    assert found["input"].to_list() == ["at"] * 5
    np.testing.assert_allclose(found["base"] + found["contribution"], tm.predict(model, data.test.head(5)), atol=1e-4)


@pytest.fixture(scope="module")
def told(model, flights):
    return evaluate(model, flights.validation, importance="shap", bootstrap=40, discover=False)


def test_an_evaluation_tells_what_each_column_adds(told, model, flights):
    found = told.contributions
    assert (found.method, found.scale, told.importance) == ("lightgbm", "log-odds", ())
    assert [one.column for one in found.columns] == ["wind", "hour", "carrier"]
    whole = np.abs(attribution_of(model, encoded(model, flights.validation)).values[:, 0, 0]).mean()
    sizes = {one.column: one.size for one in found.columns}
    assert sizes[model.encoding[0]["column"]].value == pytest.approx(whole)  # fewer rows than are looked at
    assert all(size.low <= size.value <= size.high for size in sizes.values())
    directions = {one.column: one.direction for one in found.columns}
    assert directions["wind"] > 0.8
    assert directions["hour"] > 0.5
    assert directions["carrier"] is None
    assert {entry.column for entry in told.dependence} == {"wind", "carrier", "hour"}
    assert decode(json.loads(json.dumps(encode(told)))) == told


def test_points_are_of_rows_with_the_rank_of_their_values(told):
    points = {one.column: one.points for one in told.contributions.columns}
    assert {len(those) for those in points.values()} == {120}
    assert {share for _, share in points["carrier"]} == {None}
    shares = [share for _, share in points["wind"] if share is not None]
    assert (min(shares), max(shares)) == (0.0, 1.0)
    assert len(shares) < 120  # a missing value has no rank


def test_contributions_before_calibration_are_called_so(flights, model):
    curve = {"method": "sigmoid", "curves": [{"slope": 0.8, "intercept": -0.4}], "adds_up": False}
    found = tm.explain(replace(model, calibration=curve), flights.test.head(2))
    assert found["scale"].unique().to_list() == ["log-odds, before calibration"]


def test_counts_are_explained_on_the_logarithm(flights):
    data = replace(flights, spec=replace(flights.spec, target="hour", features=("carrier", "wind")))
    model = tm.train(lambda p: lightgbm.LGBMRegressor(objective="poisson", n_estimators=9), {}, data, baselines=False)
    found = tm.explain(model, data.test.head(2))
    assert found["scale"][0] == "logarithm"
    np.testing.assert_allclose(
        np.exp(found.unique("row", maintain_order=True)["score"]), tm.predict(model, data.test.head(2)), rtol=1e-5
    )


def test_xgboost_tells_contributions_exactly(flights):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    build = lambda p: xgboost.XGBClassifier(n_estimators=20, max_depth=3)  # noqa: E731
    model = tm.train(build, {}, flights, baselines=False)
    found = attribution_of(model, encoded(model, flights.test))
    np.testing.assert_allclose(sigmoid(found.scores[:, 0]), tm.predict(model, flights.test), atol=1e-4)
    assert (found.method, found.scale) == ("xgboost", "log-odds")
    told = evaluate(model, flights.validation, importance="shap", bootstrap=0, discover=False).contributions
    assert told.columns[0].column == "wind"


def test_what_cannot_be_explained_is_said_with_what_helps(model, flights):
    with pytest.raises(UsageError, match=r"cannot be measured so: 'shapley'.*'permutation', 'shap'"):
        evaluate(model, flights.validation, importance="shapley")
    with pytest.raises(UsageError, match=r"this is no model: 'delay@champion'.*\.trained\(\)"):
        tm.explain("delay@champion", flights.test)
    with pytest.raises(DataError, match="no rows to explain"):
        tm.explain(model, flights.test.head(0))
    with pytest.raises(SchemaError, match="wind"):
        tm.explain(model, flights.test.drop("wind"))
    asked = case("regression")
    line = tm.train(lambda p: LinearRegression(), {}, asked.data, baselines=False)
    with pytest.raises(UsageError, match=r"LinearRegression does not tell what each input adds.*background="):
        tm.explain(line, asked.data.test)
    with pytest.raises(UsageError, match="background has no rows"):
        tm.explain(line, asked.data.test, background=asked.data.train.head(0))
    linear = tm.train(
        lambda p: lightgbm.LGBMRegressor(linear_tree=True, n_estimators=3, verbose=-1), {}, asked.data, baselines=False
    )
    with pytest.raises(ModelError, match=r"LightGBM cannot tell contributions.*importance=\"permutation\""):
        evaluate(linear, asked.data.validation, importance="shap")
