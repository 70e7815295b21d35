"""If these fail, a report shows numbers that do not belong to the model, or none where one was promised."""

from __future__ import annotations

import json
from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest

from tidemill.core.errors import DataError, ModelError, SchemaError, UsageError
from tidemill.data.split import by_share, split
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.evaluation import evaluate
from tidemill.measures import roc_auc
from tidemill.training.fitting import train
from tidemill.training.prediction import predict

COSTS = {"false_positive": 40, "false_negative": 250}


@pytest.fixture(scope="module")
def found(model, flights):
    return evaluate(
        model,
        flights.validation,
        slices=["carrier", "month of sched_dep", "wind"],
        metrics=["recall_at_10pct"],
        costs=COSTS,
        bootstrap=60,
    )


def test_numbers_are_those_of_the_rows(found, model, flights):
    labels, scores = flights.validation["late"].to_numpy(), predict(model, flights.validation)
    assert found.metrics["roc_auc"].value == pytest.approx(roc_auc(labels, scores))
    assert (found.rows, found.moment, found.model) == (flights.validation.height, "evaluation", "delay")
    assert found.base_rate == pytest.approx(labels.mean())
    assert found.confusion.threshold == model.signature.threshold
    assert found.confusion.true_positive == ((scores >= model.signature.threshold) & labels).sum()
    called = scores >= model.signature.threshold
    cost = 40 * (called & ~labels).sum() + 250 * (~called & labels).sum()
    assert found.metrics["cost_per_1000"].value == pytest.approx(1000 * cost / len(labels))
    assert 0.1 < found.metrics["recall_at_10pct"].value < 0.9
    for name, value in found.metrics.items():
        assert value.low <= value.value <= value.high or name == "ece", name


def test_costs_are_compared_with_doing_nothing_and_everything(found):
    costs = found.costs
    assert costs.cheapest_per_1000 == pytest.approx(costs.per_1000.value)  # the threshold was chosen on these rows
    assert costs.cheapest_per_1000 <= min(costs.never_per_1000, costs.always_per_1000)


def test_baselines_are_compared_on_the_same_rows(found):
    compared = {entry.other: entry for entry in found.comparisons if not entry.by}
    assert set(compared) == {"constant", "linear", "tree"}
    constant = compared["constant"]
    assert (constant.other_value, constant.kind, constant.better) == (0.5, "baseline", True)
    assert constant.difference.value == pytest.approx(found.metrics["roc_auc"].value - 0.5)


def test_slices_cover_every_row_once(found, flights):
    for slicing in ("carrier", "month of sched_dep", "wind"):
        parts = [entry for entry in found.slices if entry.by == slicing]
        assert sum(entry.rows for entry in parts) == flights.validation.height
    carriers = {entry.value: entry for entry in found.slices if entry.by == "carrier"}
    assert list(carriers) == ["B6", "EV", "OO", "UA"]
    assert carriers["EV"].base_rate > carriers["UA"].base_rate
    assert carriers["OO"].metrics["roc_auc"].reason == "fewer than 30 rows"
    winds = [entry.value for entry in found.slices if entry.by == "wind"]
    assert len(winds) == 5
    assert winds[0].startswith("<= ")
    assert winds[-1] == "(missing)"
    assert [entry.value for entry in found.slices if entry.by == "month of sched_dep"] == ["2013-04"]


def test_importance_finds_what_the_flights_depend_on(found):
    assert {entry.column for entry in found.importance} == {"carrier", "wind", "hour"}
    assert found.importance[0].column == "wind"
    assert all(entry.low <= entry.drop <= entry.high for entry in found.importance)


def test_charts_have_what_they_need(found):
    assert len(found.roc.x) == len(found.roc.y) == len(found.roc.threshold) <= assessment_points()
    assert (found.roc.x[0], found.roc.y[-1]) == (0, 1)
    assert np.trapezoid(found.roc.y, found.roc.x) == pytest.approx(found.metrics["roc_auc"].value, abs=2e-3)
    assert sum(found.histogram.counts) == found.rows
    assert sum(found.histogram.positives) == round(found.base_rate * found.rows)
    assert sum(entry.rows for entry in found.calibration) == found.rows


def assessment_points():
    return 202


def test_an_evaluation_survives_the_store(found):
    text = json.dumps(encode(found), allow_nan=False)
    assert decode(json.loads(text)) == found
    assert len(text) < 64 * 1024


def test_another_model_is_compared_in_pairs(model, flights):
    worse = replace(
        train(lambda p: lightgbm.LGBMClassifier(n_estimators=1, num_leaves=2), {}, flights, baselines=False), name="old"
    )
    found = evaluate(model, flights.validation, against=worse, importance=False, bootstrap=60)
    duels = {entry.metric: entry for entry in found.comparisons if entry.kind == "model"}
    assert list(duels) == list(found.metrics)
    area = duels["roc_auc"]
    assert (area.other, area.better, area.test) == ("old", True, "DeLong")
    assert area.p_value < 1e-6
    assert (duels["accuracy"].test, duels["brier"].test) == ("McNemar", "bootstrap")
    assert area.other_value == pytest.approx(roc_auc(flights.validation["late"], predict(worse, flights.validation)))
    same = evaluate(model, flights.validation, against=model, importance=False, bootstrap=60).comparisons
    assert {(e.difference.value, e.better, e.p_value) for e in same if e.kind == "model"} == {(0, None, 1.0)}


def test_another_model_is_compared_on_each_slice(model, flights):
    damaged = flights.validation.with_columns(late=pl.col("late"))
    found = evaluate(model, damaged, against=model, slices=["carrier"], importance=False, bootstrap=20)
    slices = {entry.at: entry for entry in found.comparisons if entry.by == "carrier"}
    assert list(slices) == ["B6", "EV", "OO", "UA"]
    assert (slices["OO"].difference.reason, slices["UA"].p_value) == ("fewer than 30 rows", 1.0)


class Fixed:
    """Says one thing, whatever it is asked."""

    def __init__(self, chance):
        self.chance = chance

    def fit(self, matrix, truth):
        return self

    def predict_proba(self, matrix):
        return np.tile([1 - self.chance, self.chance], (len(matrix), 1))


def test_a_model_that_says_one_thing_or_nothing_is_measured_or_refused(flights):
    constant = train(lambda params: Fixed(0.3), {}, flights)
    found = evaluate(constant, flights.test, bootstrap=20, slices=["carrier"], fairness=["carrier"])
    assert found.metrics["roc_auc"].value == 0.5
    assert found.metrics["precision"].reason == "no row is called positive at the threshold"
    assert found.metrics["fairness.ppv_difference.carrier"].reason == "not defined in enough groups"
    assert {part.kind for part in found.weak} <= {"biased", "overconfident"}
    silent = replace(constant, estimator=Fixed(np.nan))
    with pytest.raises(ModelError, match=r"predicted .* NaN"):
        evaluate(silent, flights.test)
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        evaluate(constant, flights.test.head(0))
    assert evaluate(constant, flights.test.head(1)).metrics["brier"].reason == "one row has no spread"


def test_a_model_of_another_target_is_not_compared(model, flights):
    other = replace(model, name="early", signature=replace(model.signature, target="early"))
    with pytest.raises(UsageError, match="'early' predicts another target"):
        evaluate(model, flights.validation, against=other, importance=False, bootstrap=0)


def test_rows_without_a_label_are_left_out_and_counted(model, flights):
    table = flights.validation.with_columns(late=pl.when(pl.col("hour") > 6).then(pl.col("late")))
    found = evaluate(model, table, importance=False, bootstrap=0)
    assert found.unlabelled == table["late"].null_count() > 0
    assert found.rows + found.unlabelled == table.height
    assert found.metrics["roc_auc"].low is None


def test_one_class_is_said_and_not_crashed_over(model, flights):
    found = evaluate(model, flights.validation.filter(~pl.col("late")), slices=["carrier"], bootstrap=20)
    assert (found.metrics["roc_auc"].value, found.metrics["roc_auc"].reason) == (None, "only one class is present")
    assert found.metrics["accuracy"].value is not None
    assert found.comparisons[0].better is None
    assert found.importance == ()


@pytest.mark.parametrize(
    ("table", "options", "error", "words"),
    [
        (lambda t: t.drop("late"), {}, SchemaError, "the evaluation needs columns"),
        (lambda t: t.drop("wind"), {}, SchemaError, "wind"),
        (lambda t: t.with_columns(late=pl.lit(None, dtype=pl.Boolean)), {}, DataError, "none of .* rows has a label"),
        (lambda t: t.with_columns(late=pl.lit("yes")), {}, DataError, "labels in 'late' are string"),
        (lambda t: t, {"slices": "carrier"}, UsageError, r'Write slices=\["carrier"\]'),
        (lambda t: t, {"fairness": "carrier"}, UsageError, "fairness should be a list"),
        (lambda t: t, {"slices": ["colour"]}, SchemaError, "colour"),
        (lambda t: t, {"slices": ["sched_dep"]}, UsageError, "'month of sched_dep'"),
        (lambda t: t, {"slices": ["month of hour"]}, UsageError, "needs a time column"),
        (lambda t: t, {"metrics": ["acuracy"]}, UsageError, "Did you mean 'accuracy'"),
        (lambda t: t, {"costs": {"false_positive": 1}}, UsageError, "incomplete"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(model, flights, table, options, error, words):
    with pytest.raises(error, match=words):
        evaluate(model, table(flights.validation), importance=False, bootstrap=0, **options)


def test_regression_and_many_classes():
    generator = np.random.default_rng(0)
    table = pl.DataFrame({"x": generator.normal(size=600), "at": range(600)})
    table = table.with_columns(delay=2 * pl.col("x") + pl.Series(generator.normal(0, 0.1, 600)))
    table = table.with_columns(kind=pl.when(pl.col("x") < -0.5).then(pl.lit("early")).otherwise(pl.lit("late")))
    table = table.with_columns(kind=pl.when(pl.col("x").abs() < 0.5).then(pl.lit("on time")).otherwise("kind"))
    numbers = split(table, by_share(), "delay", features=["x"])
    quantity = train(lambda p: lightgbm.LGBMRegressor(n_estimators=80, min_child_samples=5), {}, numbers)
    found = evaluate(quantity, numbers.test, bootstrap=30, slices=["at"])
    assert found.metrics["r2"].value > 0.9
    assert found.comparisons[0].metric == "rmse"
    assert found.comparisons[0].better is True
    assert found.comparisons[0].difference.value < 0
    assert sum(found.histogram.counts) == found.rows
    many = split(table, by_share(), "kind", features=["x"])
    classes = train(lambda p: lightgbm.LGBMClassifier(n_estimators=30, min_child_samples=5), {}, many)
    found = evaluate(classes, many.test, bootstrap=30)
    assert found.metrics["accuracy"].value > 0.9
    assert (found.classes, found.base_rate) == (("early", "late", "on time"), None)
    assert sum(map(sum, found.confusion_matrix)) == found.rows
    assert found.importance[0].column == "x"
