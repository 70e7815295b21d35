"""A model of simulated flights that has something to learn, and rows to measure it on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import lightgbm
import numpy as np
import polars as pl
import pytest

from tidemill.data.split import Splits, by_time, split
from tidemill.training.fitting import train


def boosted(params):
    return lightgbm.LGBMClassifier(n_estimators=40, num_leaves=7, **params)


@pytest.fixture(scope="session")
def flights() -> Splits:
    generator = np.random.default_rng(0)
    rows = 6000
    start = datetime(2013, 1, 1, tzinfo=UTC)
    carrier = np.array(["UA", "B6", "EV", "OO"])[generator.choice(4, rows, p=[0.5, 0.3, 0.195, 0.005])]
    wind = generator.gamma(2.0, 5.0, rows)
    hour = generator.integers(5, 23, rows)
    chance = 1 / (1 + np.exp(-(-3 + 0.12 * wind + 0.08 * (hour - 12) + (carrier == "EV"))))
    table = pl.DataFrame(
        {
            "sched_dep": [start + timedelta(hours=float(h)) for h in np.sort(generator.uniform(0, 24 * 150, rows))],
            "carrier": carrier.tolist(),
            "wind": np.where(generator.random(rows) < 0.05, np.nan, wind),
            "hour": hour,
            "late": generator.random(rows) < chance,
        }
    ).with_columns(pl.col("wind").fill_nan(None))
    return split(table, by_time("2013-04-01", "2013-05-01", time="sched_dep"), "late")


@pytest.fixture(scope="session")
def model(flights):
    return train(boosted, {}, flights, name="delay", costs={"false_positive": 40, "false_negative": 250})
