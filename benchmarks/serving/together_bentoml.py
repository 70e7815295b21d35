"""BentoML with a slow model, requests gathered as its documentation says: served as ``together_bentoml:Predict``."""

import os
from pathlib import Path

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Predict:
    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["BENCH_MODEL"]) / "forest.joblib")

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, rows: list[dict[str, float]]) -> list[float]:
        matrix = np.array([list(row.values()) for row in rows], dtype=np.float32)
        return self.model.predict_proba(matrix)[:, 1].tolist()
