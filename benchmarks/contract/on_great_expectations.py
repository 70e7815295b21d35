"""Great Expectations on pandas, which is its engine in memory; a range is one expectation with both bounds."""

import sys

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from benchmarks.contract.rules import BELOW, CARRIERS, KEY, NOT_MISSING, PATTERN, RANGES
from benchmarks.used import report


def check(table: pd.DataFrame) -> None:
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("bench").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": table})
    rules = [gxe.ExpectColumnValuesToNotBeNull(column=name) for name in NOT_MISSING]
    rules += [
        gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high) for name, low, high in RANGES
    ]
    rules += [
        gxe.ExpectColumnValuesToBeInSet(column="carrier", value_set=list(CARRIERS)),
        gxe.ExpectColumnValuesToMatchRegex(column=PATTERN[0], regex=f"^(?:{PATTERN[1]})$"),
        gxe.ExpectColumnValuesToBeUnique(column=KEY),
        gxe.ExpectColumnValuesToBeBetween(
            column="follows", max_value=BELOW, row_condition="late == False", condition_parser="pandas"
        ),
    ]
    result = batch.validate(gx.ExpectationSuite(name="bench", expectations=rules))
    assert result.success, result


report(check, lambda: pd.read_parquet(sys.argv[1]))
