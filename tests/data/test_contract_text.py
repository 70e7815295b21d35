"""A contract that changes when it is written down, or a diff that calls laxer stricter, guards nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, ContractError
from tidemill.data.contract import (
    Check,
    ColumnRule,
    Distribution,
    ForeignKey,
    Freshness,
    Monotone,
    TableContract,
    Unique,
)
from tidemill.data.contract_changes import contract_changes
from tidemill.data.contract_text import contract_from_toml, contract_to_toml
from tidemill.data.infer import infer_contract
from tidemill.data.validate import validate
from tidemill.measures.population import profile_categories, profile_numbers

TEXT = st.text(min_size=1, max_size=6)
SEVERITY = st.sampled_from(["warn", "quarantine", "fail"])
NUMBER = st.none() | st.integers(-5, 5) | st.floats(-5, 5)
COLUMN = st.builds(
    ColumnRule, TEXT, st.sampled_from([None, "int64", "number"]), st.booleans(), st.booleans(), NUMBER, NUMBER,
    st.none() | st.lists(st.integers(0, 4) | TEXT, min_size=1, max_size=3).map(tuple), st.none() | TEXT, SEVERITY,
)  # fmt: skip
NAMES = st.lists(TEXT, min_size=1, max_size=2).map(tuple)
CONTRACT = st.builds(
    TableContract,
    TEXT,
    st.lists(COLUMN, max_size=3).map(tuple),
    st.lists(st.builds(Unique, NAMES, SEVERITY), max_size=2).map(tuple),
    st.lists(st.builds(ForeignKey, NAMES, TEXT, NAMES, SEVERITY), max_size=2).map(tuple),
    st.lists(st.builds(Check, TEXT, TEXT, SEVERITY), max_size=2).map(tuple),
    st.lists(st.builds(Monotone, TEXT, NAMES, st.booleans(), SEVERITY), max_size=1).map(tuple),
    st.lists(st.builds(Freshness, TEXT, st.just("2d"), st.just("warn")), max_size=1).map(tuple),
    st.sampled_from([(), (Distribution("x", profile_categories(["a\x7f", None])),)]),
    st.integers(0, 5),
    st.none() | st.integers(5, 9),
    st.booleans(),
    st.floats(0, 1),
)


@given(CONTRACT)
def test_a_contract_survives_toml(contract):
    assert contract_from_toml(contract_to_toml(contract)) == contract


def test_a_contract_made_from_a_table_survives_toml():
    table = pl.DataFrame({"a b": [1.5, 2.5], "k": ["x", "y"], "d": [date(2024, 1, 1)] * 2})
    contract = infer_contract(table, "t", distributions=True)
    assert contract_from_toml(contract_to_toml(contract)) == contract
    dated = TableContract("t", (ColumnRule("d", values=(date(2024, 1, 1),)),))
    assert contract_from_toml(contract_to_toml(dated)) == dated
    with pytest.raises(ConfigError, match="not TOML"):
        contract_from_toml("name = ")
    with pytest.raises(ConfigError, match="cannot hold"):
        contract_to_toml(TableContract("t", (ColumnRule("d", values=(object(),)),)))


RULES = st.builds(
    ColumnRule, st.just("x"), st.sampled_from([None, "int64", "number"]), st.just(value=True), st.booleans(),
    st.none() | st.integers(-3, 3), st.none() | st.integers(-3, 3),
    st.none() | st.lists(st.integers(-3, 3), min_size=1, max_size=4, unique=True).map(tuple),
)  # fmt: skip
OPPOSITE = {"stricter": "laxer", "laxer": "stricter", "changed": "changed"}


@given(RULES, RULES, st.lists(st.none() | st.integers(-4, 4), min_size=1, max_size=6))
def test_what_only_became_stricter_admits_nothing_new(one, other, values):
    old, new = (TableContract("t", (rule,), max_quarantined=1.0, min_rows=0) for rule in (one, other))
    there, back = contract_changes(old, new), contract_changes(new, old)
    assert [OPPOSITE[change.effect] for change in there] == [change.effect for change in back]
    assert (there == ()) == (old == new)
    table = pl.DataFrame({"x": values}, schema={"x": pl.Int64})
    if all(change.effect == "stricter" for change in there):
        assert validate(table, new).valid.height <= validate(table, old).valid.height


@given(CONTRACT, CONTRACT)
def test_a_diff_is_empty_only_between_equal_rules(one, other):
    assert contract_changes(one, one) == ()
    if one != replace(other, name=one.name):
        ordered = (one.columns, one.unique, one.foreign_keys, one.checks)
        others = (other.columns, other.unique, other.foreign_keys, other.checks)
        repeated = any(len({str(rule) for rule in rules}) < len(rules) for rules in (*ordered, *others))
        reordered = any(
            set(map(str, left)) == set(map(str, right)) for left, right in zip(ordered, others, strict=True)
        )
        names = [rule.name for contract in (one, other) for rule in (*contract.columns, *contract.checks)]
        if not repeated and not reordered and len(set(names)) == len(names):
            assert contract_changes(one, other)


def test_changes_are_named():
    old = TableContract(
        "t", (ColumnRule("a", "number"), ColumnRule("b")), unique=(Unique(("a",)),), freshness=(Freshness("at", "2d"),)
    )
    new = TableContract(
        "t", (ColumnRule("a", "int64"), ColumnRule("c")), checks=(Check("c", "a > 1"),),
        freshness=(Freshness("at", "1d"),), max_quarantined=0.1,
    )  # fmt: skip
    assert [(change.rule, change.effect) for change in contract_changes(old, new)] == [
        ("column a: type", "stricter"),
        ("column b", "laxer"),
        ("column c", "stricter"),
        ("unique (a)", "laxer"),
        ("check c", "stricter"),
        ("freshness of at: within", "stricter"),
        ("max_quarantined", "stricter"),
    ]
    assert contract_changes(replace(old, extra_columns=False), old)[0].effect == "laxer"


def test_a_distribution_is_kept_within_bounds_of_its_reference():
    numbers = pl.DataFrame({"x": [float(i % 50) for i in range(1000)], "k": ["a", "b"] * 500})
    contract = TableContract(
        "t",
        distributions=(
            Distribution("x", profile_numbers(numbers["x"].to_numpy()), severity="fail"),
            Distribution("k", profile_categories(numbers["k"].to_list()), 0.2, "jensen_shannon"),
            Distribution("x", profile_numbers(numbers["x"].to_numpy()), 0.1, "missing"),
        ),
    )
    assert validate(numbers, contract).report.broken == ()
    with pytest.raises(ContractError, match=r"'x is more than 0.2 from its reference \(psi\)', such as \[\d"):
        validate(numbers.with_columns(pl.col("x") + 30), contract)
    out = validate(
        numbers.with_columns(k=pl.lit("new"), x=pl.when(pl.int_range(pl.len()) % 5 > 0).then("x")), contract, fail=False
    )
    assert {item.rule for item in out.report.broken} == {
        "k is more than 0.2 from its reference (jensen_shannon)",
        "x is more than 0.1 from its reference (missing)",
    }
    assert out.valid.height == 1000  # a warning about the whole takes no row away
