"""What a package promises (same answers, these latencies) is what its users build on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from tidemill.core.errors import ModelError, SchemaError, UsageError
from tidemill.core.model import Model
from tidemill.data.split import by_share, split
from tidemill.packaging.build import package
from tidemill.packaging.engines import open_engine
from tidemill.packaging.package import ONNX_FILE, Package
from tidemill.packaging.parity import compare, measure
from tidemill.training.fitting import train
from tidemill.training.prediction import encoded


def refitted(model: Model, table: pl.DataFrame, estimator: Any, *, fill: bool = False) -> Model:
    matrix = encoded(model, table)
    estimator.fit(np.nan_to_num(matrix) if fill else matrix, table["late"].to_numpy())
    return replace(model, estimator=estimator, framework="sklearn")


def test_both_formats_answer_alike_and_both_are_timed(packaged: Package) -> None:
    manifest = packaged.manifest
    assert manifest["parity"]["verified"]
    assert manifest["parity"]["decisions_differ"] == 0
    assert manifest["parity"]["max_abs_difference"] < 1e-6
    assert manifest["engines"]["online"] == "onnx"
    assert set(manifest["measured"]) == {"native", "onnx", "metrics"}
    assert 0 < packaged.metrics["latency_p50_ms"] <= packaged.metrics["latency_p99_ms"]
    assert packaged.metrics["size_mb"] > 0


def test_how_often_was_timed_is_said_and_the_larger_batch_is_what_was_compared(
    packaged: Package, model: Model, table: pl.DataFrame
) -> None:
    for figures in (packaged.manifest["measured"][name] for name in ("native", "onnx")):
        assert set(figures["runs"]) == {"1", *figures["rows_per_s"]}
        assert min(figures["runs"].values()) >= 1
    many = package(model, pl.concat([table] * 5)).manifest
    assert str(many["parity"]["rows"]) in many["measured"]["onnx"]["rows_per_s"]


def test_answers_to_another_number_of_rows_are_not_taken_for_the_same(model: Model) -> None:
    rows = np.zeros((10, len(model.encoding)), dtype=np.float32)
    more = measure(lambda matrix: np.zeros(len(matrix) + 1), rows, [{}], lambda _: rows[:1])
    right = measure(lambda matrix: np.zeros(len(matrix)), rows, [{}], lambda _: rows[:1])
    assert compare(right.scores, right.scores, len(rows), model.signature)["verified"]
    assert not compare(right.scores, more.scores, len(rows), model.signature)["verified"]


def test_a_sample_is_not_needed(model: Model) -> None:
    assert package(model).manifest["parity"]["verified"]


def test_a_forest_is_served_by_onnx_and_scored_in_bulk_by_whichever_was_faster(
    model: Model, table: pl.DataFrame
) -> None:
    built = package(refitted(model, table, RandomForestClassifier(20, max_depth=6, random_state=0)), table)
    speed = {
        name: np.mean(list(built.manifest["measured"][name]["rows_per_s"].values())) for name in ("native", "onnx")
    }
    assert built.manifest["engines"] == {"online": "onnx", "batch": max(speed, key=lambda name: speed[name])}


def test_a_model_that_takes_no_missing_values_says_so(model: Model, table: pl.DataFrame) -> None:
    built = package(refitted(model, table, LogisticRegression(max_iter=2000), fill=True), table)
    assert built.manifest["takes_missing"] is False
    assert built.manifest["parity"]["verified"]


def test_a_model_without_an_exact_onnx_form_is_served_by_its_own_library(model: Model, table: pl.DataFrame) -> None:
    estimator = LGBMClassifier(n_estimators=5, linear_tree=True, n_jobs=1, verbose=-1)
    built = package(replace(refitted(model, table, estimator, fill=True), framework="lightgbm"), table)
    assert built.manifest["engines"] == {"online": "native", "batch": "native"}
    assert "linear trees have no ONNX form" in built.manifest["parity"]["reason"]
    assert ONNX_FILE not in built.files


@pytest.mark.parametrize("calibrate", [None, "sigmoid"])
@pytest.mark.parametrize(
    "estimator",
    [
        LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1), XGBClassifier(n_estimators=5, n_jobs=1),
        RandomForestClassifier(5, random_state=0), HistGradientBoostingClassifier(max_iter=5),
    ],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_two_classes_with_names_are_answered_with_both(table: pl.DataFrame, estimator: Any, calibrate: Any) -> None:
    """A booster gives the probability of the second class alone: such a model was registered, and never opened."""
    named = table.drop_nulls().with_columns(late=pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")))
    data = split(named, by_share(), "late", features=["distance", "temp"])
    model = train(lambda _params: clone(estimator), {}, data, name="named", baselines=False, calibrate=calibrate)
    packed = package(model, data.validation)
    assert packed.manifest["parity"]["verified"]
    matrix = encoded(model, data.validation)
    for name in ("native", "onnx"):
        scores = open_engine(packed, name)(matrix)
        assert scores.shape == (len(matrix), 2)
        assert np.allclose(scores.sum(axis=1), 1.0, atol=1e-6)
        assert scores.min() >= 0.0


def test_native_only(model: Model, table: pl.DataFrame) -> None:
    built = package(model, table, formats=("native",))
    assert ONNX_FILE not in built.files
    assert built.manifest["engines"]["online"] == "native"


def test_wrong_calls_say_what_to_do(model: Model, table: pl.DataFrame) -> None:
    with pytest.raises(UsageError, match="Known formats: native, onnx"):
        package(model, table, formats=("pmml",))
    with pytest.raises(SchemaError, match="temp"):
        package(model, table.drop("temp"))
    with pytest.raises(UsageError, match="no rows"):
        package(model, table.clear())
    forest = refitted(model, table, LogisticRegression(max_iter=2000), fill=True)
    with pytest.raises(ModelError, match="learned repair"):
        package(forest, table.with_columns(temp=pl.lit(None, dtype=pl.Float64)))
