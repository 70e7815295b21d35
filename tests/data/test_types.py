"""If these fail, a verb does not take the table of another library, or takes it for something else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tidemill.core.errors import SchemaError, UsageError
from tidemill.data.types import collected, require_columns

PLAIN = pl.DataFrame({"x": [1.0, None], "k": ["a", "b"]})


@pytest.mark.parametrize("of", [pl.DataFrame.lazy, pl.DataFrame.to_pandas, pl.DataFrame.to_arrow])
def test_a_table_of_any_library_is_taken_whole(of):
    assert collected(of(PLAIN)).equals(PLAIN)


def test_a_stream_of_batches_is_a_table():
    reader = pa.RecordBatchReader.from_batches(PLAIN.to_arrow().schema, PLAIN.to_arrow().to_batches())
    assert collected(reader).equals(PLAIN)


def test_columns_of_structs_stay_columns():
    table = pl.DataFrame({"place": [{"port": "Emden", "quay": 3}], "x": [1.0]})
    assert collected(table.to_arrow()).equals(table)
    assert collected(pd.DataFrame({"x": [1.0]}, index=["first"])).get_column("x").to_list() == [1.0]


def test_what_is_no_table_is_named():
    with pytest.raises(UsageError, match=r"not a table: 'rows.csv'\. Read it first"):
        collected("rows.csv")
    with pytest.raises(UsageError, match="not a table: 'int'"):
        collected(3)


def test_a_slip_in_a_name_is_answered_with_the_name_and_not_with_all_names():
    wide = pl.DataFrame({f"column {n}": [n] for n in range(100)} | {"late": [True]})
    with pytest.raises(SchemaError, match=r"\['lete'\]\. Did you mean 'late'\?$"):
        require_columns(wide, ["lete"], purpose="the split")
    with pytest.raises(SchemaError, match=r"Columns are: column 0, .*column 29 and 71 more\.$"):
        require_columns(wide, ["zzz"], purpose="the split")


def test_an_array_without_names_is_told_how_to_name_its_columns():
    with pytest.raises(UsageError, match=r"not a table: 'ndarray'.*pl\.DataFrame\(array, schema="):
        collected(np.ones((2, 2)))
