"""What Spark ML has learnt must answer without Spark as Spark does, in every process and in ONNX."""

from __future__ import annotations

import json

import numpy as np
import pytest
from elsewhere import check_travels
from made_up import made_up

import tidemill as tm
from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.data.operations import FillLearned

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.usefixtures("spark"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


def scaled(make):
    def build(params):
        from pyspark.ml import Pipeline
        from pyspark.ml.feature import StandardScaler

        scale = StandardScaler(inputCol="features", outputCol="scaled", withMean=True)
        return Pipeline(stages=[scale, make(params)])

    return build


def logistic(params):
    from pyspark.ml.classification import LogisticRegression

    return LogisticRegression(featuresCol="scaled", regParam=0.01, **params)


def linear(params):
    from pyspark.ml.regression import LinearRegression

    return LinearRegression(featuresCol="scaled", **params)


def of(module, name):
    def build(params):
        import importlib

        return getattr(importlib.import_module(f"pyspark.ml.{module}"), name)(**params)

    return build


CASES = {
    "logistic": ("binary", scaled(logistic), {}),
    "softmax": ("multiclass", scaled(logistic), {}),
    "linear": ("regression", scaled(linear), {}),
    "tree": ("multiclass", of("classification", "DecisionTreeClassifier"), {"maxDepth": 4}),
    "forest": ("binary", of("classification", "RandomForestClassifier"), {"numTrees": 5, "maxDepth": 4}),
    "forest of values": ("regression", of("regression", "RandomForestRegressor"), {"numTrees": 5, "maxDepth": 4}),
    "boosted": ("binary", of("classification", "GBTClassifier"), {"maxIter": 4, "maxDepth": 3}),
    "boosted values": ("regression", of("regression", "GBTRegressor"), {"maxIter": 4, "maxDepth": 3}),
}


def trained(name):
    kind, build, params = CASES[name]
    return tm.train(build, params, made_up(kind), cleaning=[FillLearned("heat")], baselines=False)


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_model_answers_as_spark_does_and_in_onnx(name):
    from tidemill.integrations.spark_model import predict, save
    from tidemill.integrations.spark_onnx import to_onnx
    from tidemill.packaging.engines import onnx_engine
    from tidemill.packaging.parity import hard_rows
    from tidemill.training.prediction import encoded

    model = trained(name)  # which compares with Spark itself, or fails
    assert model.framework == "pyspark"
    quality = model.metrics.get("roc_auc") or model.metrics.get("r2") or model.metrics["accuracy"]
    assert quality > 0.5
    matrix = hard_rows(
        encoded(model, made_up(CASES[name][0]).test), np.array([True, True, False, False]), missing=False
    )
    expected = predict(model.estimator, matrix, model.signature.task)
    found = onnx_engine(to_onnx(model.estimator, 4), model.signature.task)(matrix)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert save(trained(name).estimator) == save(model.estimator)


def test_it_is_served_in_a_process_without_spark(tmp_path):
    model = trained("forest")
    packaged = check_travels(model, made_up("binary").test, tmp_path, onnx=True)
    assert set(packaged.files) == {"model.spark.json", "model.onnx"}


def test_a_stage_that_is_not_known_names_those_that_are():
    def build(params):
        from pyspark.ml.classification import NaiveBayes

        return NaiveBayes(modelType="gaussian")

    with pytest.raises(ModelError, match=r"'NaiveBayesModel'.*Known stages: DecisionTree"):
        tm.train(build, {}, made_up("binary", holes=0), baselines=False)


def test_missing_values_name_their_columns():
    with pytest.raises(ModelError, match=r"does not take missing values: \['heat'\]"):
        tm.train(CASES["tree"][1], {}, made_up("multiclass"), baselines=False)


def test_a_file_of_another_kind_is_refused():
    from tidemill.integrations.spark_model import FILE, load, save

    files = save(trained("boosted").estimator)
    content = json.loads(files[FILE])
    content["stages"][0]["trees"][0]["feature"] = [99] * len(content["stages"][0]["trees"][0]["feature"])
    for data in (b"", b"[]", b"{}", b"\x80\x04.", json.dumps(content).encode()):
        with pytest.raises(UnsafeModelError):
            load({FILE: data})
