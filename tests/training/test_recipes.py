"""If these fail, a served row is prepared otherwise than a trained one, or a column is left out without a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import tidemill as tm
from tidemill.core.errors import ConfigError, SchemaError, UsageError
from tidemill.packaging.preparation import compile_columns, compile_row
from tidemill.serving.predictor import Predictor
from tidemill.training.prediction import encoded
from tidemill.training.recipes import Recipe

WORDS = ["late", "cold", "broken", "fine", "good", "quick", "box", "again"]


def orders(rows: int = 400) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    notes = [" ".join(draw.choice(WORDS, draw.integers(3, 9))) for _ in range(rows)]
    made = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=int(h)) for h in draw.integers(0, 9000, rows)]
    price = draw.lognormal(3, 1.4, rows).round(2)
    cities = np.array([f"city {n}" for n in range(40)])
    return pl.DataFrame(
        {
            "order_id": [f"A{n:05d}" for n in range(rows)],
            "price": price,
            "weight": pl.Series(np.where(draw.random(rows) < 0.2, np.nan, draw.normal(5, 1, rows))).fill_nan(None),
            "city": draw.choice(cities, rows),
            "size": draw.choice(["S", "M", "L"], rows),
            "gift": draw.random(rows) < 0.3,
            "made_at": made,
            "note": notes,
            "currency": ["EUR"] * rows,
            "tags": [["a"], ["b"]] * (rows // 2),
            "returned": pl.Series(["broken" in note or "late" in note for note in notes]),
        }
    )


@pytest.fixture(scope="module")
def data():
    features = [name for name in orders().columns if name != "returned"]
    return tm.split(orders(), tm.by_share(0.6, 0.2), "returned", features=features)


@pytest.fixture(scope="module")
def proposed(data):
    return tm.recipe(data)


@pytest.fixture(scope="module")
def model(data, proposed):
    return tm.train(lambda p: LogisticRegression(max_iter=2000), {}, data, recipe=proposed, baselines=False)


def test_each_column_has_a_use_and_a_reason(proposed):
    uses = {plan.column: (plan.use, plan.fill) for plan in proposed.columns}
    assert uses == {
        "order_id": ("leave out", False),
        "price": ("log", False),
        "weight": ("number", True),
        "city": ("target mean", False),
        "size": ("category", False),
        "gift": ("flag", False),
        "made_at": ("cycle", False),
        "note": ("text", False),
        "currency": ("leave out", False),
        "tags": ("leave out", False),
    }
    lines = str(proposed).splitlines()
    assert lines[0].startswith("order_id  leave out       identifier: ")
    assert all(plan.why for plan in proposed.columns)


def test_a_recipe_is_carried_out_and_recorded(model, data):
    assert "order_id" not in model.signature.inputs
    kinds = {entry["kind"] for entry in model.encoding}
    assert kinds == {"log", "number", "category", "flag", "time", "text"}
    assert {entry.get("part") for entry in model.encoding if entry["kind"] == "time"} == {
        "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "month_sin", "month_cos",
    }  # fmt: skip
    assert model.metrics["roc_auc"] > 0.9  # what the words say
    wordless = tm.recipe(data).with_use("note", "leave out")
    without = tm.train(lambda p: LogisticRegression(max_iter=2000), {}, data, recipe=wordless, baselines=False)
    assert without.metrics["roc_auc"] < 0.75
    assert Recipe.from_dict(json.loads(json.dumps(model.metadata["recipe"]))) == tm.recipe(data)


VALUES = {
    "price": st.none() | st.floats(-10, 1e6),
    "weight": st.none() | st.floats(-5, 20),
    "city": st.none() | st.sampled_from(["city 1", "city 39", "Atlantis"]),
    "size": st.none() | st.sampled_from(["S", "M", "XXL"]),
    "gift": st.none() | st.booleans(),
    "made_at": st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),
    "note": st.none() | st.text(max_size=30) | st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=6))
def test_a_batch_a_row_and_training_make_the_same_numbers(model, rows):
    types = {name: model.signature.inputs[name] for name in VALUES}
    assert set(types) == set(model.signature.inputs.names)
    schema = {"price": pl.Float64, "weight": pl.Float64, "city": pl.String, "size": pl.String, "gift": pl.Boolean,
              "made_at": pl.Datetime("us", "UTC"), "note": pl.String}  # fmt: skip
    table = encoded(model, pl.DataFrame(rows, schema=schema))
    columns = {name: [row[name] for row in rows] for name in VALUES}
    np.testing.assert_array_equal(compile_columns(model.cleaning, model.encoding)(columns), table)
    one = compile_row(model.cleaning, model.encoding)
    np.testing.assert_array_equal(np.concatenate([one(dict(row)) for row in rows]), table)


def test_an_edited_mapping_is_carried_out(data, proposed):
    edited = json.loads(json.dumps(proposed.to_dict()))
    edited["columns"] = [plan for plan in edited["columns"] if plan["column"] in {"price", "gift"}]
    model = tm.train(lambda p: LogisticRegression(), {}, data, recipe=edited, baselines=False)
    assert model.signature.inputs.names == ("price", "gift")
    assert model.metadata["recipe"] == edited


def test_free_text_is_served_without_a_warning(model, data):
    predictor = Predictor(tm.package(model, data.validation))
    row = {**predictor.example(), "note": "never seen words, and broken"}
    told = predictor.predict(row)
    assert "warnings" not in told or not any("note" in warning for warning in told["warnings"])
    assert told["probability"] > predictor.predict({**row, "note": "good quick box"})["probability"]


def test_columns_of_the_test_part_are_not_read(data):
    poisoned = tm.Splits(data.train, data.validation, data.test.select("returned"), data.spec)
    assert tm.recipe(poisoned) == tm.recipe(data)


def test_many_classes_have_no_mean(data):
    asked = tm.recipe(data.train, "size", task="multiclass")
    assert {plan.column: plan.use for plan in asked.columns}["city"] == "frequency"


def test_what_is_no_recipe_is_said(data, proposed):
    with pytest.raises(SchemaError, match="no such column: 'colour'"):
        proposed.with_use("colour", "number")
    with pytest.raises(ConfigError, match="no such use of a column: 'magic'"):
        proposed.with_use("price", "magic")
    with pytest.raises(ConfigError, match="no recipe"):
        Recipe.from_dict({"columns": [{"name": "x"}]})
    with pytest.raises(ConfigError, match="needs the column to predict"):
        tm.recipe(data.train)
    with pytest.raises(UsageError, match="this is no recipe"):
        tm.train(lambda p: LogisticRegression(), {}, data, recipe=["price"])
    with pytest.raises(UsageError, match="the recipe is for another target"):
        tm.train(lambda p: LogisticRegression(), {}, data, recipe=tm.recipe(data.train, "gift"))
