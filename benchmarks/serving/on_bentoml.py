"""BentoML with scikit-learn; served by ``bentoml serve on_bentoml:Predict``, the model's folder in ``BENCH_MODEL``."""

import os
from pathlib import Path

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1, metrics={"enabled": True}, logging={"access": {"enabled": False}})
class Predict:
    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["BENCH_MODEL"]) / "model.joblib")

    @bentoml.api
    def predict(self, rows: list[dict[str, float]]) -> list[float]:
        matrix = np.array([list(row.values()) for row in rows], dtype=np.float32)
        return self.model.predict_proba(matrix)[:, 1].tolist()
