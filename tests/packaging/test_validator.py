"""A wrong value that slips through is a wrong answer; a right one that is refused is an outage."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, InvalidRequestError
from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.packaging.validator import Policy, Problem, compile_validator

COLUMNS = (
    Column("carrier", "string", "category", categories=("AA", "UA")),
    Column("distance", "int16", nullable=False, minimum=80, maximum=4983, unit="mi"),
    Column("temp", "float64", minimum=-10, maximum=40),
    Column("heavy", "bool"),
    Column("month", "int8", "category", categories=("1", "2")),
    Column("note", "string"),
    Column("dep", "timestamp[us, UTC]"),
    Column("day", "date"),
)
SIGNATURE = Signature(TableSchema(COLUMNS), "binary", "late", ("false", "true"))
GOOD: dict[str, Any] = {
    "carrier": "UA", "distance": 200, "temp": 3.5, "heavy": True, "month": "1", "note": "é☃",
    "dep": "2013-08-01T12:00:00Z", "day": "2013-08-01",
}  # fmt: skip
validate = compile_validator(SIGNATURE)


def check(column: str, value: Any, policy: Policy | None = None) -> tuple[Any, list[str]]:
    warnings: list[str] = []
    out = (compile_validator(SIGNATURE, policy) if policy else validate)({**GOOD, column: value}, 7, warnings)
    return (out if isinstance(out, Problem) else out[column]), warnings


@pytest.mark.parametrize(
    ("column", "value", "typed"),
    [
        ("carrier", None, None),
        ("carrier", math.nan, None),
        ("distance", 200.0, 200),
        ("distance", np.int64(200), 200),
        ("distance", Decimal("200.00"), 200),
        ("temp", 3, 3.0),
        ("temp", np.float32(3), 3.0),
        ("temp", Decimal("3.5"), 3.5),
        ("temp", math.nan, None),
        ("heavy", 1, True),
        ("heavy", np.bool_(False), False),
        ("heavy", 0.0, False),
        ("month", 2, "2"),
        ("month", 2.0, "2"),
        ("dep", "2013-08-01T12:00:00+02:00", datetime.fromisoformat("2013-08-01T12:00:00+02:00")),
        ("dep", datetime(2013, 8, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)),
        ("day", date(2013, 8, 1), date(2013, 8, 1)),
    ],
)
def test_what_means_the_same_is_taken(column: str, value: Any, typed: Any) -> None:
    assert check(column, value) == (typed, [])


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("carrier", 5, "takes text"),
        ("distance", None, "may not be missing"),
        ("distance", Decimal("200.5"), "takes a whole number"),
        ("distance", Decimal("NaN"), "takes a whole number"),
        ("distance", Decimal("sNaN"), "takes a whole number"),
        ("distance", Decimal(40_000), "int16 can hold"),
        ("distance", Decimal(10**30), "takes a whole number"),
        ("distance", math.nan, "may not be missing"),
        ("distance", "200", "takes a whole number"),
        ("distance", 200.5, "takes a whole number"),
        ("distance", True, "takes a whole number"),
        ("distance", math.inf, "takes a whole number"),
        ("distance", 40_000, "int16 can hold"),
        ("distance", 10**30, "int16 can hold"),
        ("temp", "warm", "takes a number"),
        ("temp", True, "takes a number"),
        ("temp", [1.0], "takes a number"),
        ("temp", math.inf, "finite"),
        ("temp", -math.inf, "finite"),
        ("temp", 1e300, "float32 can hold"),
        ("temp", 10**400, "finite"),
        ("heavy", "yes", "true or false"),
        ("heavy", 2, "true or false"),
        ("month", 2.5, "takes text"),
        ("dep", "yesterday", "moment such as"),
        ("dep", 5, "moment such as"),
        ("day", {}, "date such as"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_row_column_and_value(column: str, value: Any, error: str) -> None:
    problem, _ = check(column, value)
    assert isinstance(problem, Problem)
    assert (problem.row, problem.column) == (7, column)
    assert error in problem.error
    assert isinstance(problem.to_error(), InvalidRequestError)
    assert str(value)[:5].strip("['") in problem.value


@pytest.mark.parametrize(("column", "value"), [("distance", 30_000), ("temp", 99.0), ("carrier", "☃"), ("month", 11)])
def test_values_unlike_the_training_rows_warn_or_are_refused_as_the_policy_says(column: str, value: Any) -> None:
    _, warnings = check(column, value)
    assert len(warnings) == 1
    assert column in warnings[0]
    refused, _ = check(column, value, Policy(out_of_range="reject", unseen_category="reject"))
    assert isinstance(refused, Problem)
    assert refused.allowed
    assert check(column, value, Policy(out_of_range="ignore", unseen_category="ignore"))[1] == []


def test_columns_may_be_left_out_only_if_they_may_be_missing() -> None:
    assert validate({"distance": 100}, 0, []) == {
        column.name: 100 if column.name == "distance" else None for column in COLUMNS
    }
    problem = validate({"temp": 1.0}, 0, [])
    assert isinstance(problem, Problem)
    assert problem.error == "column 'distance' was not sent"
    assert problem.allowed == "int16 from 80 to 4983 mi"


def test_a_column_that_was_not_sent_is_looked_for_among_those_that_are_unknown() -> None:
    problem = validate({"distnace": 100, "temp": 1.0}, 0, [])
    assert isinstance(problem, Problem)
    assert problem.error == "column 'distance' was not sent; did you mean it by 'distnace'?"
    other = validate({"carrier": "UA", "x": 1}, 0, [])
    assert isinstance(other, Problem)
    assert other.error == "column 'distance' was not sent"


def test_all_that_is_wrong_with_a_row_is_told_at_once() -> None:
    """Whoever mends one column at a time asks once for each."""
    problem = validate({**GOOD, "temp": "warm", "distance": None, "tmep": 1}, 2, [])
    assert isinstance(problem, Problem)
    assert [(one.row, one.column) for one in (problem, *problem.others)] == [(2, "distance"), (2, "temp"), (2, "tmep")]
    assert problem.to_dict()["others"][0] == {
        "column": "temp", "value": "'warm'", "error": "column 'temp' takes a number",
        "allowed": "float64 from -10 to 40",
    }  # fmt: skip
    told = str(problem.to_error())
    assert "row 2: column 'distance' may not be missing; column 'temp' takes a number; unknown column 'tmep'" in told
    assert "'temp': float64 from -10 to 40" in told
    assert "others" not in Problem(0, "temp", "'warm'", "column 'temp' takes a number").to_dict()


def test_a_misspelt_column_that_is_missed_is_told_once() -> None:
    problem = validate({"distnace": 100, "x": 1}, 0, [])
    assert isinstance(problem, Problem)
    assert [one.column for one in (problem, *problem.others)] == ["distance", "x"]


def test_what_is_told_of_a_hostile_row_is_bounded() -> None:
    hostile = {f"distance{number}": [] for number in range(100_000)}
    problem = validate(hostile, 0, [])
    assert isinstance(problem, Problem)
    assert len(problem.others) == 9
    assert len(str(problem.to_dict())) < 5_000


def test_what_was_meant_is_looked_for_in_few_rows_and_among_few_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing names costs most where they are anagrams, and everybody waits meanwhile."""
    compared: list[int] = []
    compare = difflib.get_close_matches

    def counted(name: str, among: Sequence[str], most: int) -> list[str]:
        compared.append(len(among))
        return compare(name, among, most)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    columns = tuple(Column(f"measure{place}", "float64", nullable=False) for place in range(9))
    needed = Signature(TableSchema(columns), "regression", "y")
    validate = compile_validator(needed)
    hostile = {f"{place:02}erusaem": 1 for place in range(64)} | {"m" * 4_000: 1}
    problems = [validate(hostile, place, []) for place in range(500)]
    assert sum(compared) <= 16 * 3 * (16 + 9)
    assert isinstance(problems[0], Problem)
    assert isinstance(problems[499], Problem)
    assert problems[499].error == "column 'measure0' was not sent"


def test_a_row_that_is_an_array_is_refused() -> None:
    problem = validate(np.arange(3.0), 0, [])
    assert isinstance(problem, Problem)
    assert problem.error == "a row is an object of columns and values"


def test_a_misspelt_column_is_not_silently_ignored() -> None:
    problem = validate({**GOOD, "tmep": 1}, 0, [])
    assert isinstance(problem, Problem)
    assert "did you mean 'temp'" in problem.error
    warnings: list[str] = []
    assert isinstance(compile_validator(SIGNATURE, Policy(unknown_column="warn"))({**GOOD, "x": 1}, 0, warnings), dict)
    assert warnings


def test_a_policy_has_three_reactions() -> None:
    with pytest.raises(ConfigError, match="reject, warn or ignore"):
        Policy(out_of_range="explode")  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([column.name for column in COLUMNS]) | st.text(), JSON) | JSON)
def test_no_row_whatsoever_raises(row: Any) -> None:
    out = validate(row, 3, [])
    if isinstance(out, Problem):
        assert out.row == 3
        assert out.error
    else:
        assert list(out) == [column.name for column in COLUMNS]


@pytest.mark.parametrize("value", [-9223372036854775809.0, 2.0**53, 1e300])
def test_a_whole_number_that_came_as_a_float_too_large_for_its_digits_is_refused(value: float) -> None:
    """JSON readers make floats of integers that 64 bits cannot hold: it would be another number than the one sent."""
    inputs = TableSchema((Column("distance", "int64"), Column("heavy", "bool")))
    validate = compile_validator(Signature(inputs, "binary", "late", ("no", "yes")))
    assert isinstance(validate({"distance": value, "heavy": True}, 0, []), Problem)
    assert validate({"distance": 2.0**53 - 1, "heavy": True}, 0, []) == {"distance": 2**53 - 1, "heavy": True}
