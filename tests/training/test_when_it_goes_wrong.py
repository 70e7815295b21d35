"""If these fail, a bad training set or a bad estimator gives a silent bad model, or an error that helps nobody."""

from __future__ import annotations

import logging
from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from task_cases import case

import tidemill as tm
from tidemill.core.errors import DataError, ModelError, SchemaError, UsageError
from tidemill.project import load_project, use_project


def rows(count=200, **columns):
    draw = np.random.default_rng(0)
    return pl.DataFrame({"x": draw.normal(size=count), "z": draw.normal(size=count)}).with_columns(**columns)


def parts(table, target="y", **options):
    return tm.split(table, tm.by_share(), target, **options)


def line(params):
    return LinearRegression()


def trees(params):
    return lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1, min_child_samples=2, **params)


def said(caplog, model):
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == list(
        model.metadata["warnings"]
    )
    return " | ".join(model.metadata["warnings"])


def test_extreme_imbalance_is_said_with_numbers(caplog):
    table = rows(1000).with_columns(y=pl.int_range(pl.len()) % 100 == 0)
    model = tm.train(trees, {}, tm.split(table, tm.by_share(stratify="y"), "y"))
    assert "class 'true' has 7 of 700 training rows (1.00%)" in said(caplog, model)


def test_a_target_that_leaks_as_a_feature_is_said(caplog):
    table = rows(y=pl.col("x") > 0).with_columns(same=pl.col("y").cast(pl.Int64) * 3)
    assert "feature 'same' tells 'y' exactly" in said(caplog, tm.train(trees, {}, parts(table)))
    numbers = rows(y=pl.col("x") * 2).with_columns(doubled=pl.col("x") * 4)
    caplog.clear()
    assert "feature 'doubled' tells 'y' exactly" in said(caplog, tm.train(line, {}, parts(numbers)))


def test_features_that_say_nothing_or_too_much_are_said(caplog):
    table = rows(y=pl.col("x") > 0, same=pl.lit(7.0), none=pl.lit(None, dtype=pl.Float64)).with_columns(
        far=pl.when(pl.col("z") > 1).then(float("inf")).otherwise(pl.col("z"))
    )
    found = said(caplog, tm.train(trees, {}, parts(table)))
    assert "2 of 5 features have one value in all training rows: 'same', 'none'" in found
    assert "1 of 5 features hold infinite values: 'far'" in found


def test_a_plain_training_says_nothing(caplog):
    model = tm.train(trees, {}, parts(rows(y=(pl.col("x") + pl.col("z")) > 0)))
    assert "warnings" not in model.metadata
    assert not caplog.records


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_one_class_only_is_refused(task):
    with pytest.raises(DataError, match="all 140 training rows have the same label in 'y'"):
        tm.train(trees, {}, parts(rows(y=pl.lit(1))), task=task)


def test_features_named_twice_are_refused():
    data = parts(rows(y=pl.col("x") > 0))
    with pytest.raises(SchemaError, match=r"features are named twice: \['x'\]"):
        tm.train(trees, {}, replace(data, spec=replace(data.spec, features=("x", "z", "x"))))


def test_a_fitted_estimator_is_refused():
    data = parts(rows(y=pl.col("x") > 0))
    done = RandomForestClassifier(3).fit(np.zeros((4, 2)), [0, 1, 0, 1])
    with pytest.raises(ModelError, match="RandomForestClassifier that is fitted already"):
        tm.train(lambda p: done, {}, data)
    boosted = trees({}).fit(np.random.default_rng(0).normal(size=(40, 2)), [0, 1] * 20)
    with pytest.raises(ModelError, match="fitted already"):
        tm.train(lambda p: boosted, {}, data)


def test_one_estimator_for_all_levels_is_refused():
    class Line:
        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            return matrix[:, 0]

    only = Line()
    data = parts(rows(y=pl.col("x") * 2))
    with pytest.raises(ModelError, match="build returned the same Line twice, and each level needs its own"):
        tm.train(lambda p: only, {}, data, task="quantile")
    with pytest.raises(ModelError, match=r"all 3 levels say the same.*params.pop\('quantile'\)"):
        tm.train(lambda p: Line(), {}, data, task="quantile")


def test_a_level_is_what_build_is_told():
    data = parts(rows(y=pl.col("x") * 2 + pl.col("z")), features=["x"])
    model = tm.train(
        lambda p: QuantileRegressor(quantile=p["quantile"], alpha=0), {}, data, task="quantile", levels=(0.2, 0.8)
    )
    assert model.signature.classes == ("0.2", "0.8")
    assert 0.3 < model.metrics["coverage"] < 0.9


@pytest.mark.parametrize("levels", [(0.9, 0.1), (0, 0.5), (0.5, 0.5), (2,)])
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(UsageError, match="between 0 and 1 and rise"):
        tm.train(line, {}, parts(rows(y=pl.col("x"))), task="quantile", levels=levels)


def test_an_estimator_of_another_task_is_refused():
    data = parts(rows(y=pl.col("x") * 2))
    with pytest.raises(UsageError, match="levels are for task='quantile', and this is regression"):
        tm.train(line, {}, data, levels=(0.1, 0.9))
    with pytest.raises(UsageError, match="group is for task='ranking'"):
        tm.train(line, {}, data, group="x")
    with pytest.raises(UsageError, match="unknown task: 'clustering'"):
        tm.train(line, {}, data, task="clustering")
    with pytest.raises(UsageError, match="regression model decides nothing by a threshold"):
        tm.train(line, {}, data, threshold=0.3)


def test_a_query_in_two_parts_is_refused():
    table = rows(y=pl.int_range(pl.len()) % 3, query=pl.int_range(pl.len()) % 20)
    with pytest.raises(DataError, match=r"\d+ queries in 'query' have rows in the training and.*by_group\('query'\)"):
        tm.train(line, {}, parts(table, entity="query"), task="ranking")
    with pytest.raises(UsageError, match=r"needs the column that names the query.*group="):
        tm.train(line, {}, parts(table), task="ranking")
    with pytest.raises(SchemaError, match="no such column of queries: 'person'"):
        tm.train(line, {}, parts(table), task="ranking", group="person")
    negative = tm.split(table.with_columns(y=-1), tm.by_group("query"), "y", entity="query")
    with pytest.raises(DataError, match="a grade in 'y' is negative"):
        tm.train(line, {}, negative, task="ranking")


def test_the_rows_of_a_query_need_not_be_together():
    data = case("ranking").data
    mixed = replace(data, train=data.train.sample(fraction=1.0, shuffle=True, seed=1))
    together = tm.train(case("ranking").build, {}, data, task="ranking", baselines=False)
    apart = tm.train(case("ranking").build, {}, mixed, task="ranking", baselines=False)
    assert apart.metrics["ndcg"] == pytest.approx(together.metrics["ndcg"], abs=0.05)
    assert "day" not in apart.signature.inputs


def test_a_forecast_without_its_last_value_is_refused():
    with pytest.raises(SchemaError, match=r"needs the last value.*'y__last'.*tm.lagged"):
        tm.train(line, {}, parts(rows(y=pl.col("x"))), task="forecasting")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (pl.lit("a"), "are string, and a multilabel model learns from lists.*split"),
        (pl.lit(pl.Series([[]], dtype=pl.List(pl.String))).first(), "no training row has a label"),
    ],
)
def test_labels_that_are_no_lists_are_refused(labels, words):
    with pytest.raises(DataError, match=words):
        tm.train(trees, {}, parts(rows(y=labels)), task="multilabel")


def test_a_label_that_is_not_in_training_is_named():
    data = parts(rows(y=pl.when(pl.col("x") > 0).then(pl.lit("a")).otherwise(pl.lit("b")).str.split("|")))
    strange = data.validation.with_columns(y=pl.lit("c").str.split("|"))
    with pytest.raises(DataError, match="a label of 'y' is in the validation rows and not in the training rows: 'c'"):
        tm.train(trees, {}, replace(data, validation=strange))
    with pytest.raises(DataError, match=r"the labels in 'y' are lists.*multilabel"):
        tm.train(trees, {}, data, task="multiclass")


def test_a_label_that_every_row_has_needs_no_estimator(tmp_path):
    kinds = pl.when(pl.col("x") > 0).then(pl.lit("warm|always")).otherwise(pl.lit("always")).str.split("|")
    data = parts(rows(y=kinds))
    model = tm.train(trees, {}, data)
    assert model.signature.classes == ("always", "warm")
    assert (tm.predict(model, data.test)[:, 0] == 1).all()
    assert tm.package(model, data.validation).manifest["parity"]["verified"]


def test_labels_answered_by_one_estimator_are_packaged_with_a_verified_onnx_form():
    data = case("multilabel").data
    model = tm.train(lambda p: RandomForestClassifier(10, n_jobs=1), {}, data)
    assert model.framework == "sklearn"
    assert model.metrics["macro_roc_auc"] > 0.9
    package = tm.package(model, data.validation)
    assert package.manifest["parity"]["verified"]


def test_anomalies_need_no_labels():
    table = case("anomaly").data.train.drop("strange")
    data = tm.split(table, tm.by_share(), None)
    model = tm.train(lambda p: OneClassSVM(nu=0.1), {}, data, task="anomaly")
    assert (model.signature.target, set(model.metrics)) == ("anomaly", {"flagged"})
    found = tm.evaluate(model, data.validation, bootstrap=20)
    assert list(found.metrics) == ["flagged"]
    assert found.comparisons == ()
    assert tm.test(model, data.test, bootstrap=20).evaluation.metrics["flagged"].value < 1
    share = tm.train(lambda p: OneClassSVM(nu=0.1), {}, data, task="anomaly", threshold={"flagged": 0.2})
    assert share.metrics["flagged"] == pytest.approx(0.2, abs=0.03)
    with pytest.raises(DataError, match="'anomaly' is not a column of the training part"):
        tm.train(line, {}, data)


def test_answers_of_the_wrong_shape_are_refused():
    class Wide:
        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            return np.zeros((len(matrix), 4))

    data = parts(rows(y=pl.Series(["a", "b", "c", "a"] * 50)))
    with pytest.raises(ModelError, match=r"gives an answer of the shape \(30, 4\) where a multiclass needs 3"):
        tm.train(lambda p: Wide(), {}, data)


def test_a_classifier_is_no_detector_of_anomalies():
    data = parts(rows(y=pl.col("x") > 1))
    with pytest.raises(ModelError, match="LGBMClassifier is a classifier, and anomalies are found without being told"):
        tm.train(trees, {}, data, task="anomaly")


def test_a_study_or_a_table_in_the_wrong_place_is_told_what_belongs_there():
    data = parts(rows(y=pl.Series([True, False] * 100)))
    study = tm.tune(trees, {"num_leaves": tm.integers(3, 5)}, data, trials=1)
    with pytest.raises(UsageError, match=r"hyperparameters by name: 'Study'\. Give study\.best"):
        tm.train(trees, study, data)
    with pytest.raises(UsageError, match=r"train takes a split.*'DataFrame'\. Make one with tm\.split"):
        tm.train(trees, {}, data.train)


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ([0, 1, 2, 2], "Return a regressor, or say the task: task='multiclass', or the task in the canvas."),
        ([1, 2, 2, 1], "Return a regressor, or say the task: task='binary', or the task in the canvas."),
        ([0.5, 1.5, 2.5, 1.0], "Return a regressor."),
    ],
)
def test_a_classifier_for_numbers_is_told_the_task_that_such_numbers_may_mean(target, hint):
    with pytest.raises(ModelError) as raised:
        tm.train(trees, {}, parts(rows(y=pl.Series(target * 50))))
    assert raised.value.hint == hint


@pytest.mark.parametrize(
    ("estimator", "classifier"),
    [
        (Ridge(), "LogisticRegression"),
        (RandomForestRegressor(3), "RandomForestClassifier"),
        (lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1), "LGBMClassifier"),
        (make_pipeline(SimpleImputer(), Ridge()), "LogisticRegression"),
        (QuantileRegressor(), "a classifier, with predict_proba()"),
    ],
)
@pytest.mark.parametrize("target", [[True, False], ["a", "b", "c"], [["a"], ["a", "b"], []]])
def test_a_regressor_for_classes_is_told_the_classifier_to_take(estimator, classifier, target):
    with pytest.raises(ModelError, match=r"is a regressor, and the answer of a \w+ question is the prob") as raised:
        tm.train(lambda params: clone(estimator), {}, parts(rows(60, y=pl.Series((target * 60)[:60]))))
    assert raised.value.hint.startswith(f"Return {classifier}, or say task='regression'")


@pytest.mark.parametrize("threshold", [1.5, -0.1, 2])
def test_a_threshold_that_no_probability_reaches_is_refused(threshold):
    data = parts(rows(y=pl.col("x") > 0))
    with pytest.raises(UsageError, match="the threshold of a probability lies between 0 and 1"):
        tm.train(trees, {}, data, threshold=threshold)
    assert tm.train(trees, {}, data, threshold=1).signature.threshold == 1


def test_a_threshold_of_scores_that_are_no_probabilities_may_be_any_number():
    class Distance:
        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            return matrix[:, 0] * 100

    model = tm.train(lambda params: Distance(), {}, parts(rows(y=pl.col("x") > 0)), threshold=1.5)
    assert model.signature.threshold == 1.5


CANVAS = """
[project]
name = "delay"

[canvas]
prediction = { task = "binary classification", target = "late" }
"""


def test_another_target_than_that_of_the_canvas_is_refused(tmp_path):
    @tm.pipeline
    def life() -> tm.Model:
        return tm.train(trees, {}, parts(rows(y=pl.col("x") > 0)))

    (tmp_path / "tidemill.toml").write_text(CANVAS)
    data = parts(rows(y=pl.col("x") > 0))
    message = r"to predict 'late', as the canvas has it, and the split is made for another target: 'y'\. Split with"
    with use_project(load_project(tmp_path)):
        with pytest.raises(UsageError, match=message):
            tm.train(trees, {}, data)
        assert tm.train(trees, {}, data, name="other").signature.target == "y"
        assert tm.train(trees, {}, parts(rows(late=pl.col("x") > 0), "late")).signature.target == "late"
        assert "is to predict 'late'" in str(life.run().error)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_labels_that_no_library_calculates_with_are_refused(part):
    data = parts(rows(y=pl.col("x")))
    far = getattr(data, part).with_columns(y=pl.when(pl.col("x") > 0).then(-1e308).otherwise(1e308))
    with pytest.raises(DataError, match=r"the labels in 'y' are larger than libraries calculate with: -?1e\+308"):
        tm.train(line, {}, replace(data, **{part: far}))


def test_numbers_of_128_bits_are_told_what_to_become():
    table = rows(y=pl.col("x") > 0).with_columns(far=pl.int_range(pl.len()).cast(pl.Int128))
    with pytest.raises(
        SchemaError, match=r"column 'far' is Int128, which.*Cast it: pl\.col\('far'\)\.cast\(pl\.Float64"
    ):
        tm.train(trees, {}, parts(table))


class Moody:
    def fit(self, matrix, truth):
        raise ValueError("n_neighbors is 7, and there are 3 samples")

    def predict(self, matrix):
        return matrix[:, 0]


class Forgetful(LinearRegression):
    def predict(self, matrix):
        raise TypeError("unsupported operand")


def test_what_a_library_raises_is_told_with_the_estimator_and_the_data():
    data = parts(rows(y=pl.col("x") * 2))
    with pytest.raises(ModelError) as raised:
        tm.train(lambda params: Moody(), {}, data)
    expected = "Moody cannot be fitted on 140 rows of 2 columns: ValueError: n_neighbors is 7, and there are 3 samples."
    assert str(raised.value).startswith(expected)
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(ModelError, match=r"Forgetful cannot predict 30 rows of 2 columns: TypeError: unsupported"):
        tm.train(lambda params: Forgetful(), {}, data)
    with pytest.raises(ModelError, match=r"Ridge cannot be fitted on 140 rows of 2 columns: InvalidParameterError"):
        tm.train(lambda params: Ridge(alpha=-1), {}, data)
    with pytest.raises(ModelError, match=r"LGBMRegressor cannot be fitted on 140 rows of 2 columns: LightGBMError"):
        tm.train(lambda params: lightgbm.LGBMRegressor(num_leaves=1), {}, data)


def test_a_part_of_a_pipeline_that_fails_is_named():
    class Shy(StandardScaler):
        def fit(self, matrix, truth=None):
            raise RuntimeError("not today")

    with pytest.raises(
        ModelError, match=r"Pipeline\(Shy, Ridge\) cannot be fitted on 140 rows of 2 columns: RuntimeError"
    ):
        tm.train(lambda params: make_pipeline(Shy(), Ridge()), {}, parts(rows(y=pl.col("x") * 2)))


def test_steps_of_another_library_are_no_pipeline_of_scikit_learn():
    class Flow(Moody):
        def __init__(self):
            self.steps = {"scale": 1, "line": 2}  # as River has them

        def fit(self, matrix, truth):
            return self

    data = parts(rows(y=pl.col("x") * 2))
    assert tm.train(lambda params: Flow(), {}, data).signature.task == "regression"
