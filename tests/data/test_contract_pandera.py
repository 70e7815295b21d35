"""A team that has pandera schemas keeps them; a check that is lost on the way would guard nothing any more."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.core.errors import ConfigError, UsageError
from tidemill.data.contract import Check, ColumnRule, Unique
from tidemill.data.contract_pandera import contract_from_pandera
from tidemill.data.validate import validate

pa = pytest.importorskip("pandera.polars", reason="pandera is not installed: its schemas cannot be translated here")


def schema():
    return pa.DataFrameSchema(
        {
            "n": pa.Column(int, [pa.Check.ge(0), pa.Check.in_range(0, 10, include_max=False)], nullable=True),
            "k": pa.Column(str, [pa.Check.isin(["a", "b"]), pa.Check.str_length(1, 3)]),
            "tail": pa.Column(str, pa.Check.str_matches("N[0-9]+"), unique=True, required=False),
            "x": pa.Column(float, [pa.Check.gt(0), pa.Check.lt(5, raise_warning=True)]),
            "at": pa.Column(pl.Datetime, nullable=True),
        },
        strict=True,
        unique=["n", "k"],
        name="trips",
    )


def test_every_rule_is_translated():
    contract = contract_from_pandera(schema())
    assert contract.columns == (
        ColumnRule("n", "int64", minimum=0),
        ColumnRule("k", "string", nullable=False, values=("a", "b")),
        ColumnRule("tail", "string", required=False, nullable=False),
        ColumnRule("x", "float64", nullable=False),
        ColumnRule("at", "timestamp"),
    )
    assert contract.unique == (Unique(("tail",)), Unique(("n", "k")))
    assert contract.checks[0] == Check("n: in_range", '"n" >= 0 AND "n" < 10')
    assert [check.severity for check in contract.checks] == ["quarantine"] * 5 + ["warn"]
    assert (contract.name, contract.extra_columns) == ("trips", False)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, None), ({"n": -1}, "n < 0"), ({"n": 10}, "n: in_range"), ({"k": "c"}, "k not in its set"),
        ({"tail": "X1"}, "tail: str_matches"), ({"x": 0.0}, "x: greater_than"),
        ({"n": None}, None), ({"k": None}, "k is missing"),
    ],
)  # fmt: skip
def test_both_find_the_same_rows(change, broken):
    row = {"n": 1, "k": "a", "tail": "N1", "x": 2.0, "at": None} | change
    types = {"n": pl.Int64, "k": pl.String, "tail": pl.String, "x": pl.Float64, "at": pl.Datetime}
    table = pl.DataFrame([row], schema=types)
    contract = contract_from_pandera(schema())
    reasons = validate(table, contract, fail=False).report.broken if broken is None else None
    if broken is None:
        assert reasons == ()
        schema().validate(table)
        return
    outcomes = [item.rule for item in validate_all(table, contract)]
    assert broken in outcomes
    with pytest.raises((pa.errors.SchemaError, pa.errors.SchemaErrors)):
        schema().validate(table)


def validate_all(table, contract):
    good = {"n": 2, "k": "b", "tail": "N2", "x": 1.0, "at": None}
    padded = pl.concat([table, pl.DataFrame([good | {"n": n, "tail": f"N{n}"} for n in (2, 3)], schema=table.schema)])
    return validate(padded, contract).report.broken


def test_a_model_is_a_schema_and_a_function_is_named():
    class Trip(pa.DataFrameModel):
        miles: int = pa.Field(gt=3)

    assert contract_from_pandera(Trip).checks[0].condition == '"miles" > 3'
    own = pa.DataFrameSchema({"n": pa.Column(int, pa.Check(lambda data: True, name="mine"))})
    with pytest.raises(ConfigError, match=r"column 'n' has no counterpart: 'mine'"):
        contract_from_pandera(own)
    assert contract_from_pandera(own, ignore=["mine"]).checks == ()
    with pytest.raises(UsageError, match="not a pandera schema"):
        contract_from_pandera({"n": int})
