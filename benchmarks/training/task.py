"""What is trained in each script: the table, its parts, and LightGBM with the CPU seconds of its fit counted."""

from __future__ import annotations

import os
import time
from typing import Any

import lightgbm
import numpy as np
import polars as pl

ROWS, COLUMNS, TREES = int(os.environ.get("BENCH_ROWS", "1000000")), 20, int(os.environ.get("BENCH_TREES", "400"))
PARAMS = {"n_estimators": TREES, "num_leaves": 63, "learning_rate": 0.02}
SHARES = (0.6, 0.2)
INSIDE = [0.0]


class Timed(lightgbm.LGBMClassifier):
    """LightGBM's own, with the CPU seconds of its fit counted."""

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return super().fit(*args, **kwargs)
        finally:
            INSIDE[0] += time.process_time() - began


def rows() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    truth = matrix[:, 0] * matrix[:, 1] + matrix[:, 2] + draw.normal(size=ROWS) > 0
    return pl.DataFrame({**{f"x{index}": matrix[:, index] for index in range(COLUMNS)}, "y": truth})
