"""If these fail, a model that answers by its neighbours, or falls over a missing value, is called tested."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import lightgbm
import numpy as np
import polars as pl
import pytest

from tidemill.core.errors import UsageError
from tidemill.data.split import by_share, split
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.evaluation import evaluate, examine
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
    assert entries["missing_values"].detail.startswith("hour: ModelError: Fragile cannot predict")
    assert "ValueError: NaN!" in entries["missing_values"].detail
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


def test_rows_that_the_training_read_are_found_whatever_the_table_is_called(model, flights):
    fresh = examine(model, flights.test, bootstrap=0, importance=False, discover=False)
    assert (fresh.untouched, fresh.metrics["untouched"].value) == (True, 1.0)
    renamed = (
        flights.train.filter(pl.col("carrier") == "UA").sample(400, seed=1).select(reversed(flights.train.columns))
    )
    seen = examine(model, renamed, bootstrap=0, importance=False, discover=False)
    entry = behaviours(seen)["untouched"]
    assert (seen.untouched, seen.metrics["untouched"].value, seen.passed) == (False, 0.0, False)
    assert entry.detail.startswith("not untouched: the training has read ")
    assert entry.failed > 0.95 * entry.rows > 300
    mixed = pl.concat([flights.test, flights.validation.head(60)])
    assert examine(model, mixed, bootstrap=0, importance=False, discover=False).untouched is False


def test_an_earlier_look_at_the_same_rows_is_found(model, flights):
    quick = {"bootstrap": 0, "importance": False, "discover": False}
    peeked, honest = (evaluate(model, part, **quick) for part in (flights.test, flights.validation))
    seen = examine(model, flights.test.sample(fraction=0.5, seed=1), earlier=[honest, peeked], **quick)
    assert behaviours(seen)["untouched"].detail.startswith("not untouched: an evaluation has read ")
    assert seen.metrics["untouched"].value == 0.0
    table = flights.test.with_columns(wind=pl.col("wind").fill_null(7.0) + 1e-3)
    assert examine(model, table, earlier=[honest], **quick).untouched


def test_rows_that_are_alike_by_nature_are_not_called_touched():
    generator = np.random.default_rng(0)
    table = pl.DataFrame({"a": generator.integers(0, 40, 3000), "b": generator.integers(0, 40, 3000)})
    table = table.with_columns(late=pl.Series(generator.random(3000) < table["a"].to_numpy() / 40))
    data = split(table, by_share(), "late")
    model = train(lambda p: lightgbm.LGBMClassifier(n_estimators=3), {}, data)
    assert examine(model, data.test, bootstrap=0, importance=False, discover=False).untouched
    assert not examine(model, data.train, bootstrap=0, importance=False, discover=False).untouched


def test_a_model_without_the_record_is_not_called_untouched(model, flights):
    silent = replace(model, metadata={key: value for key, value in model.metadata.items() if key != "read"})
    entry = behaviours(examine(silent, flights.test, bootstrap=0, importance=False, discover=False))["untouched"]
    assert (entry.passed, entry.detail) == (False, "the model has no record of the rows that its training read")
    assert entry.severity == "warning"  # nobody did wrong; a requirement of "untouched" does not hold all the same


def test_a_package_tells_how_fast_it_is(model, flights):
    packed = SimpleNamespace(metrics={"latency_p99_ms": 1.5, "size_mb": 0.2})
    found = examine(model, flights.test, bootstrap=0, importance=False, discover=False, package=packed)
    assert found.metrics["latency_p99_ms"].value == 1.5
    with pytest.raises(UsageError, match="this is no package"):
        examine(model, flights.test, bootstrap=0, importance=False, discover=False, package=3)


def test_another_seed_makes_about_the_same_model(model, flights):
    def again(seed):
        return train(lambda p: lightgbm.LGBMClassifier(n_estimators=40, num_leaves=7, **p), {}, flights, seed=seed)

    quick = {"bootstrap": 0, "importance": False, "discover": False}
    entry = behaviours(examine(model, flights.test, stability=again, seeds=2, **quick))["seeds"]
    assert entry.passed
    assert 0 <= entry.measured < entry.bound

    def luck(seed):
        shallow = train(lambda p: lightgbm.LGBMClassifier(n_estimators=1, num_leaves=2), {}, flights)
        return shallow if seed == 2 else again(seed)

    assert not behaviours(examine(model, flights.test, stability=luck, seeds=2, **quick))["seeds"].passed
    with pytest.raises(UsageError, match="a function of a seed"):
        examine(model, flights.test, stability=3, **quick)
    with pytest.raises(UsageError, match="at least two seeds"):
        examine(model, flights.test, stability=again, seeds=1, **quick)


def test_regression_is_examined_too(flights):
    data = replace(flights, spec=replace(flights.spec, target="wind", features=("hour", "carrier")))
    data = replace(data, **{part: getattr(data, part).drop_nulls("wind") for part in ("train", "validation", "test")})
    model = train(lambda params: lightgbm.LGBMRegressor(n_estimators=5), {}, data)
    entries = behaviours(examine(model, data.test, bootstrap=20))
    assert entries["row_order"].passed
    assert "slices" not in entries
