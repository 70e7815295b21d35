"""The answer of the server must be the answer of the model that was evaluated, for every row that can be sent."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from tidemill.core.errors import InvalidRequestError, ModelError, UsageError
from tidemill.core.model import Model
from tidemill.data.operations import FillLearned, MergeRare
from tidemill.data.split import by_share, split
from tidemill.evaluation.assessment import evaluate
from tidemill.packaging.build import package
from tidemill.packaging.package import Package
from tidemill.packaging.validator import Policy
from tidemill.serving.predictor import BATCH_ROWS, Predictor, open_predictor
from tidemill.training.fitting import train
from tidemill.training.prediction import encoded, predict

ROWS = st.fixed_dictionaries(
    {
        "carrier": st.none() | st.sampled_from(["UA", "AA", "B6", "Ü1"]) | st.text(max_size=4),
        "distance": st.integers(-(2**63), 2**63 - 1) | st.integers(80, 4983),
        "temp": st.none() | st.floats(-30, 50) | st.floats(width=32, allow_nan=False, allow_infinity=False),
        "heavy": st.booleans(),
        "sched_dep": st.datetimes(datetime(1980, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)),
    }
)
TYPES = {
    "carrier": pl.String, "distance": pl.Int64, "temp": pl.Float64, "heavy": pl.Boolean,
    "sched_dep": pl.Datetime("us", "UTC"),
}  # fmt: skip


@pytest.fixture(scope="session")
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged, version=3, alias="champion")


def late_of(prediction: dict[str, Any]) -> float:
    return prediction["probability"]


@given(rows=st.lists(ROWS, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_answered_as_the_trained_model_would(
    predictor: Predictor, model: Model, rows: list[dict[str, Any]]
) -> None:
    answers = predictor.predict(rows)
    expected = predict(model, pl.DataFrame(rows, schema=TYPES))
    for answer, row, native in zip(answers, rows, expected, strict=True):
        assert abs(late_of(answer) - native) < 1e-6
        assert answer["late"] == (late_of(answer) >= model.signature.threshold)
        assert predictor.predict(row) == answer


def test_large_batches_are_answered_alike(packaged: Package, model: Model, table: pl.DataFrame) -> None:
    rows = table.drop("late").to_dicts()
    expected = predict(model, table)
    for engine in ("onnx", "native", None):
        answers = Predictor(packaged, engine=engine).predict(rows)  # type: ignore[arg-type]
        assert len(rows) > BATCH_ROWS
        assert np.abs(np.array([late_of(answer) for answer in answers]) - expected).max() < 1e-6


def test_learned_repairs_are_replayed(table: pl.DataFrame) -> None:
    data = split(table, by_share(), "late", features=["carrier", "distance", "temp", "heavy", "sched_dep"])
    repairs = (FillLearned("temp", indicator=True), MergeRare("carrier", 0.3))
    model = train(make_forest, {}, data, name="repaired", cleaning=repairs, baselines=False)
    found = Predictor(package(model, table))
    rows = table.drop("late").head(400).to_dicts()
    expected = predict(model, table.head(400))
    assert np.abs(np.array([late_of(answer) for answer in found.predict(rows)]) - expected).max() < 1e-6
    assert [late_of(found.predict(row)) for row in rows[:20]] == [
        late_of(answer) for answer in found.predict(rows[:20])
    ]


def make_forest(params: dict[str, Any]) -> RandomForestClassifier:
    return RandomForestClassifier(10, max_depth=5, random_state=0)


def test_what_is_served_can_be_measured_again_as_the_model_that_it_is(
    predictor: Predictor, model: Model, table: pl.DataFrame
) -> None:
    again = predictor.trained()
    assert (again.name, again.signature) == (model.name, model.signature)
    np.testing.assert_array_equal(predict(again, table), predict(model, table))
    assert evaluate(again, table, against=model, bootstrap=20, importance=False).comparisons[-1].difference.value == 0


def test_good_rows_of_a_batch_are_answered_and_bad_ones_named(predictor: Predictor) -> None:
    good = predictor.example()
    out = predictor.predict([good, {**good, "distance": "far"}, good, {}])
    assert [("late" in answer) for answer in out] == [True, False, True, False]
    assert out[1]["error"]["row"] == 1
    assert out[1]["error"]["column"] == "distance"
    assert out[1]["error"]["value"] == "'far'"
    assert out[0] == out[2] == predictor.predict(good)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=20), bad=st.sets(st.integers(0, 59), max_size=5))
def test_rows_get_together_what_each_gets_alone(
    predictor: Predictor, rows: list[dict[str, Any]], bad: set[int]
) -> None:
    rows = [{**rows[place % len(rows)], **({"distance": "far"} if place in bad else {})} for place in range(60)]
    together = predictor.answer(rows)
    singly = [predictor.answer([row]) for row in rows]
    assert [told if "error" not in told else None for told in together.predictions] == [
        told if "error" not in told else None for told in (one.predictions[0] for one in singly)
    ]
    assert [None if row is None else [*row] for row in together.values] == [one.values[0] for one in singly]
    assert together.scores == [one.scores[0] for one in singly]
    expected = [(place, one.problems[0].error) for place, one in enumerate(singly) if one.problems]
    assert [(problem.row, problem.error) for problem in together.problems] == expected


def test_a_single_bad_row_raises(predictor: Predictor) -> None:
    with pytest.raises(InvalidRequestError, match="'distance' takes a whole number"):
        predictor.predict({**predictor.example(), "distance": 1.5})


def test_an_unseen_category_is_answered_with_a_warning_or_refused(packaged: Package, predictor: Predictor) -> None:
    row = {**predictor.example(), "carrier": "☃"}
    assert "not seen in training" in predictor.predict(row)["warnings"][0]
    strict = Predictor(packaged, policy=Policy(unseen_category="reject"))
    with pytest.raises(InvalidRequestError):
        strict.predict(row)


def test_a_model_that_takes_no_missing_values_refuses_the_row_and_names_the_column(
    model: Model, table: pl.DataFrame
) -> None:
    estimator = LogisticRegression(max_iter=2000).fit(np.nan_to_num(encoded(model, table)), table["late"].to_numpy())
    found = Predictor(package(replace(model, estimator=estimator, framework="sklearn"), table))
    good = found.example()
    out = found.predict([good, {**good, "temp": None}, {**good, "carrier": "☃"}])
    assert "late" in out[0]
    assert [answer["error"]["column"] for answer in out[1:]] == ["temp", "carrier"]
    with pytest.raises(InvalidRequestError, match="temp"):
        found.predict({**good, "temp": None})


def test_a_row_on_which_the_engine_fails_does_not_take_the_others_along(packaged: Package) -> None:
    found = Predictor(packaged)
    engine = found._engines["onnx"]

    def failing(matrix: np.ndarray) -> np.ndarray:
        if (matrix[:, 1] == 666).any():
            raise RuntimeError("boom")
        return engine(matrix)

    found._engines["onnx"] = failing
    good = found.example()
    answer = found.answer([good, {**good, "distance": 666}, good])
    assert ["late" in prediction for prediction in answer.predictions] == [True, False, True]
    assert "boom" in answer.predictions[1]["error"]["error"]
    assert answer.failures == 1
    assert found.answer([{**good, "distance": 666}]).failures == 1


def test_an_answer_that_is_no_number_is_an_error_and_not_json_garbage(packaged: Package) -> None:
    found = Predictor(packaged)
    found._engines["onnx"] = lambda matrix: np.full(len(matrix), math.nan, dtype=np.float32)
    assert "error" in found.answer([found.example()]).predictions[0]
    assert all("error" in prediction for prediction in found.answer([found.example()] * 3).predictions)


def test_a_prediction_needs_numpy_and_onnxruntime_only(packaged: Package, tmp_path: Path) -> None:
    folder = packaged.write(tmp_path / "model")
    program = f"""
import sys
from tidemill.serving.predictor import open_predictor
predictor = open_predictor({str(folder)!r})
assert "late" in predictor.predict(predictor.example())
assert len(predictor.predict([predictor.example()] * 20)) == 20
unwanted = {{"polars", "pandas", "sklearn", "lightgbm", "scipy", "onnx", "pyarrow", "sqlalchemy", "orjson", "uvicorn"}}
heavy = sorted(sys.modules.keys() & unwanted)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_model_that_cannot_score_its_own_example_is_not_served(packaged: Package) -> None:
    files = dict(packaged.files)
    narrow = [entry for entry in packaged.manifest["encoding"] if entry["column"] != "temp"]
    with pytest.raises(ModelError, match="its own example"):
        Predictor(Package({**packaged.manifest, "encoding": narrow}, files))


def test_a_predictor_opens_from_a_folder(packaged: Package, tmp_path: Path, predictor: Predictor) -> None:
    found = open_predictor(packaged.write(tmp_path / "model"))
    assert found.predict(found.example()) == predictor.predict(predictor.example())


@pytest.mark.parametrize("kind", ["lazy", "to_arrow", "to_pandas"])
def test_a_table_is_answered_as_its_rows_are(predictor: Predictor, kind: str) -> None:
    rows = [{**predictor.example(), "temp": None}, {**predictor.example(), "distance": 100}]
    frame = pl.DataFrame(rows)
    answers = predictor.predict(rows)
    assert predictor.predict(frame) == answers
    assert predictor.predict(getattr(frame, kind)()) == answers


def test_what_is_neither_rows_nor_a_table_is_refused(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="not a table"):
        predictor.predict(np.zeros((2, 5)))  # type: ignore[call-overload]
