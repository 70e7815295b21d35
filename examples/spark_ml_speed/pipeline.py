"""How fast do the flights of a route get there in a week? With Spark for joins and sums, and Spark ML for the model.

$ pip install "tidemill[demo,spark]"  # and Java 17 or newer
$ tidemill run train                  # aggregate, tune, train, evaluate, test, package, register, promote
$ tidemill models show speed@champion
$ tidemill reproduce speed@champion   # again from the record, each step compared
$ tidemill serve speed                # ONNX Runtime: needs neither Spark nor Java
"""

from __future__ import annotations

from typing import Any

from pyspark.ml.regression import RandomForestRegressor
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  as everybody calls them

import tidemill as tm
from tidemill.data.operations import FillLearned

FEATURES = ["distance", "flights", "hour", "week", "lat", "lon"]


@tm.step
def by_route(flights: DataFrame, airports: DataFrame) -> DataFrame:
    """The mean speed of each route in each week, and where it leads to a degree; what never landed has none."""
    degree = [F.round(name).cast("int").alias(name) for name in ("lat", "lon")]
    places = airports.select(F.col("faa").alias("dest"), *degree)
    week = F.ceil(F.dayofyear(F.make_date("year", "month", "day")) / 7).cast("int")
    speeds = (
        flights.where("air_time > 0")
        .groupBy("origin", "dest", week.alias("week"))
        .agg(
            # Whole numbers have one sum, in whatever order Spark adds them: so it is the same table each time.
            (60 * F.sum("distance") / F.sum("air_time")).alias("mph"),
            F.max("distance").alias("distance"),
            F.count("*").alias("flights"),
            F.avg("hour").alias("hour"),
        )
    )
    return speeds.join(places, "dest").select("origin", "dest", "mph", *FEATURES).orderBy("week", "origin", "dest")


def build(params: dict[str, Any]) -> RandomForestRegressor:
    """A forest; stages of Spark ML can be made only where there is a session."""
    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    return RandomForestRegressor(**params, featureSubsetStrategy="all", seed=7)


SPACE = {
    "numTrees": 20,
    "maxDepth": tm.integers(6, 10),
    "subsamplingRate": tm.uniform(0.5, 1.0),
}
#: Trees of Spark take no missing values: what is not known about a route is as usual.
REPAIRS = [FillLearned(name) for name in FEATURES]


@tm.pipeline
def train(trials: int = 3) -> tm.ModelVersion:
    """From the flights to a champion that passed the gate."""
    table = by_route(tm.read("flights"), tm.read("airports"))
    # There is one year of each season: weeks are drawn, and all routes of a week stay together.
    data = tm.split(table, tm.by_group("week", 0.6, 0.2), "mph", features=FEATURES)

    study = tm.tune(build, SPACE, data, metric="rmse", trials=trials, cleaning=REPAIRS)
    model = tm.train(build, study.best, data, name="speed", cleaning=REPAIRS)
    evaluation = tm.evaluate(model, data.validation)
    examination = tm.test(model, data.test)

    package = tm.package(model, data.validation)
    version = tm.register(package, evaluation, examination, package)
    tm.promote(version)
    return version
