"""What was put into a table is found again, and a clean one is left in peace."""

from __future__ import annotations

import re

import pytest

from tidemill.data.disturb import disturb
from tidemill.data.explore import explore
from tidemill.data.generate import generate
from tidemill.data.generation import disturbances as d
from tidemill.data.generation import shapes as s
from tidemill.data.generation.shapes import ColumnSpec, Correlation, TableSpec

DAY, WEEK = (1.0,) * 6 + (4.0,) * 12 + (2.0,) * 6, (3.0,) * 5 + (2.0,) * 2
SHIPS = TableSpec("ships", 60, (ColumnSpec("ship", s.Serial(prefix="S")), ColumnSpec("tonnes", s.Whole(500, 9000))))
TRIPS = TableSpec(
    "trips",
    4000,
    (
        ColumnSpec("trip", s.Serial()),
        ColumnSpec("ship", s.Reference("ships", "ship")),
        ColumnSpec("miles", s.LogNormal(400, 0.5), decimals=1),
        ColumnSpec("load", s.Normal(700, 90), decimals=1),
        ColumnSpec("crew", s.Poisson(9)),
        ColumnSpec("port", s.Category({"Bergen": 4, "Genova": 3, "Porto": 2, "Odense": 1})),
        ColumnSpec("at", s.Times("2024-01-01", "2024-12-31", daily=DAY, weekly=WEEK)),
        ColumnSpec("late", s.Outcome("0.004 * load - 4")),
    ),
    (Correlation("miles", "load", 0.3),),
)  # fmt: skip
PATIENTS = TableSpec(
    "patients",
    2500,
    (
        ColumnSpec("patient", s.Serial(prefix="P")),
        ColumnSpec("name", s.Person("name")),
        ColumnSpec("weight", s.Normal(78, 12), decimals=1),
        ColumnSpec("age", s.Whole(18, 95)),
        ColumnSpec("pressure", s.Normal(125, 14), decimals=0),
        ColumnSpec("ward", s.Category({"north": 2, "south": 2, "east": 1})),
        ColumnSpec("admitted", s.Times("2023-01-01", "2023-12-01", ordered=False)),
        ColumnSpec("back", s.Outcome("0.03 * age - 3")),
    ),
)
METERS = TableSpec(
    "meters",
    6000,
    (
        ColumnSpec("reading", s.Serial()),
        ColumnSpec("power", s.Exponential(3.5), decimals=3),
        ColumnSpec("outside", s.Normal(12, 7), decimals=1),
        ColumnSpec("tariff", s.Category({"day": 3, "night": 2})),
        ColumnSpec("meter", s.Pattern("M-##")),
        ColumnSpec("at", s.Times("2024-01-01", "2024-04-01")),
        ColumnSpec("fault", s.Outcome("0.25 * power - 3")),
    ),
)
CLEAN = {"trips": (TRIPS, "late"), "patients": (PATIENTS, "back"), "meters": (METERS, "fault")}
DEFECTS = {
    "trips": [
        (d.UnitChange("miles", 1.609344, since=0.6), "unit_break:miles"),
        (d.UnitChange("load", 2.2046226, where="port = 'Genova'"), "unit_break:load"),
        (d.Outliers("crew", 400, 2), "impossible_value:crew"),
        (d.Spelling("port"), "spelling_variants:port"),
        (d.EncodingDamage("port"), "encoding_damage:port"),
        (d.Orphans("ship", "S999", 0.03), "orphan_keys:ship"),
        (d.DuplicatedBatch(0.3, 0.05), "duplicate_rows:*"),
        (d.Nulls(("late",), 0.05), "missing_labels:late"),
        (d.Gap(0.6, 0.06), "time_gap:at"),
    ],
    "patients": [
        (d.NearDuplicates(12, keys=("patient",)), "near_duplicates:*"),
        (d.UnitChange("weight", 2.2046226, where="ward = 'east'"), "unit_break:weight"),
        (d.NullTokens("ward"), "null_token:ward"),
        (d.MixedTypes("age"), "mixed_types:age"),
        (d.Outliers("pressure", 12_500.0, 2), "impossible_value:pressure"),
        (d.Nulls(("weight", "pressure"), 0.7), "mostly_missing:weight"),
    ],
    "meters": [
        (d.UnitChange("power", 1000.0, since=0.8), "unit_break:power"),
        (d.UnitChange("outside", 1.8, 32.0, since=0.3), "unit_break:outside"),
        (d.Gap(0.4, 0.1), "time_gap:at"),
        (d.EncodingDamage("tariff"), "encoding_damage:tariff"),
        (d.DuplicatedBatch(0.5, 0.01), "duplicate_rows:*"),
    ],
}  # fmt: skip


def made(name: str, seed: int):
    return generate(CLEAN[name][0], seed=seed, parents={"ships": generate(SHIPS)})


def found(name: str, table) -> set[str]:
    seen = explore(table, target=CLEAN[name][1], references={"ships": generate(SHIPS)} if name == "trips" else None)
    return {f"{finding.kind}:{finding.column}" for finding in seen.findings if finding.kind != "missing_values"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_table_raises_no_alarm(name, seed):
    alarms = {finding for finding in found(name, made(name, seed)) if not finding.startswith("id_like")}
    assert alarms == set()


@pytest.mark.parametrize(
    ("name", "defect", "expected"), [(name, *pair) for name, pairs in DEFECTS.items() for pair in pairs]
)
def test_each_defect_is_found_alone(name, defect, expected):
    for seed in range(2):
        before = made(name, seed)
        assert expected in found(name, disturb(before, [defect], seed=seed).table)


@pytest.mark.parametrize("name", CLEAN)
def test_defects_are_found_together(name):
    injected = disturb(made(name, 5), [defect for defect, _ in DEFECTS[name] if defect.kind != "nulls"], seed=5)
    expected = {finding for defect, finding in DEFECTS[name] if defect.kind != "nulls"}
    seen = found(name, injected.table)
    assert len(expected & seen) >= 0.9 * len(expected), expected - seen
    assert len({finding for finding in seen - expected if not finding.startswith("id_like")}) <= 1


def test_a_changed_unit_is_counted_and_explained():
    out = disturb(made("trips", 0), [d.UnitChange("miles", 1.609344, since=0.6)])
    finding = next(f for f in explore(out.table).findings if f.kind == "unit_break")
    assert finding.count == pytest.approx(out.truth[0].rows, rel=0.05)
    assert "miles and kilometres" in finding.explanation
    assert re.search("from (59|60|61)% of the way", finding.explanation)


def test_drift_is_not_an_error_but_parts_that_differ_are_named():
    table = made("trips", 0)
    out = disturb(table, [d.Shift("load", 60.0), d.Scale("miles", 1.25), d.Prevalence("port", "Porto", 0.6)])
    assert {f.kind for f in explore(out.table).findings} <= {"id_like", "time_gap", "precision_change"}
    drifted = explore(table.head(2000), parts={"test": out.table.tail(600)})
    named = {finding.column for finding in drifted.findings if finding.kind == "part_drift"}
    assert {"load", "miles", "port"} <= named <= {"load", "miles", "port", "trip", "at"}
    assert drifted.drift[0].value >= drifted.drift[-1].value
