"""The model as MLflow saves it, with a signature: ``make_mlflow.py FOLDER``."""

import json
import sys
from pathlib import Path

import joblib
import mlflow
import pandas as pd

folder = Path(sys.argv[1])
row = pd.DataFrame([json.loads((folder / "row.json").read_text())])
model = joblib.load(folder / "model.joblib")
signature = mlflow.models.infer_signature(row, model.predict_proba(row.to_numpy("float32")))
mlflow.sklearn.save_model(
    model, str(folder / "mlflow"), signature=signature, pyfunc_predict_fn="predict_proba",
    serialization_format="cloudpickle",
)  # fmt: skip
