"""What explore finds on real tables is counted: faults that were put in, and alarms where nothing was."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta

import polars as pl
import pytest
from packaged_tables import Packaged, of_flights, of_sklearn

from tidemill.core.errors import SchemaError, UsageError
from tidemill.data.clean import clean
from tidemill.data.disturb import disturb
from tidemill.data.explore import explore
from tidemill.data.generation import disturbances as d
from tidemill.data.generation.typical import typical_faults
from tidemill.data.judging import ANSWERS, judge_exploration
from tidemill.data.suggest import suggest_cleaning

FLIGHTS = 6_000
START = datetime(2024, 1, 1)


def flights() -> Packaged:
    references = {name: of_flights(name) for name in ("planes", "airports")}
    return Packaged(of_flights("flights").head(FLIGHTS), None, references, ("tailnum", "dest"))


TABLES = {
    "iris": lambda: of_sklearn("iris"),
    "wine": lambda: of_sklearn("wine"),
    "diabetes": lambda: of_sklearn("diabetes"),
    "breast cancer": lambda: of_sklearn("breast_cancer"),
    "airports": lambda: Packaged(of_flights("airports")),
    "planes": lambda: Packaged(of_flights("planes")),
    "flights": flights,
}
#: Errors and warnings that are true of the tables as they come.
TRUE = {
    "airports": set(),
    "planes": {"spelling_variants:model", "mostly_missing:speed"},
    "flights": {
        "clock_as_number:dep_time", "clock_as_number:sched_dep_time", "clock_as_number:arr_time",
        "clock_as_number:sched_arr_time", "clock_2400:dep_time", "clock_2400:arr_time", "hour_mismatch:time_hour",
        "orphan_keys:tailnum", "orphan_keys:dest", "late_rows:time_hour",
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_nine_faults_of_ten_are_found_and_a_clean_table_raises_one_alarm_at_most(name):
    given = TABLES[name]()
    found, missed = 0, Counter()
    for seed in range(3):
        faults = typical_faults(given.table, target=given.target, foreign_keys=given.foreign_keys, seed=seed)
        judged = judge_exploration(given.table, faults, target=given.target, references=given.references, seed=seed)
        found += sum(fault.finding is not None for fault in judged.faults)
        missed += Counter(fault.injected.kind for fault in judged.faults if fault.changed and fault.finding is None)
        alarms = {f"{alarm.kind}:{alarm.column}" for alarm in judged.alarms} - TRUE.get(name, set())
        assert len(alarms) <= 1, alarms
    assert found / (found + missed.total()) >= 0.9, missed
    print(f"{name}: {found} of {found + missed.total()}, missed {dict(missed)}")


def readings(rows: int = 600) -> pl.DataFrame:
    """Made up by formulas whose digits do not repeat, so that nothing in it is a defect."""
    phase = [math.sin(place * 12.9898) * 43758.5453 % 1.0 for place in range(2 * rows)]
    return pl.DataFrame(
        {
            "mass": [round(40 + 20 * phase[place], 2) for place in range(rows)],
            "depth": [round(300 + 90 * phase[rows + place], 2) for place in range(rows)],
            "port": ["Oslo" if phase[place] < 0.4 else "Bergen" for place in range(rows)],
            "at": [START + timedelta(hours=place) for place in range(rows)],
        }
    )  # fmt: skip


FAULTS = [
    (d.Sentinels("mass", -999.0, 0.002), "sentinel:mass"),
    (d.Sentinels("mass", 999.0, 0.3), "sentinel:mass"),
    (d.Sentinels("at", "1900-01-01", 0.05), "sentinel:at"),
    (d.Sentinels("at", "1970-01-01", 0.004), "sentinel:at"),
    (d.SignFlip("mass", 0.01), "sign_flip:mass"),
    (d.SignFlip("mass", 1.0, since=0.75), "sign_flip:mass"),
    (d.Rounding("mass", 0, since=0.8), "precision_change:mass"),
    (d.Rounding("depth", -1, since=0.1), "precision_change:depth"),
    (d.Stuck("depth", 0.4, 0.03), "stuck_values:depth"),
    (d.Swapped(("mass", "depth"), since=0.9), "swapped_columns:mass"),
    (d.UnitChange("mass", 2.2046226, since=0.9), "unit_break:mass"),
    (d.Nulls(("depth",), 0.03), "missing_values:depth"),
    (d.Nulls(("depth",), 1.0, since=0.9), "missing_burst:depth"),
    (d.MixedTypes("mass", "n.b.", 1.0, since=0.95), "mixed_types:mass"),
    (d.LateRows("at", "6h", 0.02), "late_rows:at"),
    (d.ZoneShift("at", "-5h", since=0.4), "clock_shift:at"),
    (d.ZoneShift("at", "5h", since=0.4), "time_gap:at"),
    (d.Outliers("mass", 650.0, 1), "impossible_value:mass"),
    (d.DuplicatedBatch(0.2, 0.02), "duplicate_rows:*"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "expected"), FAULTS, ids=[f"{fault.kind}-{place}" for place, (fault, _) in enumerate(FAULTS)]
)
def test_a_fault_is_named_alone(fault, expected):
    table = readings()
    for seed in range(2):
        found = explore(disturb(table, [fault], seed=seed).table).findings
        named = {f"{finding.kind}:{finding.column}" for finding in found if finding.severity != "note"}
        noted = {f"{finding.kind}:{finding.column}" for finding in found}
        assert expected in noted
        both = {"swapped_columns:mass", "swapped_columns:depth"}
        assert named <= (both if expected in both else {expected}), (fault, named)


def test_nothing_is_wrong_with_a_table_in_which_nothing_is_wrong():
    assert [finding for finding in explore(readings()).findings if finding.severity != "note"] == []


def test_every_disturbance_has_findings_that_name_it():
    assert set(ANSWERS) == set(d._KINDS)


def test_a_judge_counts_what_was_missed():
    table = pl.DataFrame({"x": [place % 7 for place in range(300)], "y": [place % 11 for place in range(300)]})
    judged = judge_exploration(table, [d.Shift("x", 0.0), d.Shift("x", 1.0, share=0.02), d.Nulls(("x",), 0.2)])
    assert [fault.finding is None for fault in judged.faults] == [True, True, False]
    assert [fault.changed for fault in judged.faults] == [False, True, True]
    assert judged.recall == 0.5
    assert math.isnan(judge_exploration(table, []).recall)


@pytest.mark.parametrize(
    ("words", "kind", "count"),
    [
        (["2024-01-02", "2024-01-03", "2024-02-04", "2024-02-05", "2024-03-06", "07/03/2024"], "mixed_dates", 1),
        ([f"2024-0{month}-01T00:00:00+0{1 + month // 4}:00" for month in range(1, 8)], "mixed_offsets", 7),
        ([f"{number}.5" for number in range(8)], "number_as_text", 8),
        ([f"2024-01-0{day}" for day in range(1, 9)], "time_as_text", 8),
        (["Zürich", "ZÃ¼rich", "Bern", "Genève", "GenÃ¨ve", "Köln"], "encoding_damage", 2),
        (["Ñandú", "Århus", "Łódź", "Αθήνα", "中山", "café"], None, 0),
        (["02134", "01002", "90210", "10001", "60601", "73301"], None, 0),
    ],
)
def test_words_that_mislead_are_named(words, kind, count):
    found = [finding for finding in explore(pl.DataFrame({"w": words * 3})).findings if finding.column == "w"]
    assert [(finding.kind, finding.count) for finding in found] == ([(kind, 3 * count)] if kind else [])


def test_a_type_that_changes_late_is_found_where_it_changes():
    values = [str(number % 89) for number in range(1_000_000)]
    values[900_000:] = ["n.b."] * 100_000
    finding = next(item for item in explore(pl.DataFrame({"x": values})).findings if item.kind == "mixed_types")
    assert "from row 900,001 on" in finding.explanation
    assert finding.count == 100_000


@pytest.mark.parametrize(("zone", "twice"), [("America/New_York", 1), ("Europe/Berlin", 2)])
def test_a_local_clock_without_zone_is_told_from_utc(zone, twice):
    hours = pl.datetime_range(datetime(2023, 1, 1), datetime(2024, 1, 1), "1h", time_zone="UTC", eager=True)
    local = hours.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    found = {finding.kind: finding for finding in explore(pl.DataFrame({"at": local})).findings}
    assert f"{twice:02}:00 comes twice" in found["daylight_saving"].explanation
    assert "time_gap" not in found
    assert "daylight_saving" not in {f.kind for f in explore(pl.DataFrame({"at": hours})).findings}


def departures() -> pl.DataFrame:
    start = pl.datetime(2024, 1, 1) + pl.duration(hours=pl.col("n"))
    return pl.DataFrame({"n": range(80)}).select(
        "n", planned=start, left=start + pl.duration(hours=1), delay=pl.col("n") % 7, late=pl.col("n") % 2 == 0
    )


def test_a_column_known_only_after_the_prediction_is_a_leak_however_little_it_tells():
    table = departures()
    times = {"delay": "left", "n": "always"}
    found = {f.column: f for f in explore(table, available_at=times, prediction_time="planned").findings}
    assert found["delay"].kind == "leak"
    assert found["delay"].count == 80
    assert found["n"].kind == "id_like"
    late = explore(table, available_at={"*": "planned"}, prediction_time="planned", target="late").findings
    assert not [f for f in late if f.kind == "leak"]
    lost = explore(table.drop("left"), available_at={"delay": "left"}, prediction_time="planned").findings
    assert "leak_unchecked" in {f.kind for f in lost}


def test_half_a_declaration_is_refused_and_so_is_one_about_nothing():
    with pytest.raises(UsageError, match="needs both times"):
        explore(departures(), prediction_time="planned")
    with pytest.raises(UsageError, match="needs both times"):
        explore(departures(), available_at={"delay": "left"})
    with pytest.raises(SchemaError, match="dely"):
        explore(departures(), available_at={"dely": "left"}, prediction_time="planned")
    with pytest.raises(SchemaError, match="prediction_time"):
        explore(departures(), available_at={"delay": "left"}, prediction_time="plan - 1h")


def test_measurements_of_one_thing_are_no_leaks_and_what_stands_out_is():
    given = of_sklearn("breast_cancer")
    assert not [f for f in explore(given.table, target="target").findings if f.kind == "suspiciously_predictive"]
    for name, target in (("breast_cancer", "target"), ("diabetes", "target"), ("wine", "target")):
        leaky = disturb(of_sklearn(name).table, [d.Leak(target, noise=0.1)]).table
        named = {f.column for f in explore(leaky, target=target).findings if f.kind == "suspiciously_predictive"}
        assert named == {"outcome_code"}


def test_new_categories_in_a_part_are_named():
    table = readings()
    part = disturb(table, [d.NewCategory("port", "Tromsø", 0.1)]).table
    found = {(f.kind, f.column): f for f in explore(table, parts={"test": part}).findings}
    assert found["new_values", "port"].examples == ("Tromsø",)
    same = explore(table, parts={"test": table.head(100)}).findings
    assert "new_values" not in {finding.kind for finding in same}


REPAIRED = [
    (fault, expected) for fault, expected in FAULTS
    if expected.split(":")[0] in {"sentinel", "sign_flip", "impossible_value", "mixed_types", "duplicate_rows"}
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "expected"), REPAIRED, ids=[f"{fault.kind}-{n}" for n, (fault, _) in enumerate(REPAIRED)]
)
def test_the_suggested_plan_makes_the_finding_go(fault, expected):
    damaged = disturb(readings(), [fault]).table
    plan = suggest_cleaning(explore(damaged))
    after = explore(clean(damaged, plan.stateless)).findings
    assert expected not in {f"{finding.kind}:{finding.column}" for finding in after}
    assert {finding.kind for finding in after} <= {"missing_values", "missing_burst", "time_gap"}
