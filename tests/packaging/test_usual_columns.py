"""Rows that come together are judged as each of them alone: the quick way may never be the lenient one."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.packaging.ordered import Ordered
from tidemill.packaging.validator import Policy, Problem, compile_many, compile_validator

COLUMNS = (
    Column("carrier", "string", "category", categories=("AA", "UA")),
    Column("code", "int8", "category", nullable=False, categories=("1", "2")),
    Column("distance", "int16", nullable=False, minimum=80, maximum=4983),
    Column("count", "uint64"),
    Column("temp", "float64", minimum=-10, maximum=40),
    Column("wind", "float32", nullable=False),
    Column("heavy", "bool", nullable=False),
    Column("rainy", "bool"),
    Column("note", "string"),
    Column("dep", "timestamp[us, UTC]"),
    Column("flown", "duration[us]"),
)
SIGNATURE = Signature(TableSchema(COLUMNS), "binary", "late", ("false", "true"))
GOOD: dict[str, Any] = {
    "carrier": "UA", "code": "1", "distance": 200, "count": 2**63, "temp": 3.5, "wind": 4.0, "heavy": True,
    "rainy": None, "note": "é☃", "dep": "2013-08-01T12:00:00Z", "flown": 12.5,
}  # fmt: skip
VALUES = [
    None, True, False, 0, 1, 79, 80, 4983, 4984, -(2**70), 2**64, 10**400, 1.0, 80.5, -10.0, -10.5, 40.5, math.nan,
    math.inf, 1e39, "AA", "1", "", "x", "true", [1], {"a": 1}, b"AA", Decimal("3.5"), np.float32(3), np.int64(80),
    datetime(2013, 8, 1, tzinfo=UTC), "2013-08-01", "no moment",
]  # fmt: skip
CHANGES = st.dictionaries(
    st.sampled_from([column.name for column in COLUMNS] + ["unknown"]), st.sampled_from(VALUES), max_size=2
)
ROWS = st.one_of(
    st.just(GOOD),
    CHANGES.map(lambda changed: {**GOOD, **changed}),
    st.sampled_from(list(GOOD)).map(lambda name: {key: value for key, value in GOOD.items() if key != name}),
    st.sampled_from([None, 3, "row", [1, 2], {}, dict(reversed(GOOD.items()))]),
)
POLICIES = (Policy(), Policy("ignore", "ignore", "ignore"), Policy("reject", "reject"))


def _require_alike(policy: Policy, rows: list[Any]) -> None:
    typed_rows, encodable, odd = compile_many(SIGNATURE, policy)(rows)
    alone = compile_validator(SIGNATURE, policy)
    for place, row in enumerate(rows):
        if place in odd:
            continue
        said: list[str] = []
        typed = alone(row, place, said)
        assert not isinstance(typed, Problem), row
        assert said == [], row
        together = list(typed_rows[place])
        assert repr(together) == repr([*typed.values()])  # 1 is not 1.0, nor True
        for values, value in zip(encodable, together, strict=True):
            as_encoded = values[place]
            missing = value is None and isinstance(values, np.ndarray)
            assert math.isnan(as_encoded) if missing else as_encoded == value


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", [column.name for column in COLUMNS])
def test_each_value_passes_among_others_only_as_it_passes_alone(name: str, policy: Policy) -> None:
    changed = [{**GOOD, name: value} for value in VALUES]
    _require_alike(policy, [GOOD, *changed])
    for row in changed:  # beside nothing else that is odd
        _require_alike(policy, [GOOD] * 16 + [row])


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=100, deadline=None)
@given(rows=st.lists(ROWS, min_size=16, max_size=30))
def test_rows_pass_together_only_as_they_pass_alone(policy: Policy, rows: list[Any]) -> None:
    _require_alike(policy, rows)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(ROWS, min_size=16, max_size=30))
def test_the_columns_of_good_rows_hold_what_the_careful_checks_made_of_odd_ones(rows: list[Any]) -> None:
    known, alone = compile_many(SIGNATURE, Policy())(rows), compile_validator(SIGNATURE)
    typed = [alone(row, place, []) for place, row in enumerate(rows)]
    good = [place for place, told in enumerate(typed) if not isinstance(told, Problem)]
    for place in known.odd:
        known.rows[place] = (*typed[place].values(),) if place in good else None  # type: ignore[union-attr]
    columns = known.with_odd(good)
    assert [len(column) for column in columns] == ([len(good)] * len(COLUMNS) if good else [])
    for values, *expected in zip(columns, *(typed[place].values() for place in good), strict=True):  # type: ignore[union-attr]
        listed = values.tolist() if isinstance(values, np.ndarray) else values
        assert repr([None if value != value else value for value in listed]) == repr(expected)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        CHANGES.map(lambda changed: {name: {**GOOD, **changed}[name] for name in GOOD}), min_size=16, max_size=30
    ),
    order=st.permutations(list(GOOD)),
)
def test_rows_in_a_known_order_are_judged_as_any_rows(rows: list[dict[str, Any]], order: list[str]) -> None:
    usual = compile_many(SIGNATURE, Policy())
    ordered = Ordered((*order,), [tuple(row[name] for name in order) for row in rows])
    known, expected = usual(ordered), usual(rows)
    assert known.odd == expected.odd
    good = [place for place in range(len(rows)) if place not in known.odd]
    assert repr([known.rows[place] for place in good]) == repr([expected.rows[place] for place in good])


def test_rows_in_an_order_of_other_columns_are_looked_at_one_by_one() -> None:
    rows = Ordered(("carrier", "unknown"), [("UA", 1)] * 20)
    assert compile_many(SIGNATURE, Policy())(rows).odd == set(range(20))


@given(odd=st.sets(st.integers(0, 39)))
def test_good_rows_stay_on_the_quick_way_beside_bad_ones(odd: set[int]) -> None:
    bad = {**GOOD, "distance": "far", "carrier": "??"}
    rows = [bad if place in odd else GOOD for place in range(40)]
    assert compile_many(SIGNATURE, Policy())(rows).odd == odd


def test_rows_under_a_contract_are_looked_at_one_by_one() -> None:
    program = ["gt", ["column", "wind", "float"], ["value", 200, "int"], "float"]
    rule = {"rule": "wind > 200", "columns": ["wind"], "severity": "fail", "program": program}
    assert compile_many(SIGNATURE, Policy(), {"checks": [rule]})([GOOD] * 20).odd == set(range(20))
    assert compile_many(SIGNATURE, Policy(), {"checks": []})([GOOD] * 20).odd == set()
