"""Whoever is told a prediction may ask why: the contributions sum up to it, and nobody else waits for them."""

from __future__ import annotations

import math

import polars as pl
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sample_models import trained

import tidemill as tm
from tidemill.core.errors import InvalidRequestError
from tidemill.data.operations import Derive
from tidemill.packaging.package import Package
from tidemill.serving.explaining import MAX_ROWS, explain_answer
from tidemill.serving.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged)


def test_contributions_and_base_sum_up_to_the_answer(predictor: Predictor) -> None:
    row = {**predictor.example(), "carrier": "UA", "temp": 31.5}
    (told,) = explain_answer(predictor, predictor.answer([row]))
    explanation = told["explanation"]
    total = explanation["base"] + sum(one["contribution"] for one in explanation["contributions"])
    assert explanation["scale"] == "log-odds"
    assert 1 / (1 + math.exp(-total)) == pytest.approx(told["probability"], abs=1e-6)
    sizes = [abs(one["contribution"]) for one in explanation["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {one["column"]: one["value"] for one in explanation["contributions"]}["temp"] == 31.5


def test_a_refused_row_has_an_error_and_no_explanation(predictor: Predictor) -> None:
    good, bad = explain_answer(predictor, predictor.answer([predictor.example(), {"temp": "warm"}]))
    assert "explanation" in good
    assert set(bad) == {"error"}


def test_a_library_that_does_not_tell_is_said(table: object) -> None:
    from sklearn.linear_model import LogisticRegression

    data = tm.split(table, tm.by_share(), "late", features=["distance", "heavy"])
    model = tm.train(lambda params: LogisticRegression(max_iter=500), {}, data, name="plain", baselines=False)
    predictor = Predictor(tm.package(model, data.validation))
    (told,) = explain_answer(predictor, predictor.answer([predictor.example()]))
    assert "LogisticRegression does not tell" in told["explanation"]["error"]
    assert "background=" not in told["explanation"]["error"]  # no request has such a key


def test_of_several_quantiles_the_one_that_is_told_is_explained(table: pl.DataFrame) -> None:
    def build(params: dict[str, float]) -> LGBMRegressor:
        return LGBMRegressor(objective="quantile", alpha=params["quantile"], n_estimators=20, n_jobs=1, verbose=-1)

    data = tm.split(table, tm.by_share(), "temp", features=["distance", "carrier"])
    model = tm.train(build, {}, data, name="warmth", task="quantile", levels=(0.1, 0.5, 0.9), baselines=False)
    predictor = Predictor(tm.package(model, data.validation))
    for told in explain_answer(predictor, predictor.answer([{"distance": 300}, {"distance": 2000, "carrier": "UA"}])):
        why = told["explanation"]
        assert why["of"] == "0.5"
        assert why["base"] + sum(one["contribution"] for one in why["contributions"]) == pytest.approx(
            told["temp"], abs=1e-3
        )
        assert told["quantiles"]["0.1"] < told["temp"] < told["quantiles"]["0.9"]


def test_of_several_classes_it_is_said_which_one_is_explained(table: pl.DataFrame) -> None:
    data = tm.split(table, tm.by_share(), "carrier", features=["distance", "temp"])
    model = tm.train(
        lambda params: LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1), {}, data, name="who", baselines=False
    )
    predictor = Predictor(tm.package(model, data.validation))
    (told,) = explain_answer(predictor, predictor.answer([{"distance": 700, "temp": 3.5}]))
    assert told["explanation"]["of"] == told["carrier"]


def test_of_two_classes_the_first_is_explained_by_what_speaks_for_it(table: pl.DataFrame) -> None:
    """The library tells what speaks for the second class, whichever is predicted."""
    named = table.with_columns(late=pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")))
    data = tm.split(named, tm.by_share(), "late", features=["distance", "temp"])
    build = LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1)
    model = tm.train(lambda _params: build, {}, data, name="named", baselines=False)
    predictor = Predictor(tm.package(model, data.validation))
    rows = data.validation.select("distance", "temp").head(50).to_dicts()
    answers = explain_answer(predictor, predictor.answer(rows))
    assert {told["late"] for told in answers} == {"no", "yes"}
    for told in answers:
        explanation = told["explanation"]
        assert explanation["of"] == told["late"]
        total = explanation["base"] + sum(one["contribution"] for one in explanation["contributions"])
        assert 1 / (1 + math.exp(-total)) == pytest.approx(told["probabilities"][told["late"]], abs=1e-6)


def test_a_feature_on_demand_is_shown_as_it_was_computed(table: pl.DataFrame) -> None:
    data = tm.split(table, tm.by_share(), "late", features=["distance", "temp"])
    model = tm.train(
        lambda params: LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1), {}, data, name="derived",
        cleaning=[Derive("per_degree", "distance / temp")], baselines=False,
    )  # fmt: skip
    predictor = Predictor(tm.package(model, data.validation))
    rows = [{"distance": 300, "temp": 4.0}, {"distance": 300, "temp": 0.0}]
    shown = [
        {one["column"]: one["value"] for one in told["explanation"]["contributions"]}
        for told in explain_answer(predictor, predictor.answer(rows))
    ]
    assert shown[0] == {"distance": 300, "temp": 4.0, "per_degree": 75.0}
    assert shown[1]["per_degree"] is None


def test_more_rows_than_can_be_explained_are_refused(predictor: Predictor) -> None:
    with pytest.raises(InvalidRequestError, match="too many rows to explain"):
        explain_answer(predictor, predictor.answer([predictor.example()] * (MAX_ROWS + 1)))


def test_another_model_is_explained_by_itself(predictor: Predictor) -> None:
    other = Predictor(tm.package(trained(seed=9)))
    row = predictor.example()
    one, two = (explain_answer(asked, asked.answer([row]))[0]["explanation"]["base"] for asked in (predictor, other))
    assert one != two
