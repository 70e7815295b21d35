"""A file that is answered by whole columns must be answered, and logged, as its rows are one by one."""

from __future__ import annotations

import io
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from flat_answers import told_answers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_models import build
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from task_cases import case

import tidemill as tm
from tidemill.core.model import Signature
from tidemill.core.schema import TableSchema
from tidemill.data.contract import Check, ColumnRule, TableContract
from tidemill.packaging.validator import Policy, Problem
from tidemill.serving.predictor import Answer, Predictor
from tidemill.serving.scoring.judged import Judged
from tidemill.serving.scoring.scorer import Scorer
from tidemill.serving.tables import answer_chunk, read_chunks

CONTRACT = TableContract(
    "flights",
    (ColumnRule("distance", "number", minimum=80, maximum=5000, severity="fail"),),
    checks=(Check("no Antarctic heat", "temp < 60 OR distance < 100"), Check("cold", "temp > -60", "warn")),
)
VALUES: dict[str, list[tuple[list[Any], Any]]] = {
    "carrier": [
        ([None, "UA", "AA", "Ü1", "never seen", "x; y", '"'], pl.String), ([None, "UA", "B6"], pl.Categorical),
        ([1], pl.Int64), ([["UA"], None], pl.List(pl.String)), ([b"UA", None], pl.Binary), ([1.0, 2.5], pl.Float32),
    ],
    "distance": [
        ([None, 80, 500, 6000, -1, 2**53 + 1], pl.Int64), ([None, 500.0, 2.5, 1e6, math.nan, math.inf], pl.Float64),
        (["500", " 700", "1_000", "far", "6e3", None], pl.String), ([2**63, 500], pl.UInt64),
        ([[500]], pl.List(pl.Int64)), ([{"km": 3}, None], pl.Struct({"km": pl.Int64})),
        ([Decimal("500.00"), Decimal("2.50"), None], pl.Decimal(10, 2)),
    ],
    "temp": [
        ([None, math.nan, 15.5, 20.0, -300.0, 70.0, math.inf], pl.Float64), ([15, -70, 70, None], pl.Int16),
        (["15.5", "warm", "nan", None], pl.String), ([None], pl.Null), ([Decimal("15.50"), None], pl.Decimal(10, 2)),
        ([timedelta(seconds=3), None], pl.Duration("us")), ([0.1, math.inf, None], pl.Float32),
        ([True, None], pl.Boolean),
    ],
    "heavy": [([None, 1, 0, 2], pl.Int8), ([True, False, None], pl.Boolean), (["true", "0", "maybe", None], pl.String),
              ([1.0, math.nan, 0.5], pl.Float64), ([[True]], pl.List(pl.Boolean)), ([time(5), None], pl.Time)],
    "sched_dep": [
        ([None, datetime(2013, 5, 5, 5), datetime(2013, 12, 5)], pl.Datetime("ms")),
        ([date(2013, 5, 5), None], pl.Date),
        ([datetime(2013, 5, 5, 5), None], pl.Datetime("us", "America/New_York")), ([1_367_000_000, None], pl.Int64),
        ([datetime(2013, 5, 5, 5), None], pl.Datetime("ns")), ([time(5), None], pl.Time),
        (["2013-05-05T05:00:00Z", "2013-05-05", "2013-05-05T05:00:00+02:00", "soon", None], pl.String),
    ],
}  # fmt: skip


def linear(params: dict[str, Any]) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(**params))


@pytest.fixture(scope="module")
def predictors(table: pl.DataFrame, packaged: tm.Package) -> dict[str, Predictor]:
    features = ["carrier", "distance", "temp", "heavy", "sched_dep"]
    ruled = tm.split(table, tm.by_share(), "late", features=features)
    whole = tm.split(table.drop_nulls(), tm.by_share(), "late", features=features)
    few = {"n_estimators": 5}
    return {
        "plain": Predictor(packaged),
        "strict": Predictor(packaged, policy=Policy("reject", "ignore", quarantined="warn")),
        "ruled": Predictor(tm.package(tm.train(build, few, ruled, name="d", contract=CONTRACT, baselines=False))),
        "without holes": Predictor(tm.package(tm.train(linear, {}, whole, name="l", baselines=False))),
    }


def same(found: Answer, expected: Answer) -> None:
    """Both told the same, and both are logged the same."""
    assert found.predictions == expected.predictions
    assert found.scores == expected.scores
    assert (found.problems, found.failures) == (sorted(expected.problems, key=lambda one: one.row), expected.failures)
    values = [None if row is None else tuple(row) for row in expected.values]
    assert found.values == values
    assert orjson.dumps(found.values) == orjson.dumps(values)


@pytest.mark.parametrize("which", ["plain", "strict", "ruled", "without holes"])
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_a_table_is_answered_and_logged_as_its_rows_are(
    predictors: dict[str, Predictor], which: str, data: st.DataObject
) -> None:
    predictor, height = predictors[which], data.draw(st.integers(1, 30))
    columns = {}
    for name in data.draw(st.permutations(sorted(VALUES))):
        values, kind = data.draw(st.sampled_from(VALUES[name]))
        cells = data.draw(st.lists(st.sampled_from(values), min_size=height, max_size=height))
        columns[name] = pl.Series(cells, dtype=kind)
    for name in data.draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=2)):
        del columns[name]
    frame = pl.DataFrame(columns)
    expected = predictor.answer(frame.to_dicts())
    judged = Scorer(predictor).judge(frame)
    same(judged.answer(predictor.decide), expected)
    written, wanted = judged.file(predictor.signature), told_answers(expected.predictions)
    assert set(written.columns) == set(wanted.columns)
    assert written.select(wanted.columns).rows() == wanted.rows()


@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_a_file_of_text_is_answered_as_its_cells_are(predictors: dict[str, Predictor], data: st.DataObject) -> None:
    predictor, height = predictors["ruled"], data.draw(st.integers(1, 20))
    cells = {
        name: data.draw(
            st.lists(st.sampled_from([v for values, _ in kinds for v in values]), min_size=height, max_size=height)
        )
        for name, kinds in VALUES.items()
    }
    frame = pl.DataFrame({name: pl.Series(map(_text, column), dtype=pl.String) for name, column in cells.items()})
    out = io.BytesIO()
    frame.write_csv(out)
    (chunk,) = read_chunks("csv", out.getvalue(), predictor.signature)
    expected = predictor.answer([_read(row) for row in frame.to_dicts()])
    same(answer_chunk(predictor, chunk), expected)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _read(row: dict[str, str | None]) -> dict[str, Any]:
    """A row of a CSV file, as plainly as can be."""
    flags = {"true": True, "false": False, "1": True, "0": False}

    def number(text: str, kind: Any) -> Any:
        try:
            return kind(text)
        except ValueError:
            return text if kind is float else number(text, float)

    read: dict[str, Any] = dict(row)
    for name, text in row.items():
        if text is not None and name in ("distance", "temp"):
            read[name] = number(text, int if name == "distance" else float)
        elif text is not None and name == "heavy":
            read[name] = flags.get(text.strip().lower(), text)
    return read


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "quantile", "anomaly"])
def test_every_kind_of_answer_is_told_by_columns_as_by_rows(task: str) -> None:
    one = case(task)
    package = tm.package(tm.train(one.build, {}, one.data, name="m", baselines=False, **one.options))
    predictor = Predictor(package)
    frame = one.data.validation.head(300).select(predictor.columns)
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    first = predictor.columns[0]
    frame = frame.with_columns(pl.when(pl.int_range(pl.len()) % 7 > 0).then(first).cast(frame.schema[first]))
    expected = predictor.answer(frame.to_dicts())
    judged = Scorer(predictor).judge(frame)
    same(judged.answer(predictor.decide), expected)
    wanted = told_answers(expected.predictions)
    assert judged.file(predictor.signature).select(wanted.columns).rows() == wanted.rows()


def test_a_warning_is_not_written_over_an_answer_that_is_called_so(table: pl.DataFrame) -> None:
    named = table.rename({"late": "warnings"})
    data = tm.split(named, tm.by_share(), "warnings", features=["distance", "temp"])
    predictor = Predictor(tm.package(tm.train(build, {"n_estimators": 5}, data, name="w", baselines=False)))
    frame = pl.DataFrame({"distance": [500, 99_999], "temp": [10.0, 10.0]})
    answered = predictor.answer(frame.to_dicts())
    assert [type(told["warnings"]) for told in answered.predictions] == [bool, bool]
    judged = Scorer(predictor).judge(frame)
    same(judged.answer(predictor.decide), answered)
    assert judged.file(predictor.signature)["warnings"].dtype == pl.Boolean
    by_rows = Judged.of([answered], "warnings")
    assert (
        by_rows.file(predictor.signature)["warnings"].to_list()
        == judged.file(predictor.signature)["warnings"].to_list()
    )
    assert "outside" in judged.table(predictor.signature)["warnings"][1]


def test_an_engine_that_fails_on_some_rows_answers_the_others(packaged: tm.Package, table: pl.DataFrame) -> None:
    predictor = Predictor(packaged)
    engine = predictor._engines[predictor._online]

    def fragile(matrix: Any) -> Any:
        if (matrix[:, 1] == 4242).any():
            raise RuntimeError("no")
        scores = np.array(engine(matrix))
        scores[matrix[:, 1] == 4343] = math.nan
        return scores

    predictor._engines = dict.fromkeys(("onnx", "native"), fragile)
    places = pl.int_range(pl.len())
    frame = table.head(50).drop("late")
    for odd in ({7: 4343}, {7: 4343, 9: 4242}):
        for place, value in odd.items():
            frame = frame.with_columns(distance=pl.when(places == place).then(value).otherwise("distance"))
        judged = Scorer(predictor).judge(frame)
        assert [problem.row for problem in judged.problems] == list(odd)
        assert judged.failures == len(odd)
        same(judged.answer(predictor.decide), predictor.answer(frame.to_dicts()))


def test_rows_that_are_completed_with_features_are_answered_row_by_row(
    packaged: tm.Package, table: pl.DataFrame
) -> None:
    class Temperatures:
        def complete(self, rows: Any) -> Any:
            return [{"temp": 40.0, **row} for row in rows], [""] * len(rows)

    predictor = Predictor(packaged, features=Temperatures())
    frame = table.head(20).drop("late", "temp")
    judged = Scorer(predictor).judge(frame)
    same(judged.answer(predictor.decide), predictor.answer(frame.to_dicts()))
    assert judged.scores.tolist() != Scorer(Predictor(packaged)).judge(frame).scores.tolist()


def test_a_table_and_a_file_tell_all_that_is_wrong_with_a_row() -> None:
    problem = Problem(0, "x", "3", "it takes text", "text", (Problem(0, "z", "'a'", "it takes a number", "float64"),))
    judged = Judged(1, np.array([], dtype=np.intp), np.empty(0), [problem])
    signature = Signature(TableSchema(()), "regression", "y")
    (told,) = judged.table(signature)["error"]
    assert told == "it takes text (got 3; allowed: text), and it takes a number (got 'a'; allowed: float64)"
    (row,) = judged.file(signature, 10).to_dicts()
    assert (row["error.row"], row["error.column"]) == (10, "x")
    assert row["error.error"] == "it takes text; it takes a number"


def test_parts_that_were_answered_by_rows_count_on() -> None:
    """An error names the row of the table, not of the ten thousand that were looked at together."""
    refused = Answer([{"error": {}}], [None], [None], [Problem(0, "x", "3", "it takes text")])
    judged = Judged.of([Answer([{"y": 1.0}], [{"x": 1}], [1.0]), refused, refused], "y")
    assert ([problem.row for problem in judged.problems], judged.places.tolist()) == ([1, 2], [0])
