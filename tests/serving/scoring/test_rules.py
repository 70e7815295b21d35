"""A contract's rules by whole columns: a row that breaks one is never taken for one that keeps it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from flat_answers import flat_answers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from row_conditions import CONDITION, ROW, SCHEMA
from sample_models import build

import tidemill as tm
from tidemill.core.errors import ConfigError
from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.data.contract import Check, ColumnRule, TableContract
from tidemill.data.row_programs import row_program
from tidemill.packaging.contract_checks import compile_contract
from tidemill.packaging.validator import Problem, compile_validator
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring.columns import check_columns
from tidemill.serving.scoring.rules import compile_rules
from tidemill.serving.scoring.scorer import Scorer

TYPES = {
    "tiny": "int8", "whole": "int64", "byte": "uint8", "x": "float64", "y": "float64", "single": "float32",
    "flag": "bool", "text": "string", "day": "date", "at": "timestamp[us]",
}  # fmt: skip
INPUTS = TableSchema(tuple(Column(name, kind) for name, kind in TYPES.items()))


def contract_of(condition: str, severity: str = "fail") -> dict[str, Any]:
    program = json.loads(json.dumps(row_program(pl.sql_expr(condition), SCHEMA)))
    used = [name for name in SCHEMA if name in pl.sql_expr(condition).meta.root_names()]
    return {"name": "c", "checks": [{"rule": condition, "columns": used, "severity": severity, "program": program}]}


@settings(max_examples=300, deadline=None)
@given(CONDITION, st.lists(ROW, min_size=1, max_size=6))
@example("0 < 0", [dict.fromkeys(SCHEMA)] * 2)  # no column at all
def test_a_row_is_suspicious_if_the_row_validator_finds_a_broken_rule(condition: str, rows: list[Any]) -> None:
    try:
        contract = contract_of(condition)
    except ConfigError:  # what has no program says so when the model is made
        return
    suspicious = compile_rules(contract, INPUTS)
    if suspicious is None:
        assert "%" in condition or "byte" in condition
        return
    frame = pl.DataFrame({name: pl.Series([row[name] for row in rows], dtype=SCHEMA[name]) for name in SCHEMA})
    checked = check_columns(Signature(INPUTS, "regression", "y"), frame)
    found, broken = suspicious(frame, checked.columns), compile_contract(contract, INPUTS)
    validate = compile_validator(Signature(INPUTS, "regression", "y"))
    assert broken is not None
    for place, row in enumerate(frame.to_dicts()):
        if checked.clean[place]:
            typed = validate(row, place, [])
            assert not isinstance(typed, Problem)
            if (row["text"] or "").isascii():
                assert bool(broken(row, typed)) == found[place], row
            else:
                assert found[place] or not broken(row, typed), row


NIGHT, EAST = datetime(2013, 1, 1, 23, 30), pl.Datetime("us", "Asia/Tokyo")
LATER = [NIGHT.replace(microsecond=900), NIGHT.replace(microsecond=1900), datetime(1960, 1, 1, 0, 0, 0, 1900)]
KEPT: list[tuple[str, str, dict[str, Any], str, list[Any], Any]] = [
    ("whole numbers kept as categories", "int64", {"semantic": "category"}, "c > 5", [7, 3, None], pl.Int8),
    ("the same, sent as text", "int64", {"semantic": "category"}, "c > 5", ["7", "3", "many", None], pl.String),
    ("numbers kept as categories", "float64", {"semantic": "category"}, "c > 5", [7.0, 3.0, math.nan, None], None),
    ("flags kept as categories", "bool", {"semantic": "category"}, "c", [True, False, None], pl.Boolean),
    ("the same, sent as text", "bool", {"semantic": "category"}, "c", ["TRUE", "no", "false"], pl.String),
    ("days", "date", {}, "c > DATE '2013-01-01'", [NIGHT, None], pl.Datetime("us")),
    ("days of a zone", "date", {}, "c > DATE '2013-01-01'", [NIGHT.replace(tzinfo=UTC)], EAST),
    ("moments of a zone", "timestamp[us, UTC]", {}, f"c > TIMESTAMP '{NIGHT}'", [NIGHT.replace(tzinfo=UTC)], EAST),
    ("moments cut to milliseconds", "timestamp[ms]", {}, f"c <= TIMESTAMP '{NIGHT}'", LATER, pl.Datetime("us")),
    ("numbers that are missing", "float64", {}, "c IS NULL", [math.nan, None, 1.0], None),
    ("numbers of single precision", "float32", {}, "c = 0.1", [0.1, 0.2], pl.Float32),
    ("numbers out of range", "int8", {"minimum": 0, "maximum": 9}, "c > 5", [12, 3, -1], pl.Int64),
]  # fmt: skip


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case[0])
def test_a_value_is_judged_as_the_training_table_would_hold_it(case: Any) -> None:
    _, kind, more, condition, values, held = case
    column, frame = Column("c", kind, **more), pl.DataFrame({"c": pl.Series(values, dtype=held)})
    schema = {
        "int": pl.Int64(),
        "float32": pl.Float32(),
        "float": pl.Float64(),
        "bool": pl.Boolean(),
        "date": pl.Date(),
    }
    dtype = next((dtype for name, dtype in schema.items() if kind.startswith(name)), pl.Datetime("us"))
    program = row_program(pl.sql_expr(condition), {"c": dtype})
    contract = {"checks": [{"rule": condition, "columns": ["c"], "severity": "fail", "program": program}]}
    inputs = TableSchema((column,))
    signature, broken = Signature(inputs, "regression", "y"), compile_contract(contract, inputs)
    checked, suspicious = check_columns(signature, frame), compile_rules(contract, inputs)
    assert suspicious is not None
    assert broken is not None
    found, validate = suspicious(frame, checked.columns), compile_validator(signature)
    for place, row in enumerate(frame.to_dicts()):
        typed = validate(row, place, [])
        assert isinstance(typed, Problem) or found[place] or not broken(row, typed), row


CONTRACT = TableContract(
    "flights",
    (ColumnRule("distance", "number", minimum=80, maximum=5000, severity="fail"),),
    checks=(Check("no Antarctic heat", "temp < 60 OR distance < 100"), Check("cold", "temp > -60", "warn")),
)


@pytest.fixture(scope="module")
def package(table: pl.DataFrame) -> tm.Package:
    data = tm.split(table, tm.by_share(), "late")
    return tm.package(tm.train(build, {"n_estimators": 5}, data, name="delay", contract=CONTRACT, baselines=False))


def test_a_table_of_a_model_with_a_contract_is_answered_as_its_rows_are(
    package: tm.Package, table: pl.DataFrame
) -> None:
    scorer = Scorer(Predictor(package))
    frame = (
        table.select(scorer.signature.inputs.names)
        .head(60)
        .with_columns(
            pl.Series("distance", [6000, 90, 500] * 20).cast(table.schema["distance"]),
            pl.Series("temp", [70.0, 10.0, -70.0, None, math.nan, 70.0] * 10),
        )
    )
    told = flat_answers(scorer.signature, Predictor(package).predict(frame.to_dicts()))
    found = scorer.score(frame)
    assert 0 < told["error"].null_count() < 60
    assert told["warnings"].null_count() < 60
    assert found.drop("probability").equals(told.drop("probability"))


def test_only_rows_that_may_break_a_rule_go_row_by_row(package: tm.Package, table: pl.DataFrame) -> None:
    scorer = Scorer(Predictor(package))
    asked: list[int] = []
    validate = scorer.predictor.validate
    scorer.predictor.validate = lambda row, place, words: asked.append(place) or validate(row, place, words)  # type: ignore[func-returns-value]
    frame = table.select(scorer.signature.inputs.names).with_columns(
        distance=pl.when(pl.int_range(pl.len()) < 3).then(6000).otherwise(500).cast(table.schema["distance"]),
        temp=pl.lit(10.0),
    )
    assert scorer.score(frame)["error"].null_count() == frame.height - 3
    assert asked == [0, 1, 2]


def test_letters_that_one_edition_of_unicode_lacks_are_judged_by_the_row_validator() -> None:
    suspicious = compile_rules(contract_of(r"REGEXP_LIKE(text, '^\w+$')"), INPUTS)
    assert suspicious is not None
    frame = pl.DataFrame({"text": ["a b", "\U00031350", "\u00e9 e"]})
    assert suspicious(frame, frame).tolist() == [False, True, True]


def test_a_rule_that_no_expression_says_leaves_the_rows_to_the_row_validator() -> None:
    assert compile_rules(contract_of("whole % 2 = 1"), INPUTS) is None
