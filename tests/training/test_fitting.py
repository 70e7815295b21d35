"""If these fail, a model is not what its record says, or a bad training set gives a silent bad model."""

from __future__ import annotations

import json
from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from tidemill.core.errors import DataError, ModelError, SchemaError, UsageError
from tidemill.data.operations import ClipLearned, FillLearned, MergeRare, NullOutside, plan
from tidemill.data.split import by_share, split
from tidemill.measures import count_like, roc_auc
from tidemill.training.encoding import matrix_names
from tidemill.training.fitting import train
from tidemill.training.prediction import predict
from tidemill.training.row_encoding import row_encoder


def boosted(params):
    return lightgbm.LGBMClassifier(n_estimators=60, num_leaves=7, **params)


def linear(params):
    return make_pipeline(SimpleImputer(), LogisticRegression(max_iter=5000, **params))


@pytest.fixture(scope="module")
def model(cancer):
    return train(
        boosted, {"learning_rate": 0.1}, cancer, name="tumours", costs={"false_positive": 1, "false_negative": 9}
    )


def test_a_model_carries_all_that_its_predictions_depend_on(model, cancer):
    assert (model.name, model.framework) == ("tumours", "lightgbm")
    signature = model.signature
    assert (signature.task, signature.target, signature.classes) == ("binary", "malignant", ("false", "true"))
    assert signature.inputs.names == tuple(cancer.spec.features)
    radius, clinic = signature.inputs["mean_radius"], signature.inputs["clinic"]
    assert (radius.nullable, radius.minimum) == (True, cancer.train["mean_radius"].min())
    assert set(clinic.categories) == {"north", "south", "east"}
    assert matrix_names(model.encoding) == tuple(cancer.spec.features)
    assert model.params == {"learning_rate": 0.1}
    assert model.metrics["roc_auc"] > 0.95
    assert model.metadata["rows"] == {"train": 341, "validation": 114}
    assert model.metadata["split"] == cancer.spec.digest
    assert {"python", "lightgbm", "numpy"} <= set(model.metadata["versions"])
    assert 0 < model.metadata["best_iteration"] <= 60


def test_everything_but_the_estimator_is_json(model):
    for part in (model.signature.to_dict(), model.encoding, model.profile, model.params, model.metrics, model.metadata):
        assert json.loads(json.dumps(part, allow_nan=False)) is not None


def test_the_profile_describes_training_rows_and_validation_predictions(model, cancer):
    assert set(model.profile["columns"]) == set(cancer.spec.features)
    assert model.profile["rows"] == 341
    radius = model.profile["columns"]["mean_radius"]
    assert radius["missing"] == cancer.train["mean_radius"].null_count()
    again = count_like(radius, cancer.train["mean_radius"].to_numpy())
    assert again["counts"] == radius["counts"]
    assert model.profile["prediction"]["rows"] == 114
    assert model.profile["target"]["mean"] == pytest.approx(cancer.train["malignant"].mean())


def test_the_threshold_is_the_cheapest_on_validation_rows(model, cancer):
    scores = predict(model, cancer.validation)
    labels = cancer.validation["malignant"].to_numpy()

    def cost(threshold):
        called = scores >= threshold
        return (called & ~labels).sum() + 9 * (~called & labels).sum()

    assert cost(model.signature.threshold) == min(cost(t) for t in [*scores, 0.5, 2.0])
    assert train(boosted, {}, cancer, baselines=False).signature.threshold == 0.5


def test_the_same_seed_gives_the_same_model(model, cancer):
    again = train(boosted, {"learning_rate": 0.1}, cancer)
    np.testing.assert_array_equal(predict(again, cancer.test), predict(model, cancer.test))
    assert again.estimator.booster_.model_to_string() == model.estimator.booster_.model_to_string()
    forest = [
        train(lambda params: RandomForestClassifier(10), {}, filled(cancer), seed=seed, baselines=False)
        for seed in (3, 3, 4)
    ]
    first, second, other = (predict(one, filled(cancer).test) for one in forest)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert forest[0].estimator.get_params()["random_state"] == 3


def filled(data):
    frames = {
        name: getattr(data, name).with_columns(pl.col("clinic").fill_null("?"), pl.col("mean_radius").fill_null(0))
        for name in ("train", "validation", "test")
    }
    return replace(data, **frames)


def test_one_row_online_is_answered_as_in_training(model, cancer):
    encode = row_encoder(model.encoding)
    rows = cancer.test.head(20).to_dicts()
    singles = [model.estimator.predict_proba(encode(row))[0, 1] for row in rows]
    np.testing.assert_array_equal(singles, predict(model, cancer.test.head(20)))


def test_test_rows_are_not_read(cancer):
    poisoned = replace(cancer, test=cancer.test.select("malignant").head(0))
    assert train(boosted, {}, poisoned, baselines=False).metrics["roc_auc"] > 0.9


def test_baselines_stand_beside_the_model(model):
    found = {entry["name"]: entry["metrics"] for entry in model.metadata["baselines"]}
    assert set(found) == {"constant", "linear", "tree"}
    assert found["constant"]["roc_auc"] == 0.5
    assert 0.85 < found["tree"]["roc_auc"] < model.metrics["roc_auc"]
    assert found["linear"]["roc_auc"] > 0.9


def test_learned_repairs_are_fitted_on_training_rows_and_replayed(cancer):
    repairs = [FillLearned("mean_radius", indicator=True), MergeRare("clinic", 0.5), ClipLearned("mean_area")]
    cleaned = train(boosted, {}, cancer, cleaning=repairs, baselines=False)
    assert [repair["kind"] for repair in cleaned.cleaning] == ["fill", "merge", "clip"]
    assert cleaned.cleaning[0]["value"] == cancer.train["mean_radius"].median()
    assert matrix_names(cleaned.encoding)[-1] == "mean_radius__missing"
    assert "mean_radius__missing" not in cleaned.signature.inputs
    assert cleaned.profile["columns"]["mean_radius"]["missing"] > 0
    assert roc_auc(cancer.test["malignant"].to_numpy(), predict(cleaned, cancer.test)) > 0.9
    assert train(boosted, {}, cancer, cleaning=plan(*repairs), baselines=False).cleaning == cleaned.cleaning
    with pytest.raises(UsageError, match="does not learn from rows"):
        train(boosted, {}, cancer, cleaning=[NullOutside("mean_area", maximum=1.0)])


def test_any_object_with_fit_and_predict_is_an_estimator(cancer):
    class Larger:
        def fit(self, matrix, truth):
            self.cut = np.nanmean(matrix[:, 3])
            return self

        def predict(self, matrix):
            return matrix[:, 3] - self.cut  # a score, not a probability

    found = train(lambda params: Larger(), {}, cancer, baselines=False)
    assert found.metrics["roc_auc"] > 0.9
    assert "log_loss" not in found.metrics


def test_a_pipeline_of_scikit_learn(cancer):
    found = train(linear, {"C": 0.5}, cancer, baselines=False)
    assert (found.framework, found.metrics["roc_auc"] > 0.9) == ("sklearn", True)


@pytest.fixture(scope="module")
def numbers():
    generator = np.random.default_rng(0)
    table = pl.DataFrame({"x": generator.normal(size=300), "group": [["a", "b", "c"][i % 3] for i in range(300)]})
    return table.with_columns(delay=3 * pl.col("x") + 10.5)


def test_regression(numbers):
    data = split(numbers, by_share(), "delay")
    found = train(lambda params: LinearRegression(), {}, data)
    assert (found.signature.task, found.signature.classes) == ("regression", ())
    assert found.metrics["r2"] == pytest.approx(1)
    assert predict(found, pl.DataFrame({"x": [2.0], "group": ["a"]}))[0] == pytest.approx(16.5, abs=1e-4)
    assert {entry["name"] for entry in found.metadata["baselines"]} == {"constant", "linear", "tree"}
    with pytest.raises(UsageError, match="this one is regression"):
        train(lambda params: LinearRegression(), {}, data, costs={"false_positive": 1, "false_negative": 1})


def test_many_classes(numbers):
    data = split(numbers.with_columns(x=pl.col("group").rank("dense")), by_share(), "group", features=["x"])
    found = train(lambda params: lightgbm.LGBMClassifier(n_estimators=5), {}, data)
    assert (found.signature.task, found.signature.classes) == ("multiclass", ("a", "b", "c"))
    assert found.metrics["accuracy"] == 1
    assert predict(found, data.test).shape == (data.test.height, 3)
    assert [entry["name"] for entry in found.metadata["baselines"]] == ["constant", "linear", "tree"]


def changed(data, part="train", **columns):
    return replace(data, **{part: getattr(data, part).with_columns(**columns)})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda d: changed(d, malignant=pl.lit(value=True)), DataError, "all 341 training rows have the same label"),
        (lambda d: replace(d, validation=d.validation.head(0)), DataError, "the validation part has no rows"),
        (lambda d: replace(d, train=d.train.head(1)), DataError, "there is 1 training row"),
        (
            lambda d: changed(d, malignant=pl.when(pl.col("large")).then(pl.col("malignant"))),
            DataError,
            "of 341 training rows have no label in 'malignant'",
        ),
        (
            lambda d: changed(d, "validation", malignant=pl.lit(None, dtype=pl.Boolean)),
            DataError,
            "114 of 114 validation rows have no label",
        ),
        (lambda d: replace(d, train=d.train.drop("clinic")), SchemaError, r"does not have: \['clinic'\]"),
        (lambda d: replace(d, train=d.train.drop("malignant")), DataError, "'malignant' is not a column"),
        (lambda d: replace(d, validation=d.validation.drop("mean_area")), SchemaError, "mean_area"),
        (lambda d: replace(d, spec=replace(d.spec, features=())), DataError, "no features"),
        (lambda d: replace(d, spec=replace(d.spec, features=("malignant",))), DataError, "among the features"),
        (lambda d: changed(d, clinic=pl.lit([1])), SchemaError, "which no model takes"),
    ],
)
def test_data_that_cannot_be_learned_from_is_refused(cancer, change, error, words):
    with pytest.raises(error, match=words):
        train(boosted, {}, change(cancer))


def test_labels_as_text_ask_for_the_positive_class(cancer):
    texts = {
        part: getattr(cancer, part).with_columns(
            malignant=pl.when(pl.col("malignant")).then(pl.lit("yes")).otherwise(pl.lit("no"))
        )
        for part in ("train", "validation")
    }
    data = replace(cancer, **texts)
    with pytest.raises(DataError, match=r"labels in 'malignant' are string.*pl.col\('malignant'\) == VALUE"):
        train(boosted, {}, data, task="binary")
    assert train(boosted, {}, data, baselines=False).signature.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda params: object(), r"which has no fit\(\)"),
        (lambda params: type("Half", (), {"fit": lambda self, x, y: self})(), "neither predict_proba"),
        (lambda params: LogisticRegression(), r"does not take missing values: \['mean_radius', 'clinic'\].*imputer"),
    ],
)
def test_an_estimator_that_cannot_be_used_is_refused(cancer, build, words):
    with pytest.raises(ModelError, match=words):
        train(build, {}, cancer)


def test_predictions_of_nan_are_refused(cancer):
    class Lost:
        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            return np.full(len(matrix), np.nan)

    with pytest.raises(ModelError, match="predicted 114 NaN for 114 rows"):
        train(lambda params: Lost(), {}, cancer)


def test_a_column_missing_at_prediction_is_named(model, cancer):
    with pytest.raises(SchemaError, match="clinic"):
        predict(model, cancer.test.drop("clinic"))


def test_an_unseen_category_is_answered_like_a_missing_one(model, cancer):
    one = cancer.test.head(1)
    strange = predict(model, one.with_columns(clinic=pl.lit("Mars")))
    missing = predict(model, one.with_columns(clinic=pl.lit(None, dtype=pl.String)))
    assert strange[0] == missing[0]
