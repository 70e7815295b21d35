"""The verbs of both rooms in a pipeline: what changed runs again, what did not is reused, and nothing is mixed up."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tidemill.data.availability import leaks
from tidemill.data.clean import clean
from tidemill.data.contract import ColumnRule, TableContract
from tidemill.data.enrich import key_join
from tidemill.data.explore import explore
from tidemill.data.operations import CleaningPlan, FilterRows
from tidemill.data.read import read
from tidemill.data.split import Splits, by_time
from tidemill.data.validate import validate
from tidemill.engine.pipeline import pipeline
from tidemill.engine.step import step
from tidemill.features.aggregations import count, mean
from tidemill.features.training_set import training_set
from tidemill.features.view import FeatureView
from tidemill.project import load_project, use_project

TOML = """
[project]
name = "trips"
[canvas]
prediction = { at = "dep - 2h" }
[sources.trips]
uri = "trips.csv"
event_time = "dep"
available_at = { delay = "left" }
[sources.planes]
uri = "planes.csv"
"""
CONTRACT = TableContract("trips", (ColumnRule("delay", maximum=1000),))
PLAN = CleaningPlan((FilterRows("delay IS NOT NULL", "no label"),))


@step
def arrivals(trips: pl.LazyFrame) -> pl.LazyFrame:
    return trips.with_columns(arrived=pl.col("dep") + pl.duration(hours=5))


DELAYS = FeatureView(
    "delays", source=arrivals, entity="carrier", event_time="arrived",
    features={"n": count(over="3d"), "mean": mean("delay", over="3d")},
)  # fmt: skip


@step
def labelled(table: pl.LazyFrame) -> pl.LazyFrame:
    return table.with_columns(left=pl.col("dep") + pl.duration(minutes="delay"), late=pl.col("delay") > 20)


@step
def sizes(data: Splits) -> dict[str, int]:
    return {**data.spec.rows, "features": len(data.spec.features)}


@step
def known_defects(found: object) -> int:
    return len(found.findings)


@pipeline
def prepare(drop: list[str], until: str = "2014-01-01") -> dict[str, int]:
    trips = read("trips", until=until)
    known_defects(explore(trips))
    cleaned = clean(validate(trips, CONTRACT), PLAN)
    enriched = key_join(labelled(cleaned.table), read("planes"), "tail")
    data = training_set(
        enriched, features=[DELAYS], target="late", split=by_time("2013-01-15", "2013-01-22"), drop=drop
    )
    return sizes(data)


@pytest.fixture
def root(tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text(TOML)
    trips = pl.DataFrame(
        {
            "dep": [datetime(2013, 1, 1) + timedelta(hours=12 * i) for i in range(60)],
            "carrier": ["UA", "B6"] * 30,
            "tail": ["N1", "N2", "N3"] * 20,
            "delay": [None, 5000] + [(i * 7) % 50 for i in range(2, 60)],
        }
    )
    trips.write_csv(tmp_path / "trips.csv")
    pl.DataFrame({"tail": ["N1", "N2"], "seats": [100, 200]}).write_csv(tmp_path / "planes.csv")
    with use_project(load_project(tmp_path)):
        yield tmp_path


def statuses(run) -> dict[str, str]:
    return {item.node: item.status for item in run.steps}


def test_a_pipeline_of_all_verbs_runs_and_is_reused(root):
    first = prepare.run(drop=["delay"])
    assert first.error is None, first.error
    assert first.result == {"train": 27, "validation": 14, "test": 17, "features": 5}
    again = prepare.run(drop=["delay"])
    assert set(statuses(again).values()) == {"cached"}
    with (root / "planes.csv").open("a") as file:
        file.write("N3,300\n")
    changed = statuses(prepare.run(drop=["delay"]))
    assert {node for node, status in changed.items() if status != "cached"} >= {"key_join", "build_training_set"}
    assert changed["arrivals"] == changed["clean"] == changed["validate"] == "cached"


def test_a_leak_stops_the_pipeline_with_the_reason(root):
    run = prepare.run(drop=[])
    assert run.status == "failed"
    assert "'delay' is known at left" in str(run.error)


def test_leaks_can_be_listed_instead(root):
    table = labelled(read("trips").collect())
    found = leaks(table, {"delay": "left"}, "dep - 2h", target="late", columns=["delay"])
    assert [leak.column for leak in found] == ["delay"]
