"""Tables with holes, categories and a target of each kind, for models of any library."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

import tidemill as tm

Kind = Literal["binary", "multiclass", "regression", "count"]


def made_up(kind: Kind, rows: int = 900, *, holes: float = 0.15) -> tm.Splits:
    """Two numbers, one of which is missing in places, a category and a flag; split at random, the target is ``y``."""
    draw = np.random.default_rng(0)
    wind, heat = draw.normal(size=rows), draw.normal(20, 5, rows)
    place, wet = draw.choice(["north", "south", "east"], rows), draw.random(rows) < 0.4
    signal = wind + (heat - 20) / 5 + 1.5 * (place == "south") - wet + draw.normal(0, 0.3, rows)
    target = {
        "binary": signal > 0.5,
        "multiclass": np.array(["low", "middle", "high"])[np.digitize(signal, [-0.5, 1.0])],
        "regression": 10 * signal + 100,
        "count": np.floor(np.exp(signal / 2)),
    }[kind]
    seen = pl.Series(np.where(draw.random(rows) < holes, np.nan, heat)).fill_nan(None)
    table = pl.DataFrame({"wind": wind, "heat": seen, "place": place, "wet": wet, "y": target})
    return tm.split(table, tm.by_share(0.6, 0.2, seed=3), "y")
