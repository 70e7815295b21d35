"""LitServe with a slow model, requests gathered as its documentation says: ``together_litserve.py FOLDER PORT``."""

import sys
from pathlib import Path

import joblib
import litserve
import numpy as np


class Predict(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(Path(sys.argv[1]) / "forest.joblib")

    def decode_request(self, request):
        return np.array(list(request["rows"][0].values()), dtype=np.float32)

    def predict(self, matrix):
        return self.model.predict_proba(matrix)[:, 1]

    def encode_response(self, output):
        return {"predictions": [float(output)]}


if __name__ == "__main__":
    api = Predict(max_batch_size=64, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, log_level="warning", generate_client_file=False
    )
