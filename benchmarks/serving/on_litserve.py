"""LitServe with scikit-learn: ``on_litserve.py FOLDER PORT``."""

import sys
from pathlib import Path

import joblib
import litserve
import numpy as np


class Predict(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(Path(sys.argv[1]) / "model.joblib")

    def decode_request(self, request):
        return np.array([list(row.values()) for row in request["rows"]], dtype=np.float32)

    def predict(self, matrix):
        return self.model.predict_proba(matrix)[:, 1]

    def encode_response(self, output):
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Predict(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, log_level="warning", generate_client_file=False
    )
