"""The same 100 trials for everyone: three parameters, TPE with one seed, and a model that is only a comparison."""

import json
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.used import cpu

TRIALS = 100
SEED = 7
RANGES = {"cut": (0.0, 1.0), "slope": (0.0, 1.0), "turn": (0.0, 1.0)}


def table() -> pl.DataFrame:
    """200 rows, most of which say what is asked."""
    draw = np.random.default_rng(SEED)
    x = draw.random(200)
    return pl.DataFrame({"x": x, "late": (x + 0.2 * draw.random(200)) > 0.6})


class Above:
    """Calls everything above its cut late."""

    def __init__(self, cut: float, **_: float) -> None:
        self.cut = cut

    def fit(self, matrix: np.ndarray, truth: np.ndarray) -> "Above":
        return self

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0] > self.cut


def report(began: tuple[float, float]) -> None:
    """Print the milliseconds of a trial, CPU and wall, and the KiB that were written for it into this folder."""
    numbers = {"cpu_ms": (cpu() - began[0]) * 1000, "wall_ms": (time.perf_counter() - began[1]) * 1000}
    numbers["kib"] = sum(path.stat().st_size for path in Path().rglob("*") if path.is_file()) / 1024
    print(json.dumps({name: value / TRIALS for name, value in numbers.items()}))


def begin() -> tuple[float, float]:
    """The clocks before the first trial."""
    return cpu(), time.perf_counter()
