"""A finding is wrong rows, not rows that differ: what comes again, comes in groups, or crosses is left in peace."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import polars as pl
import pytest
from packaged_tables import of_sklearn

from tidemill.data.disturb import disturb
from tidemill.data.explore import explore
from tidemill.data.generation import disturbances as d

START = datetime(2024, 1, 1)


def noise(place: int) -> float:
    """A number between 0 and 1 that follows from its place."""
    return math.sin(place * 12.9898) * 43758.5453 % 1.0


def named(table: pl.DataFrame, target: str | None = None) -> set[str]:
    found = explore(table, target=target).findings
    return {f"{finding.kind}:{finding.column}" for finding in found if finding.severity != "note"}


def arrivals(days: int, *, gone: frozenset[int]) -> pl.DataFrame:
    """Forty rows a day, the last ten of the days `gone` without a value."""
    rows = [(day, place) for day in range(days) for place in range(40)]
    values = [None if day in gone and place >= 30 else noise(40 * day + place) for day, place in rows]
    return pl.DataFrame({"value": values, "other": [noise(row + 9_000) for row in range(len(rows))]})


def test_values_that_stop_at_each_days_end_are_no_burst_and_those_that_stop_once_are():
    assert named(arrivals(30, gone=frozenset({3, 9, 11, 17, 20, 26}))) == set()
    once = arrivals(30, gone=frozenset({17})).with_columns(
        value=pl.when(pl.int_range(pl.len()).is_between(700, 760)).then(None).otherwise("value")
    )
    assert named(once) == {"missing_burst:value"}


def hours(days: int, *, lost: int = -1) -> pl.DataFrame:
    """A row every hour from six to midnight, but for one day."""
    times = [START + timedelta(days=day, hours=hour) for day in range(days) for hour in range(6, 24) if day != lost]
    return pl.DataFrame({"at": times, "value": [noise(place) for place in range(len(times))]})


def test_nights_without_rows_are_no_gap_and_a_day_is():
    assert named(hours(12)) == set()
    assert named(hours(12, lost=7)) == {"time_gap:at"}


def test_columns_that_are_missing_in_one_stretch_are_one_finding():
    table = pl.DataFrame(
        {name: [noise(place + start) for place in range(400)] for start, name in ((0, "a"), (999, "b"))}
    )
    gone = pl.int_range(pl.len()) >= 300
    found = explore(table.with_columns(pl.when(~gone).then(pl.all()))).findings
    bursts = [finding for finding in found if finding.kind == "missing_burst"]
    assert [finding.column for finding in bursts] == ["a"]
    assert "so are b" in bursts[0].explanation


def test_a_value_of_a_group_is_not_stuck():
    towns = (
        [town for town in range(40) for _ in range(4)] + [40] * 90 + [town for town in range(41, 70) for _ in range(4)]
    )
    tax = [round(300 + 400 * noise(town), 1) for town in towns]
    table = pl.DataFrame({"town": towns, "tax": tax, "price": [noise(place) for place in range(len(towns))]})
    assert "stuck_values:tax" not in named(table)
    assert "stuck_values:price" in named(disturb(table, [d.Stuck("price", 0.3, 0.1)]).table)


def sorted_by_kind() -> pl.DataFrame:
    """Three kinds one after the other, each of another size; length and width go together."""
    rows = range(450)
    length = [round((3.0, 8.0, 20.0)[place // 150] * math.exp(0.3 * (noise(place) - 0.5)), 5) for place in rows]
    width = [round(value * 0.4 * math.exp(0.1 * (noise(place + 999) - 0.5)), 5) for place, value in enumerate(length)]
    return pl.DataFrame({"kind": [("s", "m", "l")[place // 150] for place in rows], "length": length, "width": width})


@pytest.mark.parametrize("since", [0.2, 0.55, 0.8])
def test_a_unit_that_changes_in_a_table_sorted_by_kind_is_seen_beside_the_other_columns(since):
    table = sorted_by_kind()
    assert named(table) == set()
    assert "unit_break:width" in named(disturb(table, [d.UnitChange("width", 1.609344, since=since)]).table)


def test_curves_that_cross_are_not_swapped_and_columns_that_are_swapped_are_though_a_value_is_missing():
    rows = range(300)
    rising = [100 + place / 3 + noise(place) for place in rows]
    falling = [200 - place / 3 + noise(place + 999) for place in rows]
    assert "swapped_columns:rising" not in named(pl.DataFrame({"rising": rising, "falling": falling}))
    birds = pl.DataFrame(
        {
            "depth": [None if place == 40 else 15 + 3 * noise(place) for place in rows],
            "length": [40 + 9 * noise(place + 999) for place in rows],
        }
    )
    assert {"swapped_columns:depth", "swapped_columns:length"} <= named(
        disturb(birds, [d.Swapped(("depth", "length"), since=0.7)]).table
    )


@pytest.mark.parametrize(
    ("factor", "expected"), [(1 / 1000, {"impossible_value:mass"}), (1000, {"impossible_value:mass"})]
)
def test_a_value_in_a_smaller_or_larger_unit_is_impossible(factor, expected):
    masses = [round(60 * math.exp(0.5 * (noise(place) + noise(place + 999) - 1)), 3) for place in range(200)]
    assert named(pl.DataFrame({"mass": masses})) == set()
    masses[120] = round(masses[120] * factor, 6)
    assert named(pl.DataFrame({"mass": masses})) == expected


def test_rows_entered_again_are_told_among_rows_that_are_mostly_alike():
    rows = range(900)
    planes = pl.DataFrame(
        {
            "tail": [f"N{place:04}" for place in rows],
            "maker": [("Boeing", "Airbus", "Embraer")[place % 3] for place in rows],
            "engine": [("Turbo-fan", "Turbo-jet")[place % 2] for place in rows],
            "seats": [(120, 150, 180, 220)[place % 4] for place in rows],
        }
    )
    assert named(planes) == set()
    again = disturb(planes, [d.NearDuplicates(9, keys=("tail",))]).table
    found = {finding.kind: finding for finding in explore(again).findings}
    assert found["near_duplicates"].count == 9


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_overlapping_classes_are_no_wrong_labels(name):
    assert "doubtful_labels:target" not in named(of_sklearn(name).table, "target")


def test_wrong_labels_are_found_where_classes_are_told_apart():
    table = of_sklearn("breast_cancer").table
    found = explore(disturb(table, [d.LabelNoise("target", 0.04)], seed=1), target="target").findings  # type: ignore[arg-type]
    doubtful = next(finding for finding in found if finding.kind == "doubtful_labels")
    assert 8 <= doubtful.count <= 30
