"""Tidemill: ``ours.py TABLE.parquet check|quarantine|both``.

``check``: 20 rules that all hold. ``quarantine``: two are broken and one row in seven goes aside. ``both``: that, and
the table is explored in the same reading.
"""

import sys

import polars as pl

import tidemill as tm
from benchmarks.contract.rules import BELOW, CARRIERS, KEY, NOT_MISSING, PATTERN, RANGES
from benchmarks.used import report
from tidemill.data.contract import Check, ColumnRule, TableContract, Unique

WHAT = sys.argv[2]
tm.validate  # noqa: B018  # imported here, as the peers' are


def contract() -> TableContract:
    rules: dict[str, dict] = {name: {"nullable": False} for name in NOT_MISSING}
    for name, low, high in RANGES:
        rules.setdefault(name, {}).update(minimum=low, maximum=high)
    rules["carrier"]["values"] = CARRIERS
    rules[PATTERN[0]] = {"pattern": PATTERN[1]}
    if WHAT != "check":
        rules["distance"]["maximum"] = 4500
        rules["hour"]["minimum"] = 1
    return TableContract(
        "bench",
        tuple(ColumnRule(name, **rule) for name, rule in rules.items()),
        unique=(Unique((KEY,)),),
        checks=(Check("follows", f"follows < {BELOW} OR late"),),
    )


def check(table: pl.DataFrame | pl.LazyFrame) -> None:
    found = tm.validate(table, contract(), profile=WHAT == "both")
    assert len(found.report.outcomes) == 20
    assert (found.quarantined.height > 100_000) == (WHAT != "check")
    assert (found.exploration is None) == (WHAT != "both")


report(check, lambda: pl.read_parquet(sys.argv[1]) if WHAT == "check" else pl.scan_parquet(sys.argv[1]))
