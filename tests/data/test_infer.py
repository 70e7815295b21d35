"""A contract that is inferred from a table with errors must not allow the errors."""

from __future__ import annotations

import warnings

import polars as pl
import pytest

from tidemill.data.infer import infer_contract
from tidemill.data.validate import validate

DAYS = 120
GOOD = [10.0 + day % 11 for day in range(DAYS)]


def rule(values: list[float | int | None]):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return infer_contract(pl.DataFrame({"wind": values}, strict=False)).columns[0]


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([-999.0] * 4, "4 values such as -999 (sentinel)"),
        ([9999.0] * 4, "4 values such as 9999 (sentinel)"),
        ([104_800.0], "1 value such as 104800.0 (impossible value)"),
        ([-999.0] * 5 + [104_800.0], "4800.0 (impossible value); wind: 5 values such as -999 (sentinel)"),
        ([-14.0, -12.0], "2 values such as -14, -12 (sign flip)"),
    ],
)
def test_what_explore_calls_an_error_is_left_out_and_told(errors, said):
    table = pl.DataFrame({"wind": [*GOOD, *errors]})
    with pytest.warns(UserWarning, match="left out of the contract 'weather'") as caught:
        contract = infer_contract(table, "weather")
    assert said in str(caught[0].message)
    found = contract.columns[0]
    assert (found.minimum, found.maximum) == (9.0, 21.0), "the errors are in the range"
    assert found.nullable, "what is repaired to a missing value would break it"
    checked = validate(table, contract)
    assert checked.quarantined["wind"].to_list() == errors
    assert validate(table.filter(pl.col("wind").is_in(GOOD)), contract).quarantined.is_empty()


def test_a_clean_table_keeps_all_of_its_values_and_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = infer_contract(pl.DataFrame({"wind": GOOD, "day": range(DAYS), "port": ["a", "b"] * (DAYS // 2)}))
    assert (found.columns[0].minimum, found.columns[0].maximum) == (9.0, 21.0)
    assert not any(column.nullable for column in found.columns)


def test_unusual_columns_are_inferred_as_before():
    assert rule([]).nullable
    assert rule([None, None]).minimum is None
    assert rule([5]).minimum == rule([5]).maximum == 5


def test_distributions_are_of_the_good_values():
    with pytest.warns(UserWarning, match="sentinel"):
        contract = infer_contract(pl.DataFrame({"wind": [*GOOD, *[-999.0] * 4]}), distributions=True)
    good = infer_contract(pl.DataFrame({"wind": [*GOOD, *[None] * 4]}), distributions=True)
    assert contract.distributions == good.distributions
