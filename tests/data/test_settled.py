"""A rule that is taken to hold without looking must hold: otherwise the profile hides what the contract is for."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.contract import Check, ColumnRule, ForeignKey, Monotone, TableContract, Unique
from tidemill.data.explore import explore
from tidemill.data.profile import measure_column
from tidemill.data.rules import row_rules
from tidemill.data.settled import holds
from tidemill.data.validate import validate

PORTS = pl.DataFrame({"code": ["a", "b", "1"]})


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 12))

    def column(values):
        return draw(st.lists(st.none() | values, min_size=rows, max_size=rows))

    odd = st.sampled_from([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1.5])
    return pl.DataFrame(
        {
            "whole": pl.Series(column(st.integers(-3, 3)), dtype=pl.Int64),
            "part": pl.Series(column(st.floats(-3, 3) | odd), dtype=pl.Float64),
            "word": pl.Series(column(st.sampled_from(["a", "b", "aa", "1", ""])), dtype=pl.String),
            "at": pl.Series(column(st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 9))), dtype=pl.Datetime("us")),
        }
    )


def a_rule(draw, name):
    low = st.none() | st.integers(-4, 4)
    bounds = {"minimum": draw(low), "maximum": draw(low)} if name in ("whole", "part") else {}
    if name == "at":
        bounds = {"minimum": draw(st.none() | st.sampled_from(["2024-01-01", "2024-01-05"]))}
    if name == "word":
        bounds = {
            "values": draw(st.none() | st.just(("a", "b", "")) | st.just(("a", "b", "aa", "1", ""))),
            "pattern": draw(st.none() | st.just("[a-z]*") | st.just(".*")),
        }
    return ColumnRule(name, nullable=draw(st.booleans()), **bounds)


@st.composite
def contracts(draw):
    keys = st.lists(st.sampled_from(["whole", "part", "word", "at"]), min_size=1, max_size=2, unique=True)
    return TableContract(
        "t",
        tuple(a_rule(draw, name) for name in ("whole", "part", "word", "at")),
        unique=(Unique(tuple(draw(keys))),),
        foreign_keys=(ForeignKey(("word",), "ports", ("code",), "quarantine"),),
        monotone=(Monotone("whole", strict=draw(st.booleans())),),
        checks=(Check("small", "whole < 3"),),
        max_quarantined=1,
    )


@settings(deadline=None, max_examples=60)
@given(tables(), contracts())
def test_what_holds_by_the_profile_is_broken_by_no_row(table, contract):
    profiles = {column.name: measure_column(column).profile for column in table}
    for rule in row_rules(table, contract, {"ports": PORTS}):
        broken = table.select(rule.broken.fill_null(value=False)).to_series()
        if holds(rule, table, profiles):
            assert not broken.any(), rule.name
        elif rule.kind in ("nulls", "unique") and not broken.any():
            # A key is not settled where a missing part of it, which does not count, repeats.
            assert rule.kind == "unique"
            assert table.select(rule.columns).is_duplicated().any()


def test_contract_and_exploration_come_from_one_reading():
    reads = []

    def counted(frame):
        reads.append(frame.height)
        return frame

    table = pl.DataFrame({"id": range(1000), "speed": [float(place % 50) for place in range(999)] + [1e9]})
    lazy = table.lazy().map_batches(counted, streamable=False)
    contract = TableContract(
        "t", (ColumnRule("speed", nullable=False, minimum=0, maximum=100),), unique=(Unique(("id",)),)
    )
    both = validate(lazy, contract, profile=True)
    assert reads == [1000]
    assert both.exploration == explore(table)
    alone = validate(table, contract)
    assert alone.exploration is None
    assert both.report == alone.report
    assert both.valid.equals(alone.valid)
    assert both.quarantined["reasons"].to_list() == [["speed > 100"]]


@pytest.mark.parametrize("top", [20, 21])
def test_a_set_is_settled_only_if_the_profile_has_every_word(top):
    words = pl.DataFrame({"word": [f"w{place:02}" for place in range(top)]})
    rule = row_rules(words, TableContract("t", (ColumnRule("word", values=tuple(words["word"])),)), {})[0]
    assert holds(rule, words, {"word": measure_column(words["word"]).profile}) == (top == 20)
