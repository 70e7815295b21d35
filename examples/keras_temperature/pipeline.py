"""How warm will it be at JFK in six hours? A forecast with Keras, on any of its backends.

$ pip install "tidemill[demo,keras,torch]"
$ tidemill run train                       # tune, train, evaluate, test, package, register, promote
$ tidemill models show temperature@champion
$ tidemill reproduce temperature@champion  # again from the record, each step compared
$ tidemill serve temperature               # ONNX Runtime: needs no Keras
"""

from __future__ import annotations

import math
import os
from typing import Any

import polars as pl

import tidemill as tm
from tidemill.data.operations import FillLearned

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras

HORIZON = "6h"
READINGS = ["dewp", "humid", "wind_speed"]
FEATURES = [
    *(f"{reading}__last" for reading in ["temp", *READINGS]),
    *("temp__lag_24h", "temp__lag_48h", "temp__mean_24h", "temp__season"),
    *("morning", "midnight"),
]


@tm.step
def at_jfk(weather: pl.LazyFrame) -> pl.DataFrame:
    """One reading for each hour: when clocks go back, an hour is in the table twice."""
    jfk = weather.filter(pl.col("origin") == "JFK").select("time_hour", "temp", *READINGS)
    return jfk.unique("time_hour", keep="first").sort("time_hour").collect()


@tm.step
def known_before(readings: pl.DataFrame) -> pl.DataFrame:
    """What is known of each hour six hours before it; nothing newer."""
    table = tm.lagged(
        readings, "temp", time="time_hour", horizon=HORIZON, lags=["24h", "48h"], windows=["24h"], season="24h"
    )
    for reading in READINGS:
        table = tm.lagged(table, reading, time="time_hour", horizon=HORIZON)
    hour = pl.col("time_hour").dt.convert_time_zone("America/New_York").dt.hour() * (2 * math.pi / 24)
    return table.with_columns(morning=hour.sin(), midnight=hour.cos()).select("time_hour", "temp", *FEATURES)


def build(params: dict[str, Any]) -> keras.Model:
    """Two layers; it is compiled with the loss of the task and the rates of the parameters."""
    layers = keras.layers
    hidden = [layers.Dense(params["units"], activation="relu") for _ in range(2)]
    return keras.Sequential([layers.BatchNormalization(momentum=0.9), *hidden, layers.Dense(1)])


SPACE = {
    "units": tm.choice([16, 32]),
    "learning_rate": tm.uniform(0.003, 0.03, log=True),
    "epochs": 20,
    "batch_size": 256,
}
#: A network takes no missing values: an instrument that has failed reads as usual.
REPAIRS = [FillLearned(name) for name in FEATURES]


@tm.pipeline
def train(trials: int = 3) -> tm.ModelVersion:
    """From the readings to a champion that passed the gate."""
    table = known_before(at_jfk(tm.read("weather")))
    data = tm.split(table, tm.by_time("2013-09-01", "2013-11-01"), "temp", time="time_hour")

    study = tm.tune(build, SPACE, data, metric="mae", trials=trials, cleaning=REPAIRS)
    model = tm.train(build, study.best, data, name="temperature", cleaning=REPAIRS)
    evaluation = tm.evaluate(model, data.validation)
    examination = tm.test(model, data.test)

    package = tm.package(model, data.validation)
    version = tm.register(package, evaluation, examination, package)
    tm.promote(version)
    return version
