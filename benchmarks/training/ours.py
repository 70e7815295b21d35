"""The training as a pipeline: every step recorded, its results stored, the model packaged, verified and timed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import polars as pl
from task import INSIDE, PARAMS, SHARES, Timed, rows

import tidemill as tm
from tidemill.project import current_project, open_project_store
from tidemill.store import executions


def build(params: dict[str, Any]) -> Any:
    return Timed(**params)


@tm.step
def table() -> pl.DataFrame:
    return rows()


@tm.pipeline
def train() -> tm.Package:
    data = tm.split(table(), tm.by_share(*SHARES), "y")
    model = tm.train(build, PARAMS, data, name="bench", baselines=False, early_stopping=0)
    return tm.package(model, data.validation)


def main() -> None:
    Path("tidemill.toml").write_text('[project]\nname = "bench"\n')
    done = train.run()
    whole = time.process_time()
    if done.status != "succeeded":
        raise SystemExit(done.error)
    with open_project_store(current_project()).metadata.reading() as tx:
        cpu = {execution.step: execution.cpu_seconds for execution in executions.of_run(tx, done.id)}
    steps = {name: cpu[name] for name in ("table", "split", "train", "package")}
    print(json.dumps({"fit": INSIDE[0], "whole": whole, **steps}))


if __name__ == "__main__":
    main()
