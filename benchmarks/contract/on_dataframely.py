"""dataframely: a schema with column constraints, a primary key and a rule."""

import sys

import dataframely as dy
import polars as pl

from benchmarks.contract.rules import BELOW, CARRIERS, NOT_MISSING, PATTERN, RANGES
from benchmarks.used import report

BOUNDS = {name: {"min": low, "max": high} for name, low, high in RANGES}
NULLABLE = {name: name not in NOT_MISSING for name in (*NOT_MISSING, *BOUNDS, PATTERN[0])}


class Bench(dy.Schema):
    id = dy.Int64(primary_key=True)
    hour = dy.Int64(nullable=NULLABLE["hour"], **BOUNDS["hour"])
    distance = dy.Int64(nullable=NULLABLE["distance"], **BOUNDS["distance"])
    count = dy.Int64(nullable=NULLABLE["count"], **BOUNDS["count"])
    price = dy.Float64(nullable=NULLABLE["price"], **BOUNDS["price"])
    share = dy.Float64(nullable=NULLABLE["share"], **BOUNDS["share"])
    gaps_a = dy.Float64(nullable=NULLABLE["gaps_a"], **BOUNDS["gaps_a"])
    carrier = dy.String(nullable=NULLABLE["carrier"], check=lambda column: column.is_in(CARRIERS))
    tail = dy.String(nullable=NULLABLE["tail"], regex=f"^(?:{PATTERN[1]})$")
    follows = dy.Float64(nullable=True)
    late = dy.Bool(nullable=True)

    @dy.rule()
    def below(cls) -> pl.Expr:  # noqa: N805  # a rule is a class method
        return (pl.col("follows") < BELOW) | pl.col("late")


report(Bench.validate, lambda: pl.read_parquet(sys.argv[1]))
