"""If these fail, a model that answers by its neighbours, or falls over a missing value, is called tested."""

from __future__ import annotations

import json
from dataclasses import replace

import lightgbm
import numpy as np
import pytest

from tidemill.engine.materialisers.plain import decode, encode
from tidemill.evaluation import examine
from tidemill.training.fitting import train
from tidemill.training.prediction import predict


def knows_the_wind(model, table):
    """Strong wind makes flights later"""
    calm, storm = (
        predict(model, table.head(50).with_columns(wind=speed + 0 * table.head(50)["hour"])) for speed in (1.0, 40.0)
    )
    assert (storm > calm).mean() > 0.9, "wind does not matter"


def never_content(model, table):
    return False


@pytest.fixture(scope="module")
def found(model, flights):
    return examine(
        model,
        flights.test,
        slices=["month of sched_dep", "carrier"],
        bootstrap=60,
        tests=[knows_the_wind, never_content],
    )


def behaviours(examination):
    return {entry.name: entry for entry in examination.behaviours}


def test_a_good_model_behaves(found):
    failed = [entry for entry in found.behaviours if not entry.passed and entry.kind != "user"]
    assert {entry.name for entry in failed} <= {"beats_linear"}
    assert behaviours(found)["row_alone"].measured <= 1e-6
    assert behaviours(found)["missing_values"].detail.startswith("without wind, roc_auc is worse by 0.")
    assert behaviours(found)["beats_constant"].measured > 0.1


def test_user_tests_are_run_and_described(found):
    entries = behaviours(found)
    assert entries["knows_the_wind"].passed
    assert entries["knows_the_wind"].expected == "Strong wind makes flights later"
    assert not entries["never_content"].passed
    assert entries["never_content"].expected == "never content"


def test_the_gate_reads_an_examination_like_an_evaluation(found):
    assert found.moment == "test"
    assert found.metrics["roc_auc"] == found.evaluation.metrics["roc_auc"]
    assert found.metrics["failed_behaviours"].value == sum(not entry.passed for entry in found.behaviours) >= 1
    assert not found.passed


def test_an_examination_survives_the_store(found):
    assert decode(json.loads(json.dumps(encode(found), allow_nan=False))) == found


class ByNeighbours:
    """Answers by the rank of a row among those asked with it, as a leaking normalisation does."""

    def fit(self, matrix, truth):
        return self

    def predict_proba(self, matrix):
        ranks = np.argsort(np.argsort(np.nan_to_num(matrix[:, 1]))) / max(len(matrix) - 1, 1)
        return np.stack([1 - ranks, ranks], axis=1)


class Fragile:
    """Falls over missing values."""

    def fit(self, matrix, truth):
        return self

    def predict_proba(self, matrix):
        if np.isnan(matrix[:, 2]).any():
            raise ValueError("NaN!")
        return np.full((len(matrix), 2), 0.5)


def test_a_model_that_looks_at_neighbours_is_found_out(flights):
    model = train(lambda params: ByNeighbours(), {}, flights)
    entries = behaviours(examine(model, flights.test, bootstrap=20))
    assert not entries["row_alone"].passed
    assert entries["row_repeat"].passed


def test_a_model_that_falls_over_missing_values_is_found_out(flights):
    entries = behaviours(examine(train(lambda params: Fragile(), {}, flights), flights.test, bootstrap=20))
    assert not entries["missing_values"].passed
    assert entries["missing_values"].detail == "hour: ValueError: NaN!"
    assert not entries["all_missing"].passed
    assert not entries["varies"].passed
    assert (entries["beats_linear"].passed, entries["beats_linear"].detail) == (False, "it is worse")


def test_a_slice_ranked_backwards_is_found_out(flights):
    class Backwards:
        def fit(self, matrix, truth):
            return self

        def predict(self, matrix):
            wind = np.nan_to_num(matrix[:, 1])
            return np.where(matrix[:, 0] == 0, -wind, wind)

    model = train(lambda params: Backwards(), {}, flights)
    entry = behaviours(examine(model, flights.test, slices=["carrier"], bootstrap=50, importance=False))["slices"]
    assert (entry.passed, entry.detail) == (False, "carrier UA")


def test_regression_is_examined_too(flights):
    data = replace(flights, spec=replace(flights.spec, target="wind", features=("hour", "carrier")))
    data = replace(data, **{part: getattr(data, part).drop_nulls("wind") for part in ("train", "validation", "test")})
    model = train(lambda params: lightgbm.LGBMRegressor(n_estimators=5), {}, data)
    entries = behaviours(examine(model, data.test, bootstrap=20))
    assert entries["row_order"].passed
    assert "slices" not in entries
