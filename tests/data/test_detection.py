"""What explore finds on real tables is counted: faults that were put in, and alarms where nothing was."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta

import polars as pl
import pytest
from packaged_tables import Packaged, of_flights, of_sklearn

from tidemill.data.disturb import disturb
from tidemill.data.explore import explore
from tidemill.data.generation import disturbances as d
from tidemill.data.generation.typical import typical_faults
from tidemill.data.judging import ANSWERS, judge_exploration

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
        missed += Counter(fault.injected.kind for fault in judged.faults if fault.finding is None)
        alarms = {f"{alarm.kind}:{alarm.column}" for alarm in judged.alarms} - TRUE.get(name, set())
        assert len(alarms) <= 1, alarms
    assert found / (found + missed.total()) >= 0.85, missed
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
        assert named <= {expected}, (fault, named)


def test_nothing_is_wrong_with_a_table_in_which_nothing_is_wrong():
    assert [finding for finding in explore(readings()).findings if finding.severity != "note"] == []


def test_every_disturbance_has_findings_that_name_it():
    assert set(ANSWERS) == set(d._KINDS)


def test_a_judge_counts_what_was_missed():
    table = pl.DataFrame({"x": [place % 7 for place in range(300)], "y": [place % 11 for place in range(300)]})
    judged = judge_exploration(table, [d.Shift("x", 0.0), d.Nulls(("x",), 0.2)])
    assert [fault.finding is None for fault in judged.faults] == [True, False]
    assert judged.recall == 0.5
    assert math.isnan(judge_exploration(table, []).recall)
