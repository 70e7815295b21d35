"""Why was it late? The tables do not say: rules vote, and people decide where the rules are least sure."""

from __future__ import annotations

import polars as pl

import tidemill as tm
from pipeline import flown
from tables import FLIGHTS, FLIGHTS_REPAIRS, WEATHER, WEATHER_REPAIRS

CAUSES = tm.LabelSchema(("weather", "departure", "en route"))
GUIDELINES = (
    "What made this flight late? weather: snow, storm or fog at the origin. departure: it left late, whatever the "
    "reason. en route: it left on time and lost the time in the air."
)
RULES = (
    tm.LabellingFunction("poor sight", "visib < 2", "weather"),
    tm.LabellingFunction("rain or snow", "precip > 0.05", "weather"),
    tm.LabellingFunction("strong wind", "wind_speed > 25", "weather"),
    tm.LabellingFunction("left late", "dep_delay > 15", "departure"),
    tm.LabellingFunction("made up time", "arr_delay < dep_delay", "departure"),
    tm.LabellingFunction("left on time", "dep_delay <= 5", "en route"),
    tm.LabellingFunction("lost time in the air", "arr_delay - dep_delay > 10", "en route"),
)
SHOWN = ["carrier", "flight", "origin", "dest", "sched_dep", "dep_delay", "arr_delay", "visib", "precip", "wind_speed"]


@tm.step
def late_from(trips: pl.LazyFrame, since: str) -> pl.LazyFrame:
    """The flights that arrived late since a day."""
    return trips.filter(pl.col("late"), pl.col("sched_dep").dt.date() >= pl.lit(since).str.to_date())


@tm.step(stage="label", effect=True)
def ask_people(flights: pl.DataFrame, votes: pl.DataFrame, count: int) -> int:
    """Put the flights about which the rules are least sure into a queue for planners; how many are new there."""
    unsure = flights.with_columns(sure=votes["confidence"].fill_null(0.0)).sort("sure", maintain_order=True)
    tasks = unsure.head(count).select(SHOWN)
    queue = tm.label_queue("causes", CAUSES, guidelines=GUIDELINES)
    return queue.add(tasks, key=["carrier", "flight", "origin", "sched_dep"]).tasks


@tm.pipeline
def causes(since: str = "2013-12-01", count: int = 100) -> int:
    """Weak labels for every late flight, and a queue of those that a person should look at."""
    references = {"planes": tm.read("planes"), "airports": tm.read("airports"), "airlines": tm.read("airlines")}
    good_flights = tm.validate(tm.read("flights"), FLIGHTS, references)
    good_weather = tm.validate(tm.read("weather"), WEATHER)
    trips = flown(tm.clean(good_flights.valid, FLIGHTS_REPAIRS).table)
    weather = tm.clean(good_weather.valid, WEATHER_REPAIRS).table
    late = late_from(trips, since)
    seen = tm.asof_join(late, weather, left_time="sched_dep", right_time="time_hour", by="origin", tolerance="6h")
    votes = tm.weak_labels(seen.table, RULES)
    return ask_people(seen.table, votes.table, count)
