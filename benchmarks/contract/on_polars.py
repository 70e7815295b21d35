"""Plain Polars: one query over the columns concerned, which says how many rows break each rule and keeps no row."""

import sys

import polars as pl

from benchmarks.contract.rules import BELOW, CARRIERS, KEY, NOT_MISSING, PATTERN, RANGES
from benchmarks.used import report


def check(table: pl.DataFrame) -> None:
    rules = [pl.col(name).is_null() for name in NOT_MISSING]
    rules += [pl.col(name) < low for name, low, _ in RANGES]
    rules += [pl.col(name) > high for name, _, high in RANGES if high is not None]
    rules += [~pl.col("carrier").is_in(CARRIERS), ~pl.col(PATTERN[0]).str.contains(f"^(?:{PATTERN[1]})$")]
    rules += [~pl.col(KEY).is_first_distinct(), ~((pl.col("follows") < BELOW) | pl.col("late"))]
    broken = table.lazy().select(rule.sum().alias(str(place)) for place, rule in enumerate(rules))
    assert len(rules) == 20
    assert sum(broken.collect().row(0)) == 0


report(check, lambda: pl.read_parquet(sys.argv[1]))
