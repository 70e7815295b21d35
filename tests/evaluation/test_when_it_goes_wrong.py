"""If these fail, an evaluation of rows or of a model that nobody thought of ends in a riddle, or in a false number."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest

import tidemill as tm
from tidemill.core.errors import DataError, UnsafeModelError, UsageError
from tidemill.design import Requirement

QUICK = {"importance": False, "discover": False, "bootstrap": 20}


def boosted(params):
    return lightgbm.LGBMClassifier(n_estimators=10, num_leaves=7, **params)


def test_no_rows_are_said(model, flights):
    for verb in (tm.evaluate, tm.test):
        with pytest.raises(DataError, match="there are no rows to evaluate"):
            verb(model, flights.test.head(0))


@pytest.mark.parametrize("given", ["delay@champion", lightgbm.LGBMClassifier()], ids=["a name", "an estimator"])
def test_what_is_no_model_is_told_where_models_come_from(given, model, flights):
    told = r"this is no model: '(delay@champion|LGBMClassifier)'.*tm\.load\(.*\.trained\(\)"
    for verb in (tm.evaluate, tm.test, tm.predict, tm.explain, tm.package):
        with pytest.raises(UsageError, match=told):
            verb(given, flights.validation)
    with pytest.raises(UsageError, match=told):
        tm.evaluate(model, flights.validation, against=given)
    for verb in (tm.evaluate, tm.package):
        with pytest.raises(UsageError, match=r"not a table: 'Splits'. Give one of its parts, such as data\.validation"):
            verb(model, flights)


def test_a_metric_that_is_not_defined_on_a_slice_says_why(model, flights):
    sure = flights.validation.with_columns(late=pl.col("late") | (pl.col("carrier") == "EV"))
    found = tm.evaluate(model, sure, slices=["carrier"], against=model, **QUICK)
    part = next(entry for entry in found.slices if entry.value == "EV")
    assert part.rows >= 30
    assert (part.metrics["roc_auc"].value, part.metrics["roc_auc"].reason) == (None, "only one class is present")
    assert part.metrics["brier"].value is not None
    duels = [entry for entry in found.comparisons if entry.at == "EV"]
    assert {entry.difference.reason for entry in duels} == {"only one class is present"}
    assert {entry.kind for entry in duels} == {"baseline", "model"}


def test_a_slice_where_nothing_is_defined_is_a_promise_not_measured(model, flights):
    found = tm.evaluate(model, flights.validation.filter("late"), slices=["carrier"], **QUICK)
    wanted = Requirement("r", "", "roc_auc", at_least=0.5, checked=("evaluation",), slice="carrier")
    promise = tm.gate("evaluation", [wanted], found).promises[0]
    assert (promise.status, promise.value) == ("not measured", None)
    assert promise.reason in ("only one class is present", "fewer than 30 rows")


def test_an_examination_of_one_class_says_what_it_could_not_measure(model, flights):
    examination = tm.test(model, flights.test.filter("late"), **QUICK)
    details = {entry.name: entry.detail for entry in examination.behaviours if entry.name.startswith("beats_")}
    assert set(details.values()) == {"not measured: only one class is present"}
    assert not examination.passed


def test_one_row_is_evaluated_without_intervals(model, flights):
    found = tm.evaluate(model, flights.test.head(1), importance="shap")
    assert found.rows == 1
    assert found.metrics["brier"].low is None
    assert found.metrics["brier"].reason == "one row has no spread"
    assert found.contributions.columns[0].size.reason == "one row has no spread"
    tm.test(model, flights.test.head(1))


def test_text_labels_are_classes_and_costs_say_how_they_become_a_flag(flights):
    words = pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no"))
    parts = {part: getattr(flights, part).with_columns(late=words) for part in ("train", "validation", "test")}
    data = replace(flights, **parts)
    model = tm.train(boosted, {}, data, baselines=False)
    found = tm.evaluate(model, data.validation, **QUICK)
    assert (found.task, found.classes) == ("multiclass", ("no", "yes"))
    with pytest.raises(UsageError, match=r"costs are of binary decisions.*pl\.col\('late'\) == 'yes'"):
        tm.evaluate(model, data.validation, costs={"false_positive": 1, "false_negative": 2}, **QUICK)
    with pytest.raises(DataError, match=r"a class of 'late' is in the evaluated rows.*'perhaps'"):
        tm.evaluate(model, data.validation.with_columns(late=pl.lit("perhaps")), **QUICK)


def test_numbers_kept_as_text_are_recognised(flights):
    table = pl.DataFrame({"x": np.arange(300.0)}).with_columns(y=(pl.col("x") / 7).cast(pl.String))
    with pytest.raises(DataError, match=r"numbers kept as text: cast them, pl\.col\('y'\)\.cast\(pl\.Float64\)"):
        tm.train(boosted, {}, tm.split(table, tm.by_share(), "y"))


def test_extreme_imbalance_is_evaluated_with_intervals_that_say_how_little_is_known(flights):
    rare = pl.int_range(pl.len()) % 400 == 0
    parts = {part: getattr(flights, part).with_columns(late=rare) for part in ("train", "validation", "test")}
    model = tm.train(boosted, {}, replace(flights, **parts), baselines=False)
    found = tm.evaluate(model, parts["test"], slices=["carrier"])
    assert found.base_rate < 0.005
    assert found.metrics["roc_auc"].high - found.metrics["roc_auc"].low > 0.1
    assert found.metrics["f1"].value == 0 or found.metrics["f1"].reason


def test_an_estimator_that_cannot_be_copied_is_trained_tuned_and_examined(flights):
    class Stubborn:
        """Holds what cannot be copied or pickled, such as a connection."""

        def fit(self, matrix, truth):
            self.level = float(truth.mean())
            return self

        def predict(self, matrix):
            return np.where(np.isnan(matrix[:, 1]), self.level, np.tanh(np.abs(matrix[:, 1]) / 50))

        def __deepcopy__(self, memo):
            raise TypeError("cannot copy a connection")

        def __reduce_ex__(self, protocol):
            raise TypeError("cannot pickle a connection")

    def build(params):
        return Stubborn()

    study = tm.tune(build, {"depth": tm.integers(1, 3)}, flights, metric="roc_auc", trials=2)
    assert [trial.state for trial in study.trials] == ["complete", "complete"]
    model = tm.train(build, {}, flights, calibrate="sigmoid")
    examination = tm.test(model, flights.test, stability=lambda seed: tm.train(build, {}, flights, seed=seed), **QUICK)
    assert examination.evaluation.metrics["roc_auc"].value > 0.5
    with pytest.raises(UnsafeModelError, match=r"get_state\(\)"):
        tm.package(model, flights.validation)


def test_predictions_that_are_large_and_all_the_same_are_drawn():
    target = pl.Series("serial", [2**63 + row for row in range(60)], dtype=pl.UInt64)
    data = tm.split(
        pl.DataFrame({"x": [float(row % 7) for row in range(60)], "serial": target}), tm.by_share(), "serial"
    )
    model = tm.train(lambda params: lightgbm.LGBMRegressor(n_estimators=2, **params), {}, data, baselines=False)
    found = tm.evaluate(model, data.validation, **QUICK)
    assert sum(found.histogram.counts) == data.validation.height


def test_what_is_no_model_or_no_name_is_said(model, flights):
    with pytest.raises(UsageError, match=r"this is no model: 'flights@champion'\. .*tm\.train"):
        tm.evaluate(model, flights.validation, against="flights@champion", **QUICK)
    with pytest.raises(UsageError, match="slices are names"):
        tm.evaluate(model, flights.validation, slices=[pl.col("carrier") == "EV"], **QUICK)
