"""The model of this benchmark: gradient boosting, 100 trees of depth 3, 20 columns, in a form for each server."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import numpy as np
import polars as pl
from sklearn.ensemble import GradientBoostingClassifier

import tidemill as tm

COLUMNS = [f"x{number}" for number in range(20)]
ROWS = 4_000


def make(folder: Path) -> None:
    """Write ``package/``, ``model.joblib``, ``model.onnx`` and ``row.json`` into a folder."""
    draw = np.random.default_rng(7)
    features = draw.normal(size=(ROWS, len(COLUMNS))).astype(np.float32)
    late = features[:, 0] + features[:, 1] * features[:, 2] + draw.normal(0, 0.5, ROWS) > 0
    table = pl.DataFrame({name: features[:, place] for place, name in enumerate(COLUMNS)}).with_columns(late=late)
    data = tm.split(table, tm.by_share(), "late")
    model = tm.train(lambda params: GradientBoostingClassifier(**params, random_state=7), {"n_estimators": 100}, data)
    package = tm.package(model, data.validation)
    package.write(folder / "package")
    joblib.dump(model.estimator, folder / "model.joblib")
    (folder / "model.onnx").write_bytes((folder / "package" / "model.onnx").read_bytes())
    (folder / "row.json").write_text(json.dumps({name: float(features[0, i]) for i, name in enumerate(COLUMNS)}))
