"""A pipeline that trains and packages; prints CPU seconds inside the library's own fit, and all others.

What is counted as overhead is everything but the call of ``fit``: splitting, encoding, digests, predictions on
validation rows, the reference profile, storing the model, the ONNX form, its parity check, and timing both engines.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl

import tidemill as tm
from tidemill.project import current_project, open_project_store
from tidemill.store import executions

INSIDE = [0.0]
ROWS, COLUMNS, TREES = int(os.environ.get("BENCH_ROWS", "1000000")), 20, int(os.environ.get("BENCH_TREES", "400"))


class Timed(lightgbm.LGBMClassifier):
    """LightGBM's own, with the CPU seconds of its fit counted."""

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return super().fit(*args, **kwargs)
        finally:
            INSIDE[0] += time.process_time() - began


def build(params: dict[str, Any]) -> Any:
    return Timed(**params)


@tm.step
def table() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    truth = matrix[:, 0] * matrix[:, 1] + matrix[:, 2] + draw.normal(size=ROWS) > 0
    return pl.DataFrame({**{f"x{index}": matrix[:, index] for index in range(COLUMNS)}, "y": truth})


@tm.pipeline
def train() -> tm.Package:
    data = tm.split(table(), tm.by_share(0.6, 0.2), "y")
    params = {"n_estimators": TREES, "num_leaves": 63, "learning_rate": 0.02}
    model = tm.train(build, params, data, name="bench", baselines=False, early_stopping=0)
    return tm.package(model, data.validation)


def main() -> None:
    Path("tidemill.toml").write_text('[project]\nname = "bench"\n')
    began = time.process_time()
    done = train.run()
    whole = time.process_time() - began
    with open_project_store(current_project()).metadata.reading() as tx:
        cpu = {execution.step: execution.cpu_seconds for execution in executions.of_run(tx, done.id)}
    parts = {"fit": INSIDE[0], "train": cpu["train"] - INSIDE[0], "package": cpu["package"]}
    print(json.dumps({**parts, "rest": whole - sum(parts.values())}))


if __name__ == "__main__":
    main()
