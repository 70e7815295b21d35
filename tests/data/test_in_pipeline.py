"""Records of the data room survive storage, and its verbs are steps: the second run does nothing again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tidemill.core.clock import VirtualClock, use_clock
from tidemill.core.errors import RunError
from tidemill.data.contract import ColumnRule, Freshness, TableContract
from tidemill.data.disturb import disturb
from tidemill.data.explore import Exploration, explore
from tidemill.data.generate import generate, resample
from tidemill.data.generation import shapes as s
from tidemill.data.generation.disturbances import Outliers, UnitChange
from tidemill.data.generation.shapes import ColumnSpec, TableSpec
from tidemill.data.operations import CleaningPlan
from tidemill.data.suggest import suggest_cleaning
from tidemill.data.validate import Validated, validate
from tidemill.engine.pipeline import pipeline
from tidemill.engine.step import step
from tidemill.project import load_project, use_project

SPEC = TableSpec(
    "trips",
    500,
    (
        ColumnSpec("miles", s.LogNormal(400, 0.5)),
        ColumnSpec("port", s.Category({"a": 1, "b": 2})),
        ColumnSpec("at", s.Times("2024-01-01", "2024-03-01")),
        ColumnSpec("late", s.Outcome("0.003 * miles - 2")),
    ),
)


@pipeline
def life(rows: int = 600) -> CleaningPlan:
    """Make a table, damage it, look at it, and plan its repair."""
    table = resample(generate(SPEC, seed=1), rows, jitter=0.1)
    broken = disturb(table, [Outliers("miles", 1e7, 1), UnitChange("miles", 1000.0, since=0.7)])
    return suggest_cleaning(explore(broken.table, target="late"), target="late")


@pipeline
def explored() -> Exploration:
    """Look at a made-up table."""
    return explore(generate(SPEC, seed=1), target="late")


@pipeline
def fresh() -> pl.DataFrame:
    """Check how old a made-up table is."""
    return validate(generate(SPEC, seed=1), TableContract("trips", freshness=(Freshness("at", "2d"),))).valid


@step
def two_days() -> TableContract:
    """A contract that a step makes."""
    return TableContract("trips", freshness=(Freshness("at", "2d"),))


@pipeline
def fresh_by_step() -> pl.DataFrame:
    """Check how old a made-up table is by the contract of a step."""
    return validate(generate(SPEC, seed=1), two_days()).valid


@pipeline
def looked_at() -> Validated:
    """Check a made-up table and explore it in the same reading."""
    contract = TableContract("trips", (ColumnRule("miles", maximum=1000),))
    return validate(generate(SPEC, seed=1), contract, profile=True)


@pytest.fixture
def project(tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "trips"\n')
    with use_project(load_project(tmp_path)):
        yield


def statuses(run) -> dict[str, str]:
    return {step.step: step.status for step in run.steps}


def test_the_life_of_a_table_runs_and_is_reused(project):
    first = life.run()
    assert first.status == "succeeded"
    plan = first.result
    assert {operation.kind for operation in plan.operations} >= {"null_outside"}
    assert len(plan.reasons) == len(plan.operations)
    again = life.run()
    assert set(statuses(again).values()) == {"cached"}
    assert again.result == plan
    changed = statuses(life.run(rows=700))
    assert changed["generate"] == "cached"
    assert changed["resample"] == "succeeded"


def test_an_exploration_comes_back_from_the_store_as_it_was(project):
    stored = explored.run().result
    assert isinstance(stored, Exploration)
    assert stored.to_dict() == explore(generate(SPEC, seed=1), target="late").to_dict()


@pytest.mark.parametrize("checking", [fresh, fresh_by_step], ids=["given", "of a step"])
def test_a_table_that_was_fresh_yesterday_is_checked_again_today(project, checking):
    latest = generate(SPEC, seed=1)["at"].max()
    with use_clock(VirtualClock(latest + timedelta(days=1))):
        assert checking.run().status == "succeeded"
    with use_clock(VirtualClock(latest + timedelta(days=3))), pytest.raises(RunError, match="older than 2d"):
        checking()


@pytest.mark.usefixtures("project")
def test_the_exploration_of_a_checked_table_is_kept_with_its_run():
    checked = looked_at()
    assert checked.exploration.columns[0].maximum > 1000
    assert checked.exploration.rows == checked.valid.height + checked.quarantined.height
    assert looked_at().exploration == checked.exploration
