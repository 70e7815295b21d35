"""A contract that is checked on the table and forgotten at serving protects the past and not the answers."""

from __future__ import annotations

import json
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.errors import ConfigError, ContractError, InvalidRequestError
from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.data.contract import Check, ColumnRule, Distribution, ForeignKey, Freshness, Monotone, TableContract
from tidemill.data.expressions import expression_check
from tidemill.data.request_contract import request_contract
from tidemill.packaging import Policy
from tidemill.packaging.validator import Problem, compile_validator
from tidemill.serving.predictor import Predictor
from tidemill.serving.tables import answer_chunk, read_chunks

SIGNATURE = Signature(
    TableSchema((
        Column("wind", "float64"), Column("gust", "float64"), Column("hour", "int8"), Column("origin", "string"),
        Column("calm", "bool"),
    )),
    "regression", "delay",
)  # fmt: skip
SCHEMA = {"wind": pl.Float64, "gust": pl.Float64, "hour": pl.Int8, "origin": pl.String, "calm": pl.Boolean}
ROW = st.fixed_dictionaries({
    "wind": st.none() | st.sampled_from([-1.0, 0.0, 10.4, 200.0, 1048.4, math.nan]),
    "gust": st.none() | st.floats(-10, 300),
    "hour": st.none() | st.integers(-3, 30),
    "origin": st.none() | st.sampled_from(["EWR", "JFK", "jfk", "", "N1", "N1\n"]),
    "calm": st.none() | st.booleans(),
})  # fmt: skip
SEVERITY = st.sampled_from(["warn", "quarantine", "fail"])
COLUMNS = st.tuples(
    st.builds(
        ColumnRule, st.sampled_from(["wind", "gust"]), st.sampled_from([None, "number", "float64"]),
        nullable=st.booleans(), minimum=st.none() | st.integers(-5, 20) | st.floats(-5, 20),
        maximum=st.none() | st.integers(5, 300) | st.floats(5, 300),
        values=st.none() | st.just((0, 10.4, 200)), severity=SEVERITY,
    ),
    st.builds(
        ColumnRule, st.just("hour"), nullable=st.booleans(), minimum=st.none() | st.integers(-500, 12),
        maximum=st.none() | st.floats(0, 30) | st.just(400), values=st.none() | st.just((0, 1.0, 12, 300)),
        severity=SEVERITY,
    ),
    st.builds(
        ColumnRule, st.just("origin"), nullable=st.booleans(), values=st.none() | st.just(("EWR", "JFK")),
        pattern=st.none() | st.sampled_from(["[A-Z]{3}", r"\w+", "N[0-9]|", "JFK$"]), severity=SEVERITY,
    ),
)  # fmt: skip
CHECKS = st.lists(
    st.sampled_from([
        Check("gusts are stronger", "gust >= wind"), Check("by day", "hour BETWEEN 5 AND 23", "fail"),
        Check("calm is calm", "NOT calm OR wind < 5", "warn"), Check("wind", "wind * 2 > 3.5"),
        expression_check("not at night", lambda: (pl.col("hour") > 4) | (pl.col("origin") == "JFK")),
    ]), unique=True, max_size=3,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(COLUMNS, CHECKS, st.lists(ROW, min_size=1, max_size=4))
def test_a_row_gets_the_verdict_at_serving_that_it_gets_in_its_table(columns, checks, rows):
    contract = TableContract("weather", columns, checks=tuple(checks), min_rows=0, max_quarantined=1.0)
    table = pl.DataFrame(rows, schema=SCHEMA)
    asked = json.loads(json.dumps(request_contract(contract, table, table.columns, strict=False)))
    assert not asked["not_enforced"]
    validate = compile_validator(SIGNATURE, Policy(out_of_range="ignore"), asked)
    for row in rows:
        report = tm.validate(pl.DataFrame([row], schema=SCHEMA), contract, fail=False).report
        broken = {item.rule: item.severity for item in report.outcomes if item.broken}
        warnings: list[str] = []
        answer = validate(row, 0, warnings)
        refusing = {rule for rule, severity in broken.items() if severity != "warn"}
        if refusing:
            assert isinstance(answer, Problem)
            assert all(repr(rule) in answer.error for rule in refusing)
        else:
            assert not isinstance(answer, Problem)
            assert [rule for rule in broken if repr(rule) in " ".join(warnings)] == list(broken)
            assert len(warnings) == len(broken)


CONTRACT = TableContract(
    "flights",
    (ColumnRule("distance", "number", minimum=80, maximum=5000, severity="fail"), ColumnRule("late", nullable=False)),
    (tm.Unique(("distance", "temp")),),
    (ForeignKey(("carrier",), "airlines", ("code",)),),
    (
        Check("no Antarctic heat", "temp < 60 OR distance < 100"),
        Check("cold", "temp > -60", "warn"),
        Check("late is known", "late IS NOT NULL AND temp IS NULL"),
    ),
    (Monotone("sched_dep"),),
    (Freshness("sched_dep", "2d"),),
    (Distribution("temp", {}),),
)


@pytest.fixture(scope="module")
def served(table):
    from sample_models import build

    data = tm.split(table, tm.by_share(), "late")
    model = tm.train(build, {"n_estimators": 5}, data, name="delay", contract=CONTRACT, baselines=False)
    return tm.package(model)


def test_the_contract_travels_in_the_model_and_refuses_with_the_name_of_the_rule(served):
    predictor = Predictor(served)
    row = dict(predictor.example())
    assert "warnings" not in predictor.predict(row)
    with pytest.raises(
        InvalidRequestError, match="the row breaks 'distance > 5000' of the contract 'flights': distance is 6000"
    ):
        predictor.predict(row | {"distance": 6000})
    with pytest.raises(InvalidRequestError, match="'no Antarctic heat'"):
        predictor.predict(row | {"distance": 200, "temp": 70.0})
    warned = predictor.predict(row | {"temp": -70.0})
    assert any("'cold' of the contract 'flights'" in sentence for sentence in warned["warnings"])
    many = predictor.predict([row, row | {"distance": 6000}, row])
    assert ["error" in answer for answer in many] == [False, True, False]
    assert many[1]["error"]["column"] == "distance"
    kind = Predictor(served, policy=Policy(quarantined="warn")).predict(row | {"distance": 200, "temp": 70.0})
    assert any("'no Antarctic heat'" in sentence for sentence in kind["warnings"])


def test_what_a_single_row_cannot_keep_is_listed_with_the_reason(served):
    reasons = {entry["rule"]: entry["reason"] for entry in served.contract["not_enforced"]}
    assert reasons == {
        "column late": "no input of the model: late",
        "late is known": "no input of the model: late",
        "unique (distance, temp)": "it needs the other rows",
        "monotone (sched_dep)": "it needs the other rows",
        "foreign_keys (carrier)": "it needs another table",
        "freshness (sched_dep)": "it concerns the table as a whole",
        "distributions (temp)": "it concerns the table as a whole",
    }
    assert served.contract["name"] == "flights"
    assert len(served.contract["digest"]) == 64


def test_the_contract_survives_the_folder_and_counts_in_its_digest(served, tmp_path):
    from tidemill.packaging import open_folder
    from tidemill.packaging.package import model_of

    again = open_folder(served.write(tmp_path / "model"), digest=served.digest)
    assert again.contract == served.contract
    assert model_of(again).contract == served.contract
    with pytest.raises(InvalidRequestError, match="distance > 5000"):
        Predictor(again).predict(dict(again.manifest["example"]) | {"distance": 6000})


def test_a_rule_that_rows_cannot_be_checked_for_is_an_error_and_only_a_warning_is_listed():
    rows = pl.DataFrame({"x": [1.0, 2.0]})
    average = expression_check("near the average", pl.col("x") < 2 * pl.col("x").mean())
    with pytest.raises(ConfigError, match="'near the average' of the contract cannot be checked on single requests"):
        request_contract(TableContract("t", checks=(average,)), rows, ["x"])
    gentle = expression_check("near the average", pl.col("x") < 2 * pl.col("x").mean(), "warn")
    made = request_contract(TableContract("t", checks=(gentle,)), rows, ["x"])
    assert made["checks"] == []
    assert made["not_enforced"][0]["rule"] == "near the average"


def test_a_model_that_would_refuse_its_own_training_rows_is_not_made():
    rows = pl.DataFrame({"x": [1.0, 200.0, 300.0]})
    with pytest.raises(ContractError, match=r"of 3 training rows, 'x > 100' in 2 break the contract 't'"):
        request_contract(TableContract("t", (ColumnRule("x", maximum=100),)), rows, ["x"])
    with pytest.raises(ContractError, match="column 'x' is float64 instead of string"):
        request_contract(TableContract("t", (ColumnRule("x", "string"),)), rows, ["x"])


def test_a_validated_table_takes_its_contract_through_cleaning_and_the_split_into_the_model():
    from sample_models import build, flights

    from tidemill.data.operations import CleaningPlan, Clip, Derive

    contract = TableContract(
        "flights",
        (ColumnRule("distance", maximum=5000), ColumnRule("temp", maximum=60), ColumnRule("heavy", nullable=False)),
    )
    checked = tm.validate(flights(), contract)
    cleaned = tm.clean(checked, CleaningPlan((Clip("temp", 0, 20), Derive("far", "distance > 1000"))))
    data = tm.split(cleaned, tm.by_share(), "late")
    model = tm.train(build, {"n_estimators": 5}, data, baselines=False)
    assert [check["rule"] for check in model.contract["checks"]] == ["distance > 5000", "heavy is missing"]
    assert model.contract["not_enforced"] == [
        {"rule": "column temp", "reason": "changed after the table was checked: temp"}
    ]


def test_a_category_that_its_column_could_not_hold_is_refused():
    inputs = TableSchema((Column("month", "int8", "category", categories=("1", "2")),))
    rows = pl.DataFrame({"month": [1, 2]}, schema={"month": pl.Int8})
    asked = request_contract(TableContract("t", (ColumnRule("month", maximum=12),)), rows, ["month"])
    validate = compile_validator(Signature(inputs, "binary", "late", ("no", "yes")), contract=asked)
    assert validate({"month": 3}, 0, []) == {"month": "3"}
    for month in (13, "snow"):
        assert isinstance(validate({"month": month}, 0, []), Problem)


def test_the_server_says_what_it_asks(served) -> None:
    import asyncio

    from tidemill.serving.endpoint import Endpoint
    from tidemill.serving.repository import Repository
    from tidemill.serving.rest.app import App

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = App(Repository.of(Endpoint.of(Predictor(served), None)))
    asyncio.run(app({"type": "http", "path": "/v1/models/delay", "method": "GET", "headers": []}, None, send))
    described = json.loads(sent[-1]["body"])
    assert described["contract"]["rules"]["distance > 5000"] == "fail"
    assert described["contract"]["not_enforced"]


def test_a_moment_that_utc_does_not_have_spoils_its_own_row_only(table):
    """One such cell in a file would cost every row its answer."""
    from sample_models import build

    contract = TableContract("flights", (ColumnRule("sched_dep", minimum="2000-01-01T00:00:00Z"),))
    inputs = [name for name in table.columns if name != "late"]
    data = tm.split(table, tm.by_share(), "late", features=inputs)
    model = tm.train(build, {"n_estimators": 5}, data, name="delay", contract=contract, baselines=False)
    predictor = Predictor(tm.package(model))
    row = dict(predictor.example())
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"):
        beyond = row | {"sched_dep": moment}
        with pytest.raises(InvalidRequestError, match=r"the type of sched_dep.*in the years 1 to 9999 in UTC"):
            predictor.predict(beyond)
        rows = [row, beyond, row]
        for told in (predictor.predict(rows), answered_file(predictor, rows)):
            assert ["error" in one for one in told] == [False, True, False]
            assert told[1]["error"]["column"] == "sched_dep"


def answered_file(predictor, rows):
    """The answers to a CSV file."""
    frame = pl.DataFrame([{name: None if cell is None else str(cell) for name, cell in row.items()} for row in rows])
    (chunk,) = read_chunks("csv", frame.write_csv().encode(), predictor.signature)
    return answer_chunk(predictor, chunk).predictions
