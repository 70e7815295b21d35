"""Will a flight arrive more than 15 minutes late? Known two hours before its scheduled departure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl
from lightgbm import LGBMClassifier

import tidemill as tm
from features import VIEWS
from serving import ask, compare, departures, precompute
from tables import FLIGHTS, FLIGHTS_REPAIRS, TRIPS, WEATHER, WEATHER_REPAIRS
from tidemill.data.availability import declared_availability
from tidemill.evaluation import Examination

AT = "sched_dep - 2h"
COSTS = {"false_positive": 40, "false_negative": 250}
#: The flights since this day are those that the champion is asked about when it is served.
DUE = "2013-12-01"
#: Minutes from touchdown to the gate; the table has only the time in the air.
TAXI = 30
#: What a planner knows from the schedule, the aircraft and the weather report.
COLUMNS = [
    "hour", "minute", "weekday", "carrier", "origin", "dest", "distance", "sched_minutes",
    "plane_year", "plane_seats", "plane_engines", "plane_manufacturer",
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib",
]  # fmt: skip


@tm.step(stage="moments")
def flown(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Every flight with the moments at which its facts became known, and whether it was late."""
    departed = pl.col("sched_dep") + pl.duration(minutes="dep_delay")
    landed = departed + pl.duration(minutes=pl.col("air_time") + TAXI)
    return flights.with_columns(
        departed_at=departed,
        arrived_at=landed,
        late=pl.col("arr_delay") > 15,
        weekday=pl.col("sched_dep").dt.convert_time_zone("America/New_York").dt.weekday(),
        sched_minutes=pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100,
    ).filter(pl.col("arrived_at").is_not_null())


def build(params: dict[str, Any]) -> LGBMClassifier:
    """An estimator that is not fitted yet."""
    return LGBMClassifier(**params, n_jobs=1, random_state=7, verbose=-1, deterministic=True)


SPACE = {
    "n_estimators": 150,
    "learning_rate": tm.uniform(0.05, 0.2, log=True),
    "num_leaves": tm.integers(15, 63, log=True),
    "min_child_samples": tm.integers(20, 400, log=True),
    "colsample_bytree": tm.uniform(0.4, 1.0),
}


@dataclass(frozen=True)
class LeakyModel:
    """What a model would promise if it were fed a column that is not known yet."""

    column: str
    roc_auc: float
    honest_roc_auc: float


@tm.step(stage="leak")
def with_leak(data: tm.Splits, column: str, honest: Examination) -> LeakyModel:
    """Train once more with the leaking column, to see what it would seem to gain."""
    model = tm.train(build, {"n_estimators": 40, "learning_rate": 0.15}, data, name="leaky", baselines=False)
    measured = tm.evaluate(model, data.test, bootstrap=0, importance=False)
    return LeakyModel(column, measured.metrics["roc_auc"].value, honest.metrics["roc_auc"].value)


class Months(NamedTuple):
    """The flights of two months."""

    august: pl.DataFrame
    december: pl.DataFrame


@tm.step(stage="drift")
def months(table: pl.DataFrame) -> Months:
    """August, which the model was validated on, and December."""
    when = pl.col("sched_dep").dt.month()
    return Months(table.filter(when == 8), table.filter(when == 12))


def known_flights(flights: Any, weather: Any, references: dict[str, Any]) -> tuple[Any, Any]:
    """Good flights with the moments at which their facts became known, and the same with aircraft and weather."""
    good_flights = tm.validate(flights, FLIGHTS, references)
    good_weather = tm.validate(weather, WEATHER)
    clean_flights = tm.clean(good_flights.valid, FLIGHTS_REPAIRS)
    clean_weather = tm.clean(good_weather.valid, WEATHER_REPAIRS)

    trips = flown(clean_flights.table)
    aircraft = ["year", "seats", "engines", "manufacturer"]
    equipped = tm.key_join(trips, references["planes"], "tailnum", columns=aircraft, prefix="plane_")
    readings = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    known = tm.asof_join(
        equipped.table, clean_weather.table, left_time=AT, right_time="time_hour", by="origin", tolerance="6h",
        columns=readings,
    )  # fmt: skip
    return trips, known.table


def training_options(trips: Any) -> dict[str, Any]:
    """What is learned, from which parts, and the views that are joined as they were known."""
    split = tm.by_time("2013-08-01", "2013-09-01")
    return {"target": "late", "split": split, "at": AT, "features": VIEWS, "frames": {v.name: trips for v in VIEWS}}


@tm.pipeline
def train(trials: int = 6, rows: int = 60_000, requests: int = 200) -> tm.ModelVersion:
    """From five tables to a served champion that is watched for drift."""
    flights, weather, planes = tm.read("flights"), tm.read("weather"), tm.read("planes")
    airports, airlines = tm.read("airports"), tm.read("airlines")
    references = {"planes": planes, "airports": airports}
    tm.explore(flights, target="arr_delay", references=references)
    tm.explore(weather)
    trips, known = known_flights(flights, weather, {**references, "airlines": airlines})

    tm.leaks(known, declared_availability(tm.current_project().sources), AT, target="late")
    checked = tm.validate(known, TRIPS)  # given on whole: the model takes the contract along
    options = training_options(trips)
    data = tm.training_set(checked, columns=COLUMNS, **options)

    study = tm.tune(build, SPACE, data, trials=trials, rows=rows)
    model = tm.train(build, study.best, data, name="flight-delay", costs=COSTS)
    evaluation = tm.evaluate(model, data.validation, costs=COSTS)
    examination = tm.test(model, data.test, slices=["month of sched_dep", "carrier"], costs=COSTS)

    # What the refused column would have promised: measured, so that nobody is tempted.
    leaky = tm.training_set(checked, columns=[*COLUMNS, "dep_delay"], allow=["dep_delay"], **options)
    with_leak(leaky, "dep_delay", examination)

    package = tm.package(model, data.validation)
    version = tm.register(package, evaluation, examination, package)
    champion = tm.promote(version)
    due = departures(data.test, model, DUE)
    early = precompute(champion, due)
    ask(champion, due, requests)
    compare(champion, due, early, requests)

    by_month = months(known)
    tm.drift_between(by_month.august, by_month.december, columns=[*COLUMNS, "late"])
    tm.drift(model, data.test)
    return version
