"""Fixtures: a real model on real-looking flights, and its package; trained when a test asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import tidemill as tm


def flights(seed: int = 0, rows: int = 3000) -> pl.DataFrame:
    """Flights with text, whole numbers, numbers with holes, flags and moments; late when warm or by UA."""
    draw = np.random.default_rng(seed)
    temp = np.where(draw.random(rows) < 0.1, np.nan, draw.normal(15, 8, rows).round(1))
    carrier = draw.choice(["UA", "AA", "B6", "Ü1"], rows)
    chance = np.nan_to_num(temp, nan=15) / 10 + (carrier == "UA") + draw.normal(0, 0.5, rows)
    minutes = pl.Series(draw.integers(0, 500_000, rows)) * 60_000_000
    return pl.DataFrame(
        {
            "carrier": [
                None if hole else str(code) for code, hole in zip(carrier, draw.random(rows) < 0.02, strict=True)
            ],
            "distance": draw.integers(80, 4983, rows),
            "temp": pl.Series(temp).fill_nan(None),
            "heavy": draw.random(rows) < 0.3,
            "sched_dep": (minutes + 1_356_998_400_000_000).cast(pl.Datetime("us", "UTC")),
            "late": chance > 2,
        }
    )


def build(params: dict[str, Any]) -> Any:
    """An estimator that is not fitted yet."""
    import lightgbm

    return lightgbm.LGBMClassifier(**params, n_jobs=1, verbose=-1, deterministic=True, random_state=1)


def trained(seed: int = 0, **options: Any) -> tm.Model:
    """A model of `flights`."""
    features = ["carrier", "distance", "temp", "heavy", "sched_dep"]
    data = tm.split(flights(seed), tm.by_share(), "late", features=features)
    return tm.train(build, {"n_estimators": 40}, data, name="flight-delay", baselines=False, **options)


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    return flights()


@pytest.fixture(scope="session")
def model() -> tm.Model:
    return trained()


@pytest.fixture(scope="session")
def packaged(model: tm.Model, table: pl.DataFrame) -> tm.Package:
    return tm.package(model, table)
