"""The models of this benchmark, in a form for each server: gradient boosting and a forest, 100 trees, 20 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

import tidemill as tm

NAME = "late"
COLUMNS = [f"x{number}" for number in range(20)]
ROWS = 4_000


def make(folder: Path) -> None:
    """Write ``package/``, ``forest/``, ``slow/``, ``model.joblib``, ``forest.joblib``, ``model.onnx``, ``row.json``."""
    draw = np.random.default_rng(7)
    features = draw.normal(size=(ROWS, len(COLUMNS))).astype(np.float32)
    late = features[:, 0] + features[:, 1] * features[:, 2] + draw.normal(0, 0.5, ROWS) > 0
    table = pl.DataFrame({name: features[:, place] for place, name in enumerate(COLUMNS)}).with_columns(late=late)
    data = tm.split(table, tm.by_share(), "late")
    for estimator, package, file in (
        (GradientBoostingClassifier(n_estimators=100, random_state=7), "package", "model.joblib"),
        (RandomForestClassifier(n_estimators=100, max_depth=10, random_state=7, n_jobs=1), "forest", "forest.joblib"),
    ):
        model = tm.train(lambda _, estimator=estimator: estimator, {}, data, name=NAME, baselines=False)
        tm.package(model, data.validation).write(folder / package)
        joblib.dump(model.estimator, folder / file)
    tm.package(model, data.validation, formats=("native",)).write(folder / "slow")
    (folder / "model.onnx").write_bytes((folder / "package" / "model.onnx").read_bytes())
    (folder / "row.json").write_text(json.dumps({name: float(features[0, i]) for i, name in enumerate(COLUMNS)}))


def forest(folder: Path) -> Any:
    return joblib.load(folder / "forest.joblib")


def rows(count: int) -> Any:
    """Rows as the models met in training, each another one: a processor learns the way of one that comes again."""
    return np.random.default_rng(8).normal(size=(count, len(COLUMNS))).astype(np.float32)
