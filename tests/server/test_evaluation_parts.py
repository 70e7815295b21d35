"""If these fail, the page of a run hides what its evaluation found, or shows it as markup."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest

import tidemill as tm
from tidemill.evaluation import Comparison
from tidemill.measures import Estimate
from tidemill.server.report import evaluation_parts, model_sections


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    rows = 3000
    wind, hour = generator.gamma(2, 5, rows), generator.integers(5, 23, rows)
    carrier = generator.choice(["UA", "<b>EV"], rows)
    chance = 1 / (1 + np.exp(-(-3 + 0.12 * wind + 0.08 * (hour - 12) + (carrier == "UA"))))
    sex = generator.choice(["f", "m"], rows)
    late = generator.random(rows) < chance
    return pl.DataFrame({"carrier": carrier, "wind": wind, "hour": hour, "sex": sex, "late": late})


def boosted(params):
    return lightgbm.LGBMClassifier(n_estimators=20, num_leaves=7, **params)


def test_an_examination_shows_groups_weak_slices_and_failing_rows(table):
    data = tm.split(table, tm.by_share(), "late", features=["carrier", "wind", "hour"])
    costs = {"false_positive": 1.0, "false_negative": 5.0}
    model = tm.train(boosted, {}, data, costs=costs, name="delay")
    odd = pl.col("late") ^ (pl.col("carrier") == "<b>EV")
    found = tm.test(
        model,
        data.test.with_columns(late=odd),
        fairness=["sex"],
        costs=costs,
        against=model,
        slices=["carrier"],
        bootstrap=20,
        expect=[tm.monotone("wind", "down")],
    )
    body = model_sections.examination(found).body
    for words in (
        "Where it is clearly worse",
        "carrier &lt;b&gt;EV",
        "Fairness: sex",
        "four-fifths rule (0.8)",
        "Calibration by sex",
        "Gain:",
        "What decisions cost at each threshold",
        "wind_down: carrier",
        "slice by slice",
        "no clear difference",
    ):
        assert words in body, words
    assert "<b>EV" not in body
    seen = model_sections.examination(tm.test(model, data.train, bootstrap=0, importance=False, discover=False))
    assert "Not untouched: the training has read" in seen.summary


def test_numbers_show_residuals_and_classes_show_each_class(table):
    numbers = tm.split(table, tm.by_share(), "wind", features=["hour", "carrier"])
    model = tm.train(lambda p: lightgbm.LGBMRegressor(n_estimators=5), {}, numbers, name="wind")
    shown = model_sections.evaluation(tm.evaluate(model, numbers.test, bootstrap=10))
    assert "Residuals: mean and middle 80 %" in shown.body
    assert "wind 10" in shown.summary or "wind 9." in shown.summary
    classes = tm.split(table, tm.by_share(), "carrier", features=["hour", "wind"])
    many = tm.train(lambda p: lightgbm.LGBMClassifier(n_estimators=5), {}, classes, name="carrier")
    body = model_sections.evaluation(tm.evaluate(many, classes.test, bootstrap=10)).body
    assert "Class by class" in body
    assert "most often taken for" in body


def test_contributions_are_drawn_for_one_answer_and_told_for_several(table):
    data = tm.split(table, tm.by_share(), "late", features=["carrier", "wind", "hour"])
    model = tm.train(boosted, {}, data, name="delay", baselines=False)
    quick = {"bootstrap": 10, "importance": "shap", "discover": False}
    body = model_sections.evaluation(tm.evaluate(model, data.test, **quick)).body
    assert "What each input adds to the log-odds, exactly, by lightgbm, on 450 rows" in body
    assert "A dot for each of 120 rows" in body
    assert "The mean answer by wind" in body
    bare = model_sections.evaluation(tm.evaluate(model, data.test, **{**quick, "bootstrap": 0})).body
    assert "What each input adds" in bare
    parts = table.with_columns(part=pl.format("part {}", pl.col("hour") // 8))
    classes = tm.split(parts, tm.by_share(), "part", features=["carrier", "wind"])
    many = tm.train(lambda p: lightgbm.LGBMClassifier(n_estimators=5), {}, classes, baselines=False)
    body = model_sections.evaluation(tm.evaluate(many, classes.test, **quick)).body
    assert "What each input adds" in body
    assert "A dot for each" not in body


def test_slices_on_which_a_baseline_is_better_are_named():
    gap = Estimate(-0.1, -0.2, -0.05, rows=90)
    entry = Comparison(
        "tree", "baseline", "roc_auc", 0.6, 0.7, gap, better=False, p_value=0.01, by="port", at="<Emden>"
    )
    shown = evaluation_parts.comparisons([entry])
    assert "Slices on which a baseline is better" in shown
    assert "port &lt;Emden&gt;" in shown
    assert evaluation_parts.comparisons([replace(entry, better=None)]) == ""


def test_one_class_draws_no_curve_that_means_nothing(table):
    data = tm.split(table, tm.by_share(), "late", features=["wind", "hour"])
    model = tm.train(boosted, {}, data, name="delay")
    shown = model_sections.evaluation(tm.evaluate(model, data.test.filter("late"), bootstrap=10))
    assert "ROC" not in shown.body
    assert "is not defined: only one class is present" in shown.summary
