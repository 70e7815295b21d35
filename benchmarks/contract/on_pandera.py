"""pandera on Polars, lazy: all rules are checked before it raises."""

import sys

import pandera.polars as pa
import polars as pl

from benchmarks.contract.rules import BELOW, CARRIERS, KEY, NOT_MISSING, PATTERN, RANGES
from benchmarks.used import report


def check(table: pl.DataFrame) -> None:
    columns = {name: [] for name in (*NOT_MISSING, *(name for name, _, _ in RANGES), PATTERN[0])}
    for name, low, high in RANGES:
        columns[name] += [pa.Check.ge(low)] + ([] if high is None else [pa.Check.le(high)])
    columns["carrier"].append(pa.Check.isin(CARRIERS))
    columns[PATTERN[0]].append(pa.Check.str_matches(f"^(?:{PATTERN[1]})$"))
    schema = pa.DataFrameSchema(
        {name: pa.Column(checks=checks, nullable=name not in NOT_MISSING) for name, checks in columns.items()},
        checks=pa.Check(lambda data: data.lazyframe.select((pl.col("follows") < BELOW) | pl.col("late"))),
        unique=[KEY],
    )
    schema.validate(table, lazy=True)


report(check, lambda: pl.read_parquet(sys.argv[1]))
