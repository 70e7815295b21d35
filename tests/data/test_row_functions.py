"""A check that judges a request otherwise than it judged the table makes the contract mean two things."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from row_conditions import CONDITION, ROW, SCHEMA

from tidemill.core.errors import ConfigError, UnsafeModelError
from tidemill.data.row_functions import compile_program
from tidemill.data.row_patterns import python_pattern
from tidemill.data.row_programs import row_program


def judged(expression: pl.Expr, rows: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """What Polars says of the rows of a table, and the compiled program of one row after another."""
    program = json.loads(json.dumps(row_program(expression, SCHEMA)))
    check = compile_program(program)
    frame = pl.DataFrame({name: pl.Series([row[name] for row in rows], dtype=SCHEMA[name]) for name in SCHEMA})
    table = frame.select(value=pl.when(pl.lit(value=True)).then(expression), row=pl.col("tiny"))["value"].to_list()
    return table, [check(row) for row in frame.rows(named=True)]


@settings(max_examples=200, deadline=None)
@given(CONDITION, st.lists(ROW, min_size=1, max_size=6))
def test_a_condition_judges_a_row_as_it_judges_the_table(condition: str, rows: list[dict[str, Any]]) -> None:
    expression = pl.sql_expr(condition)
    try:
        row_program(expression, SCHEMA)
    except ConfigError:  # what has no program says so when the model is made
        event("has no program")
        return
    event("has a program")
    table, single = judged(expression, rows)
    assert single == table


@pytest.mark.parametrize(
    "expression",
    [
        pl.col("x").is_nan() | pl.col("x").is_null(),
        (pl.col("x") > 2) & ~pl.col("x").is_nan(),
        ~pl.col("text").is_in(["a", "ß"]),
        pl.col("text").str.ends_with("b"),
        pl.col("text").str.contains("a b", literal=True),
        pl.col("whole").cast(pl.String).str.contains(r"^(?:[0-9]+)$"),
        pl.when(pl.col("flag")).then(pl.col("x")).otherwise(pl.col("y")) > 1,
        pl.col("x").eq_missing(pl.col("y")),
        pl.col("flag").ne_missing(None),
        pl.coalesce("x", "y") > 0,
    ],
    ids=str,
)  # fmt: skip
def test_expressions_are_judged_alike(expression: pl.Expr) -> None:
    rows = [
        dict.fromkeys(SCHEMA) | {"x": x, "y": y, "flag": flag, "text": text, "whole": whole}
        for x in (None, math.nan, 0.0, 3.0)
        for y in (None, 3.0)
        for flag in (None, True, False)
        for text, whole in ((None, None), ("ab", 12), ("a b", -3))
    ]
    table, single = judged(expression, rows)
    assert single == table


@pytest.mark.parametrize(
    "expression",
    [
        pl.col("x") > pl.col("x").mean(),
        pl.col("x").shift(1) > 0,
        pl.col("x").cum_sum() > 0,
        pl.col("x").sum().over("text") > 0,
        pl.col("single") > pl.col("x"),
        pl.col("text").str.contains(r"\bword"),
        pl.col("day") > pl.col("at"),
        pl.col("nowhere") > 1,
    ],
    ids=str,
)
def test_what_needs_other_rows_or_has_no_counterpart_is_an_error(expression: pl.Expr) -> None:
    with pytest.raises(ConfigError, match="cannot be checked on single rows"):
        row_program(expression, SCHEMA)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cn"]), max_size=5))
@settings(deadline=None)
def test_patterns_mean_the_same_in_both_languages(text: str) -> None:
    import re

    frame = pl.DataFrame({"text": [text]})
    for pattern in [r"^\s*$", r"^[\w-]+$", r"^\W", "^.+$", r"[^\s]$", r"^(?:a|b)+?$", r"^\d{1,3}$", r"^[]a]$"]:
        matched = frame.select(pl.col("text").str.contains(pattern)).item()
        assert (re.search(python_pattern(pattern), text) is not None) == matched, pattern


@pytest.mark.parametrize(
    "pattern", ["(?i)a", r"\p{L}", r"\bend", "[[:alpha:]]", "[a&&b]", "a++", "(?x) a", "[a", "a{,3}"]
)
def test_a_pattern_that_would_mean_something_else_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError):
        python_pattern(pattern)


def test_a_program_of_a_newer_version_is_refused() -> None:
    with pytest.raises(UnsafeModelError, match="does not know"):
        compile_program(["levitate", ["column", "x", "float"]])


def test_moments_are_compared_in_utc() -> None:
    schema = {"at": pl.Datetime("us", "Europe/Berlin")}
    bound = pl.lit(datetime(2013, 1, 1), dtype=pl.Datetime("us")).dt.replace_time_zone("Europe/Berlin")
    check = compile_program(row_program(pl.col("at") < bound, schema))
    assert check({"at": datetime(2012, 12, 31, 22, 59)}) is True
    assert check({"at": datetime(2012, 12, 31, 23)}) is False
    assert datetime(2012, 12, 31, 23, tzinfo=UTC) == datetime.fromisoformat("2013-01-01T00:00:00+01:00")


def test_serving_checks_rows_without_a_table_library() -> None:
    code = "import sys, tidemill.packaging.validator; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
