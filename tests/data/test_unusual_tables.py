"""A table that is empty, bad throughout or very wide is somebody's table of today."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.core.errors import ContractError, SchemaError, TidemillError
from tidemill.data.clean import clean
from tidemill.data.contract import Check, ColumnRule, TableContract, Unique
from tidemill.data.infer import infer_contract
from tidemill.data.operations import (
    CleaningPlan,
    Clip,
    Deduplicate,
    DeduplicateSimilar,
    DropMissing,
    FilterRows,
    ForwardFill,
    NormaliseText,
)
from tidemill.data.request_contract import request_contract
from tidemill.data.split import by_share, split
from tidemill.data.types import table_schema
from tidemill.data.validate import validate
from tidemill.packaging.contract_checks import compile_contract

EMPTY = pl.DataFrame(schema={"x": pl.Int64, "k": pl.String})
RULES = TableContract(
    "t",
    (ColumnRule("x", minimum=0), ColumnRule("k", pattern="[a-z]+")),
    (Unique(("x",)),),
    checks=(Check("c", "x < 9"),),
)


def test_an_empty_table_is_named_or_passes_where_it_may_be_empty():
    with pytest.raises(ContractError, match="it has 0 rows, fewer than min_rows = 1"):
        validate(EMPTY, RULES)
    out = validate(EMPTY, TableContract("t", RULES.columns, RULES.unique, checks=RULES.checks, min_rows=0))
    assert (out.valid.height, out.quarantined.columns) == (0, ["x", "k", "reasons"])
    plan = CleaningPlan((
        DropMissing(("x",)), Clip("x", 0, 9), NormaliseText(("k",)), Deduplicate(("k",)), DeduplicateSimilar(("k",)),
        ForwardFill("x", order="x"), FilterRows("x > 0", "small"),
    ))  # fmt: skip
    cleaned = clean(EMPTY, plan)
    assert (cleaned.table.height, cleaned.quarantined.height) == (0, 0)
    with pytest.raises(TidemillError, match="train part of the split is empty"):
        split(EMPTY, by_share(), "x")


def test_a_table_of_which_no_row_is_left_is_an_error_that_names_the_rules():
    table = pl.DataFrame({"x": [-1, -2], "k": ["a", "b"]})
    rules = TableContract("t", RULES.columns, max_quarantined=1.0)
    with pytest.raises(ContractError, match=r"all 2 rows of 't' would go to quarantine: none is left: \['x < 0'\]"):
        validate(table, rules)
    allowed = validate(table, TableContract("t", RULES.columns, max_quarantined=1.0, min_rows=0))
    assert (allowed.valid.height, allowed.quarantined.height) == (0, 2)


@pytest.mark.slow
def test_ten_thousand_columns_are_checked_cleaned_and_compiled():
    names = [f"c{number}" for number in range(10_000)]
    table = pl.DataFrame({name: [1.0, 2.0, 3.0] for name in names})
    contract = infer_contract(table, "wide")
    bad = table.with_columns(c9999=pl.Series([1.0, 2.0, 99.0]))
    assert validate(bad, contract).quarantined["reasons"].to_list() == [["c9999 > 3.2"]]
    cleaned = clean(bad, CleaningPlan((DropMissing(tuple(names)), Clip("c9999", 0, 3))))
    assert cleaned.table["c9999"].to_list() == [1.0, 2.0, 3.0]
    last = names[-2_000:]
    check = compile_contract(request_contract(contract, table, last), table_schema(table.select(last)))
    assert check is not None
    row = bad.select(last).row(2, named=True)
    assert [broken.rule for broken in check(row, row)] == ["c9999 > 3.2"]


def test_column_names_that_repeat_are_named():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table([[1], [2]], names=["x", "x"])
    with pytest.raises(SchemaError, match="column names repeat"):
        validate(table, TableContract("t"))
