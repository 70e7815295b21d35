"""A page may only be as right as what is read back from the store."""

from __future__ import annotations

import polars as pl

import tidemill as tm
from tidemill.core.records import Execution
from tidemill.data.explore import Exploration
from tidemill.project import load_project, open_project_store, use_project
from tidemill.server.subjects import name_in
from tidemill.server.summary import summarise


@tm.step
def warm(left: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """The left table; the other one comes first in the alphabet."""
    return left.filter(pl.col("level") > first["level"].min())


@tm.pipeline
def look() -> Exploration:
    """Two sources, explored."""
    tides, weather = tm.read("tides"), tm.read("weather")
    tm.explore(weather)
    return tm.explore(warm(tides, weather))


def project_in(folder):
    for name in ("tides", "weather"):
        pl.DataFrame({"level": [1.0, 2.0, 3.0]}).write_csv(folder / f"{name}.csv")
    text = '[project]\nname = "harbour"\n[sources.tides]\nuri = "tides.csv"\n[sources.weather]\nuri = "weather.csv"\n'
    (folder / "tidemill.toml").write_text(text)
    return load_project(folder)


def test_a_run_is_read_back_with_its_stages_records_and_subjects(tmp_path):
    project = project_in(tmp_path)
    with use_project(project):
        first = look.run()
        again = look.run()
        store = open_project_store(project)
        for run in (first, again):  # of a cached step the one that did the work is looked at
            found = summarise(store, run.id)
            assert found.subjects == {"explore": "weather", "explore#2": "tides"}
            assert len(found.records_of(Exploration)) == 2
            assert found.last(Exploration) == found.records[-1][2]
            assert found.last(Execution) is None
            by_node = {stage.node: stage for stage in found.stages}
            assert (by_node["warm"].rows_in, by_node["warm"].rows_out) == (6, 2)
        assert {stage.status for stage in found.stages} == {"cached"}
        assert summarise(store, first.id, {"warm": "moments"}).stages[2].seconds >= 0
        store.close()


def test_a_name_is_found_in_whatever_wraps_it():
    assert name_in(None) is None
    assert name_in({"plain": {"uri": "x"}}) is None
    assert name_in("s3://bucket/planes.parquet") == "planes"
