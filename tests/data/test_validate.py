"""A contract that misses a bad row lets it into a model; one that loses a good row is worse."""

from __future__ import annotations

import itertools
import tomllib
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.clock import VirtualClock, use_clock
from tidemill.core.errors import ConfigError, ContractError, NotFoundError, SchemaError, UsageError
from tidemill.data.contract import Check, ColumnRule, ForeignKey, Freshness, Monotone, TableContract, Unique
from tidemill.data.infer import infer_contract
from tidemill.data.validate import validate

FLIGHTS = pl.DataFrame(
    {
        "id": [1, 2, 2, 4, 5],
        "tail": ["N1", "N2", None, "X9", "bad tail"],
        "miles": [100.0, -5.0, 300.0, None, float("nan")],
        "dep": [datetime(2013, 1, day) for day in (1, 2, 3, 4, 5)],
        "arr": [datetime(2013, 1, day) for day in (2, 1, 4, 5, 6)],
    }
)
PLANES = pl.DataFrame({"tailnum": ["N1", "N2", "bad tail"]})


def test_every_kind_of_rule_finds_its_rows_and_good_rows_survive_in_order():
    contract = TableContract(
        "flights",
        (
            ColumnRule("id", "int64", nullable=False),
            ColumnRule("tail", "string", pattern="[A-Z0-9]+"),
            ColumnRule("miles", "number", minimum=0, maximum=5000),
            ColumnRule("dep", "timestamp", maximum="2013-01-04"),
        ),
        unique=(Unique(("id",)),),
        foreign_keys=(ForeignKey(("tail",), "planes", ("tailnum",), "quarantine"),),
        checks=(Check("arrives after it departs", "arr > dep"),),
        max_quarantined=0.9,
    )
    out = validate(FLIGHTS, contract, {"planes": PLANES})
    assert out.valid["id"].to_list() == [1]
    assert out.quarantined.select("id", "reasons").rows() == [
        (2, ["miles < 0", "arrives after it departs"]),
        (2, ["(id) repeats"]),
        (4, ["tail not in planes"]),
        (5, ["tail does not match [A-Z0-9]+", "dep > 2013-01-04"]),
    ]
    broken = {item.rule: (item.broken, item.examples) for item in out.report.broken}
    assert broken["miles < 0"] == (1, (-5.0,))
    assert out.report.rows == out.report.valid + out.report.quarantined == 5


def test_a_broken_failing_rule_raises_with_counts_and_values():
    contract = TableContract("flights", (ColumnRule("miles", minimum=0, severity="fail"),))
    with pytest.raises(ContractError, match=r"'miles < 0' in 1 of 5 rows, such as \[-5.0\]"):
        validate(FLIGHTS, contract)
    assert validate(FLIGHTS, contract, fail=False).quarantined["id"].to_list() == [2]


def test_a_warning_keeps_the_row():
    out = validate(FLIGHTS, TableContract("flights", (ColumnRule("tail", nullable=False, severity="warn"),)))
    assert out.valid.height == 5
    assert out.quarantined.columns[-1] == "reasons"
    assert out.report.broken[0].broken == 1


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (TableContract("f", (ColumnRule("gone"),)), "column 'gone' is missing"),
        (TableContract("f", (ColumnRule("id", "string"),)), "column 'id' is int64 instead of string"),
        (TableContract("f", min_rows=6), "fewer than min_rows = 6"),
        (TableContract("f", max_rows=4), "more than max_rows = 4"),
        (TableContract("f", (ColumnRule("id"),), extra_columns=False), "column 'tail' is not in the contract"),
    ],
)
def test_a_table_of_the_wrong_shape_fails(contract, words):
    with pytest.raises(ContractError, match=words):
        validate(FLIGHTS, contract)


def test_a_table_that_would_mostly_go_to_quarantine_fails():
    with pytest.raises(ContractError, match="5 of 5 rows of 'f' would go to quarantine"):
        validate(FLIGHTS, TableContract("f", (ColumnRule("id", minimum=100),)))


def test_an_optional_column_may_be_absent_and_a_missing_reference_is_named():
    assert validate(FLIGHTS, TableContract("f", (ColumnRule("gone", required=False),))).valid.height == 5
    with pytest.raises(NotFoundError, match="planes"):
        validate(FLIGHTS, TableContract("f", foreign_keys=(ForeignKey(("tail",), "planes", ("tailnum",)),)))
    with pytest.raises(ConfigError, match="SQL condition"):
        validate(FLIGHTS, TableContract("f", checks=(Check("c", "id >"),)))
    with pytest.raises(ConfigError, match="does not fit"):
        validate(FLIGHTS, TableContract("f", checks=(Check("c", "nowhere > 1"),)))


def test_foreign_keys_of_several_columns():
    reference = pl.DataFrame({"a": [1, 2], "b": ["N1", "N9"]})
    contract = TableContract(
        "f", foreign_keys=(ForeignKey(("id", "tail"), "r", ("a", "b"), "quarantine"),), max_quarantined=1
    )
    assert validate(FLIGHTS, contract, {"r": reference}).valid["id"].to_list() == [1, 2]  # the second has no tail


def test_what_a_column_of_whole_numbers_cannot_hold_allows_none_of_its_values():
    contract = TableContract(
        "f", (ColumnRule("id", values=(1, 2.5)),), foreign_keys=(ForeignKey(("id",), "r", ("a",), "quarantine"),),
        max_quarantined=1,
    )  # fmt: skip
    out = validate(pl.DataFrame({"id": [1, 2, 3]}), contract, {"r": pl.DataFrame({"a": [1.0, 2.5]})})
    assert out.quarantined.rows() == [
        (2, ["id not in its set", "id not in r"]),
        (3, ["id not in its set", "id not in r"]),
    ]


def test_a_condition_on_the_whole_table_is_broken_in_every_row():
    contract = TableContract("f", checks=(Check("enough", "sum(id) > 100"),), max_quarantined=1, min_rows=0)
    assert validate(pl.DataFrame({"id": [1, 2, 3]}), contract).quarantined["id"].to_list() == [1, 2, 3]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"checks": (Check("sums", "id + 1"),)}, "check 'sums' is no condition: it is not true or false but int64"),
        (
            {"columns": (ColumnRule("id", minimum=0), ColumnRule("tail", minimum=1))},
            "does not fit the table.*'tail < 1'",
        ),
        ({"columns": (ColumnRule("list", values=(1,)),)}, "does not fit the table"),
        ({"unique": (Unique(()),)}, "does not fit the table"),
        ({"foreign_keys": (ForeignKey(("id", "tail"), "r", ("a", "b")),)}, "does not fit the table"),
    ],
)
def test_a_rule_that_does_not_fit_the_table_is_named(rules, words):
    table = pl.DataFrame({"id": [1], "tail": ["N1"], "list": [[1]]})
    with pytest.raises(ConfigError, match=words):
        validate(table, TableContract("f", **rules), {"r": pl.DataFrame({"a": ["1"], "b": ["N1"]})})


def test_a_contract_is_read_from_toml_and_survives_json():
    raw = tomllib.loads(
        """
        name = "weather"
        max_quarantined = 0.1
        [columns.wind_speed]
        type = "float64"
        maximum = 200
        [columns.origin]
        values = ["EWR", "JFK"]
        severity = "fail"
        [[unique]]
        columns = ["origin", "hour"]
        [[foreign_keys]]
        columns = "origin"
        table = "airports"
        to = "faa"
        """
    )
    contract = TableContract.from_dict(raw)
    assert contract.columns[1] == ColumnRule("origin", values=("EWR", "JFK"), severity="fail")
    assert contract.foreign_keys[0].to == ("faa",)
    assert TableContract.from_dict(contract.to_dict()) == contract


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"name": "f", "colums": []}, "Did you mean 'columns'"),
        ({"name": "f", "columns": {"a": {"max": 1}}}, "unknown key"),
        ({"name": "f", "columns": {"a": {"severity": "bad"}}}, "not a severity"),
        ({"name": "f", "unique": [{}]}, "incomplete"),
        ({}, "needs a name"),
        ({"name": 3}, "name of the contract is not text: 3. Write it in quotes"),
        ({"name": "f", "min_rows": "5"}, "min_rows of the contract is not a whole number"),
        ({"name": "f", "max_quarantined": True}, "not a number"),
        ({"name": "f", "columns": {"a": {"nullable": "false"}}}, "nullable of a ColumnRule rule is not true or false"),
        ({"name": "f", "columns": {"a": 5}}, "a ColumnRule rule is a table of keys: 5"),
        ({"name": "f", "columns": 5}, "a ColumnRule rule is a table of keys: 5"),
    ],
)
def test_mistakes_in_a_contract_are_named(raw, words):
    with pytest.raises(ConfigError, match=words):
        TableContract.from_dict(raw)


def test_a_table_keeps_the_contract_inferred_from_it():
    table = FLIGHTS.with_columns(kind=pl.Series(["a", "b", "a", "b", "a"]), code=pl.Series(list("vwxyz")))
    contract = infer_contract(table, "flights")
    assert validate(table, contract).valid.height == 5
    assert contract.unique == (Unique(("code",)),)
    with pytest.raises(ContractError):
        validate(table.with_columns(kind=pl.lit("c")), contract)


def test_a_stale_table_fails_by_the_clock():
    contract = TableContract("f", freshness=(Freshness("dep", "2d"),))
    assert validate(FLIGHTS, contract, now=datetime(2013, 1, 6, tzinfo=UTC)).valid.height == 5
    with pytest.raises(ContractError, match=r"'dep is older than 2d', such as \['2013-01-05T00:00:00'\]"):
        validate(FLIGHTS, contract, now=datetime(2013, 1, 8, tzinfo=UTC))
    with use_clock(VirtualClock(datetime(2013, 1, 6, tzinfo=UTC))):
        assert validate(FLIGHTS, contract).valid.height == 5
    with pytest.raises(ContractError, match="older than"):
        validate(FLIGHTS, contract)
    day = FLIGHTS.select(pl.col("dep").cast(pl.Date))
    assert validate(day, contract, now=datetime(2013, 1, 6, 23, tzinfo=UTC)).valid.height == 5
    empty = TableContract("f", freshness=(Freshness("dep", "2d", "warn"),), min_rows=0)
    assert validate(FLIGHTS.clear(), empty).report.broken[0].kind == "freshness"
    with pytest.raises(SchemaError, match="column of times"):
        validate(FLIGHTS, TableContract("f", freshness=(Freshness("id", "2d"),)))
    with pytest.raises(ConfigError, match="not a severity of a Freshness rule"):
        TableContract.from_dict(
            {"name": "f", "freshness": [{"column": "dep", "within": "2d", "severity": "quarantine"}]}
        )


def test_rows_that_go_back_in_time_are_set_aside():
    table = pl.DataFrame({"meter": list("aabab"), "at": [1, 3, 2, 2, None], "n": [1, 1, 2, 2, 2]})
    one = TableContract("m", monotone=(Monotone("at"),))
    assert validate(table, one).quarantined.rows() == [("b", 2, 2, ["at falls"]), ("a", 2, 2, ["at falls"])]
    by = TableContract("m", monotone=(Monotone("at", by=("meter",)),))
    assert validate(table, by).quarantined.rows() == [("a", 2, 2, ["at falls"])]
    strict = TableContract("m", monotone=(Monotone("n", strict=True),), max_quarantined=1)
    assert validate(table, strict).report.outcomes[0].broken == 3


@given(st.lists(st.none() | st.integers(-5, 5), max_size=12), st.booleans())
def test_what_is_left_is_monotone(values, strict):
    table = pl.DataFrame({"at": values}, schema={"at": pl.Int64})
    contract = TableContract("m", monotone=(Monotone("at", strict=strict),), min_rows=0, max_quarantined=1)
    left = validate(table, contract).valid["at"].drop_nulls().to_list()
    assert all(one < other or (one == other and not strict) for one, other in itertools.pairwise(left))
    assert (len(left) == len(table["at"].drop_nulls())) == (
        left == sorted(v for v in values if v is not None) and (not strict or len(set(left)) == len(left))
        and len(left) == sum(v is not None for v in values)
    )  # fmt: skip


def test_a_printed_report_says_what_is_broken_by_which_values():
    report = validate(FLIGHTS, TableContract("flights", (ColumnRule("miles", minimum=0, nullable=True),))).report
    assert str(report).splitlines()[0] == "flights: 5 rows, 4 valid, 1 in quarantine; 1 rule, 1 broken"
    assert str(report).splitlines()[3].split() == "quarantine miles < 0 1 5 20.0% [-5.0]".split()


def test_the_name_of_a_table_or_of_a_contract_is_neither():
    with pytest.raises(UsageError, match=r"not a table: 'flights'\. Read it first: tm\.read\('flights'\)"):
        validate("flights", TableContract("flights"))
    with pytest.raises(UsageError, match=r"not a contract: 'flights\.toml'"):
        validate(FLIGHTS, "flights.toml")
