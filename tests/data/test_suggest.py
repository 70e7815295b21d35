"""A suggested plan that does not cure what it was suggested for, or that touches the label, does harm."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tidemill.data.clean import before_after, clean
from tidemill.data.disturb import disturb
from tidemill.data.explore import explore
from tidemill.data.generate import generate
from tidemill.data.generation import disturbances as d
from tidemill.data.generation import shapes as s
from tidemill.data.generation.shapes import ColumnSpec, TableSpec
from tidemill.data.operations import CleaningPlan
from tidemill.data.repairs import apply_repairs, fit_repairs
from tidemill.data.suggest import suggest_cleaning

TABLE = TableSpec(
    "trips",
    3000,
    (
        ColumnSpec("trip", s.Serial()),
        ColumnSpec("miles", s.LogNormal(400, 0.5), decimals=1, missing=0.1),
        ColumnSpec("crew", s.Whole(3, 40)),
        ColumnSpec("port", s.Category({"Bergen": 4, "Genova": 3, "Porto": 2})),
        ColumnSpec("ship", s.Pattern("S##")),
        ColumnSpec("late", s.Flag(0.3)),
    ),
)
FAULTS = [
    d.UnitChange("miles", 1.609344, where="port = 'Porto'"),
    d.Outliers("crew", 4000, 2),
    d.Spelling("port", 0.02),
    d.EncodingDamage("ship", 0.02),
    d.NullTokens("ship", "n/a", 0.05),
    d.DuplicatedBatch(0.5, 0.02),
    d.Nulls(("late",), 0.05),
]


def damaged() -> pl.DataFrame:
    table = generate(TABLE).with_columns(
        year=pl.lit(2024), day=pl.lit("2024-01-") + (pl.col("trip") % 9 + 10).cast(pl.String)
    )
    return disturb(table, FAULTS).table


def test_a_plan_cures_what_explore_found():
    table = damaged()
    found = explore(table, target="late")
    plan = suggest_cleaning(found, target="late")
    assert len(plan.reasons) == len(plan.operations)
    cleaned = clean(table, plan.stateless)
    after = {finding.kind for finding in explore(cleaned, target="late").findings}
    before = {finding.kind for finding in found.findings}
    assert before == {
        "unit_break", "impossible_value", "spelling_variants", "encoding_damage", "null_token", "duplicate_rows",
        "missing_labels", "missing_values", "constant", "time_as_text",
    }  # fmt: skip
    assert after <= {"id_like", "missing_values"}
    assert set(cleaned.table["port"]) == {"Bergen", "Genova", "Porto"}
    assert cleaned.table.schema["day"].is_temporal()
    assert "year" not in cleaned.table.columns
    assert cleaned.table.height + cleaned.quarantined.height == table.height
    miles = cleaned.table.join(generate(TABLE).rename({"miles": "was"}), on="trip").select("miles", "was").drop_nulls()
    assert (miles["miles"] - miles["was"]).abs().max() < 0.01


def test_learned_repairs_are_suggested_for_the_training_rows():
    plan = suggest_cleaning(explore(damaged(), target="late"), target="late")
    learned = {(operation.kind, operation.column) for operation in plan.learned.operations}
    assert ("fill_learned", "miles") in learned
    assert ("merge_rare", "ship") in learned
    assert not {column for _, column in learned} & {"late", "trip"}
    table = clean(damaged(), plan.stateless).table
    columns = {name: table[name].to_list() for name in ("miles", "ship")}
    repaired = apply_repairs(columns, fit_repairs(columns, plan.learned.operations))
    assert None not in list(repaired["miles"])
    assert repaired["miles__missing"].mean() == pytest.approx(0.1, abs=0.02)


def test_a_plan_with_reasons_survives_json():
    plan = suggest_cleaning(explore(damaged(), target="late"), target="late")
    assert CleaningPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_clean_table_needs_no_plan():
    table = generate(TableSpec("t", 1000, (ColumnSpec("x", s.Normal()), ColumnSpec("late", s.Flag()))))
    assert suggest_cleaning(explore(table, target="late"), target="late").operations == ()
    constant = table.with_columns(late=pl.lit(value=True))
    assert suggest_cleaning(explore(constant, target="late"), target="late").operations == ()


def test_before_and_after_side_by_side():
    table = pl.DataFrame({"wind": [5.0, 1048.0, None], "year": [2013] * 3, "k": ["a", "A", "b"]})
    plan = CleaningPlan.from_dict(
        {
            "operations": [
                {"kind": "null_outside", "column": "wind", "maximum": 200},
                {"kind": "indicator", "column": "wind"},
                {"kind": "drop_columns", "columns": ["year"]},
                {"kind": "normalise_text", "columns": ["k"], "case": "lower"},
            ]
        }
    )
    cleaned = clean(table, plan)
    shown = {row["column"]: row for row in before_after(table, cleaned).to_dicts()}
    assert {name: row["change"] for name, row in shown.items()} == {
        "wind": "kept", "year": "dropped", "k": "kept", "wind__missing": "added",
    }  # fmt: skip
    assert (shown["wind"]["missing_before"], shown["wind"]["missing_after"]) == (1, 2)
    assert (shown["wind"]["greatest_before"], shown["wind"]["greatest_after"]) == ("1048.0", "5.0")
    assert (shown["k"]["distinct_before"], shown["k"]["distinct_after"]) == (3, 2)
    assert cleaned.report.operations[0].examples == ((1048.0, None),)
    assert cleaned.report.operations[3].examples == (("A", "a"),)
