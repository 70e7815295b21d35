"""What will the average of all polls say, known from five of them? With River, which learns from a stream row by row.

What a poll is worth drifts, and a model that was fitted on the whole past at once answers for its middle. This one has
seen every day once, in the order of time, and its last lessons weigh most: the gate asks that it is clearly closer than
the batch models that are trained beside it.

    $ pip install "tidemill[ml,river]"
    $ tidemill run train                    # tune, train, evaluate, test, package, register, promote
    $ tidemill models show approval@champion
    $ tidemill reproduce approval@champion  # again from the record, each step compared
"""

from __future__ import annotations

from typing import Any

import polars as pl
from river import compose, linear_model, optim, preprocessing

import tidemill as tm
from tidemill.data.operations import FillLearned

POLLSTERS = ["gallup", "ipsos", "morning_consult", "rasmussen", "you_gov"]


@tm.step
def by_day(polls: pl.LazyFrame) -> pl.DataFrame:
    """The polls in the order of their days, with the average under a name of its own."""
    day = pl.date(1, 1, 1) + pl.duration(days=pl.col("ordinal_date") - 1)
    return polls.select(*POLLSTERS, day=day, average="five_thirty_eight").sort("day").collect()


def build(params: dict[str, Any]) -> compose.Pipeline:
    """A linear model that takes a step towards each day's average."""
    model = linear_model.LinearRegression(optim.SGD(params["rate"]), intercept_lr=params["intercept_rate"])
    return compose.Pipeline(preprocessing.StandardScaler(), model)


SPACE = {
    "rate": tm.uniform(0.01, 0.15, log=True),
    "intercept_rate": tm.uniform(0.02, 0.3, log=True),
}
#: A day on which a poll is missing is answered with that poll's usual value.
REPAIRS = [FillLearned(pollster) for pollster in POLLSTERS]


@tm.pipeline
def train(trials: int = 20) -> tm.ModelVersion:
    """From the polls to a champion that passed the gate."""
    days = by_day(tm.read("polls"))
    data = tm.split(days, tm.by_time("2018-12-01", "2019-05-01"), "average", time="day")

    study = tm.tune(build, SPACE, data, metric="rmse", trials=trials, cleaning=REPAIRS)
    model = tm.train(build, study.best, data, name="approval", cleaning=REPAIRS)
    evaluation = tm.evaluate(model, data.validation)
    examination = tm.test(model, data.test)

    package = tm.package(model, data.validation)
    version = tm.register(package, evaluation, examination, package)
    tm.promote(version)
    return version
