"""A small real table for each kind of question, split, with a way to build what answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier, LGBMRanker, LGBMRegressor
from packaged_tables import of_flights, of_sklearn
from sklearn.ensemble import IsolationForest

import tidemill as tm

_QUIET: Mapping[str, Any] = {"n_estimators": 12, "num_leaves": 7, "min_child_samples": 10, "n_jobs": 1, "verbose": -1}


@dataclass(frozen=True, slots=True)
class Case:
    """A question: its data, what answers it, and what `train` is told besides."""

    data: tm.Splits
    build: Callable[[dict[str, Any]], Any]
    options: Mapping[str, Any] = field(default_factory=dict)


def classifier(params: dict[str, Any]) -> Any:
    return LGBMClassifier(**{**_QUIET, **params})


def regressor(params: dict[str, Any]) -> Any:
    return LGBMRegressor(**{**_QUIET, **params})


def quantile_regressor(params: dict[str, Any]) -> Any:
    level = params.pop("quantile")
    return LGBMRegressor(**{**_QUIET, **params}, objective="quantile", alpha=level)


def ranker(params: dict[str, Any]) -> Any:
    return LGBMRanker(**{**_QUIET, **params})


def forest(params: dict[str, Any]) -> Any:
    return IsolationForest(n_estimators=40, max_samples=64, contamination=0.05, **params)


def digits() -> pl.DataFrame:
    """Handwritten digits; the labels say which sets the digit is in."""
    table = of_sklearn("digits").table.head(600)
    kinds = {"even": (0, 2, 4, 6, 8), "prime": (2, 3, 5, 7), "large": (5, 6, 7, 8, 9)}
    labels = [[name for name, those in kinds.items() if digit in those] for digit in table["target"].to_list()]
    return table.select(pl.selectors.starts_with("pixel_3", "pixel_4", "pixel_5")).with_columns(
        sets=pl.Series(labels, dtype=pl.List(pl.String))
    )


@cache
def weather() -> pl.DataFrame:
    """Each hour of a year at an airport."""
    return of_flights("weather").filter(pl.col("origin") == "JFK").drop_nulls(["temp", "wind_speed"])


def windy_hours() -> pl.DataFrame:
    """The hours of sixty days, with a category; a query is a day, the grade how windy the hour is."""
    hours = weather().filter(pl.col("month") <= 2).with_columns(day=pl.format("{}-{}", "month", "day"))
    angle, speed = pl.col("wind_dir").fill_null(0), pl.col("wind_speed")
    side = pl.when(angle <= 90).then(pl.lit("north")).when(angle <= 180).then(pl.lit("east"))
    side = side.when(angle <= 270).then(pl.lit("south")).otherwise(pl.lit("west"))
    windy = sum((speed > limit).cast(pl.Int64) for limit in (8, 15, 22))
    return hours.select("day", "hour", "temp", "humid", "pressure", "visib", side=side, windy=windy)


def temperatures() -> pl.DataFrame:
    """The mean of each day, and what was known of it two days before."""
    day = pl.date("year", "month", "day").alias("day")
    days = weather().group_by(day).agg(pl.col("temp").mean().round(1), pl.col("pressure").mean()).sort("day")
    return tm.lagged(
        days.drop("pressure"), "temp", time="day", horizon="2d", lags=["2d", "3d", "7d"], windows=["14d"], season="7d"
    ).with_columns(month=pl.col("day").dt.month())


@cache
def case(task: str) -> Case:
    """The case of a task."""
    share = tm.by_share(0.6, 0.2, seed=3)
    if task == "binary":
        table = of_sklearn("breast_cancer").table.with_columns(pl.col("target") == 0)
        return Case(tm.split(table, share, "target"), classifier)
    if task == "multiclass":
        table = of_sklearn("wine").table.with_columns(pl.format("cultivar {}", "target").alias("target"))
        return Case(tm.split(table, share, "target"), classifier)
    if task == "multilabel":
        return Case(tm.split(digits(), share, "sets"), classifier)
    if task in {"regression", "quantile"}:
        data = tm.split(of_sklearn("diabetes").table, share, "target")
        return Case(data, regressor) if task == "regression" else Case(data, quantile_regressor, {"task": "quantile"})
    if task == "ranking":
        data = tm.split(windy_hours(), tm.by_group("day", 0.6, 0.2), "windy", entity="day")
        return Case(data, ranker, {"task": "ranking"})
    if task == "forecasting":
        data = tm.split(temperatures(), tm.by_time("2013-08-01", "2013-10-15", time="day"), "temp", time="day")
        return Case(data, regressor, {"task": "forecasting"})
    draw = np.random.default_rng(0)
    table = of_sklearn("breast_cancer").table  # mostly healthy tissue, as a screening has it
    kept = pl.Series((table["target"] == 1).to_numpy() | (draw.random(table.height) < 0.1))
    rows = table.filter(kept).with_columns(strange=pl.col("target") == 0).drop("target")
    return Case(tm.split(rows, share, "strange"), forest, {"task": "anomaly"})
