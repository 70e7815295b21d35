"""A feature that no request brings must be the same number in training, in one answer and in a million."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.errors import ConfigError, SchemaError, UsageError
from tidemill.data.on_demand import derivations
from tidemill.data.operations import CleaningPlan, Derive, FillLearned, ScaleLearned
from tidemill.data.repairs import apply_repairs, compile_repairs
from tidemill.serving.online import OnlineViews
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring.scorer import Scorer

SPEED = Derive("mph", "miles / hours")


def trips(rows: int = 1500) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    miles, hours = draw.uniform(100, 2000, rows), draw.integers(0, 5, rows)
    speed = np.where(hours > 0, miles / np.maximum(hours, 1), 500)
    fast = speed + draw.normal(0, 20, rows) > 500
    carrier = draw.choice(["UA", "B6"], rows)
    return pl.DataFrame({"miles": miles, "hours": hours, "carrier": carrier, "fast": fast})


def build(params: dict[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(**params))


def trained(*cleaning: Any, **options: Any) -> tuple[tm.Model, Any]:
    data = tm.split(trips(), tm.by_share(0.6, 0.2, seed=1), "fast")
    return tm.train(build, {}, data, cleaning=cleaning, baselines=False, **options), data


def test_it_is_computed_in_training_in_one_answer_and_in_a_batch_alike():
    model, data = trained(SPEED, Derive("united", "carrier = 'UA'"), FillLearned("mph"), ScaleLearned("mph"))
    assert model.signature.inputs.names == ("miles", "hours", "carrier"), "a request is asked for what it cannot know"
    assert model.metrics["roc_auc"] > 0.9
    packaged = tm.package(model, data.test)
    assert packaged.manifest["parity"]["verified"]
    rows = data.test.select(model.signature.inputs.names)
    expected = tm.predict(model, data.test)
    predictor = Predictor(packaged)
    told = [answer["probability"] for answer in predictor.predict(rows.to_dicts())]
    one_by_one = [predictor.predict([row])[0]["probability"] for row in rows.head(50).to_dicts()]
    np.testing.assert_allclose(told, expected, atol=1e-6)
    np.testing.assert_allclose(one_by_one, expected[:50], atol=1e-6)
    np.testing.assert_allclose(Scorer(Predictor(packaged)).score(rows)["probability"], expected, atol=1e-6)


def test_without_it_the_model_is_worse_so_that_it_was_really_learnt_from():
    plain, _ = trained()
    derived, _ = trained(SPEED, FillLearned("mph"), ScaleLearned("mph"))
    assert derived.metrics["roc_auc"] > plain.metrics["roc_auc"] + 0.02


def test_it_is_computed_from_what_the_online_store_adds():
    class Store:
        def read(self, view, keys):
            assert view == "routes"
            return [{"miles": {"EWR-SFO": 2565.0}.get(route)} for (route,) in keys]

    model, data = trained(SPEED, FillLearned("mph"), ScaleLearned("mph"))
    inputs = frozenset(model.signature.inputs.names)
    views = OnlineViews(Store(), {"routes": ("route",)}, {"routes": ("miles",)}, inputs)
    package = tm.package(model, data.test)
    asked = {"hours": 4, "carrier": "UA"}
    found = Predictor(package, features=views).predict([{**asked, "route": "EWR-SFO"}])
    assert found[0]["probability"] == Predictor(package).predict([{**asked, "miles": 2565.0}])[0]["probability"]


def test_a_model_is_tuned_with_it():
    data = tm.split(trips(400), tm.by_share(0.6, 0.2, seed=1), "fast")
    plan = CleaningPlan((SPEED, FillLearned("mph"), ScaleLearned("mph")))
    study = tm.tune(build, {"C": tm.uniform(0.1, 1.0)}, data, trials=2, cleaning=plan)
    assert len(study.trials) == 2
    assert max(trial.value for trial in study.trials) > 0.85


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.none() | st.floats(allow_nan=True, allow_infinity=False, width=32),
                "n": st.none() | st.integers(-1000, 1000),
                "flag": st.none() | st.booleans(),
                "text": st.none() | st.sampled_from(["", "x", "Ünder", "3"]),
            }
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(
        [
            "a / n", "n % 7", "n * n - a", "a > n", "flag AND a > 0", "COALESCE(a, 1.5)", "COALESCE(a, n)",
            "text = 'x'", "n IN (1, 2, 3)",
            "CASE WHEN n > 0 THEN a ELSE 0 END", "ABS(n)", "LOWER(text)", "a IS NULL", "NOT flag",
        ]
    ),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_one_row_gives_what_many_rows_give(rows, expression):
    schema = {"a": pl.Float64(), "n": pl.Int64(), "flag": pl.Boolean(), "text": pl.String()}
    repairs = derivations([Derive("made", expression)], schema)
    frame = pl.DataFrame(rows, schema=schema)
    from tidemill.training.frames import columns_of

    many = apply_repairs(columns_of(frame, frame.columns), repairs)["made"]
    replay = compile_repairs(repairs)
    for place, row in enumerate(rows):
        one, other = replay(dict(row))["made"], many[place]
        assert one == other or (one is None and (other is None or np.isnan(other))), (row, one, other)


@pytest.mark.parametrize(
    ("operation", "error", "said"),
    [
        (Derive("mph", "miles / minutes"), SchemaError, "needs a column that no request has.*minutes.*miles, hours"),
        (Derive("hours", "miles / 60"), SchemaError, "has the name of a column"),
        (Derive("mph", "miles /"), ConfigError, "is no SQL"),
        (Derive("far", "miles > AVG(miles)"), ConfigError, "cannot be computed from one row"),
        (Derive("late", "fast"), SchemaError, "needs a column that no request has.*fast"),
        (Derive("one", "1"), ConfigError, "reads no column"),
    ],
)
def test_what_cannot_be_computed_from_one_request_is_refused_when_the_model_is_trained(operation, error, said):
    with pytest.raises(error, match=f"(?s){said}"):
        trained(operation)


def test_a_category_that_was_never_seen_is_missing_and_no_failure():
    schema = {"code": pl.Int64(), "flag": pl.Boolean()}
    repairs = derivations([Derive("high", "code > 5"), Derive("off", "NOT flag")], schema)
    replay = compile_repairs(repairs)
    told = [replay(row) for row in ({"code": "7", "flag": "true"}, {"code": "many", "flag": "perhaps"})]
    assert [(row["high"], row["off"]) for row in told] == [(1.0, 0.0), (None, None)]


def test_a_moment_is_no_number_to_compute_with():
    table = {"at": pl.Datetime("us", "UTC"), "miles": pl.Float64()}
    with pytest.raises(ConfigError, match=r"neither number, flag nor text.*a moment becomes hour"):
        derivations([Derive("when", "at")], table)


def test_one_that_comes_after_a_repair_is_refused_for_its_place():
    with pytest.raises(UsageError, match=r"before any repair: 'mph'\. Write every Derive first"):
        trained(FillLearned("miles"), SPEED)
