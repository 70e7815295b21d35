"""FastAPI, a pydantic model of the row, scikit-learn, as most teams do: ``on_fastapi.py FOLDER PORT [MODEL]``."""

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

folder = Path(sys.argv[1])
columns = list(json.loads((folder / "row.json").read_text()))
model = joblib.load(folder / (sys.argv[3] if len(sys.argv) > 3 else "model.joblib"))
Row: Any = create_model("Row", **dict.fromkeys(columns, (float, ...)))
Rows: Any = create_model("Rows", rows=(list[Row], ...))
app = FastAPI()


@app.post("/predict")
def predict(body: Rows) -> dict[str, list[float]]:  # type: ignore[valid-type]
    matrix = np.array([[getattr(row, name) for name in columns] for row in body.rows], dtype=np.float32)
    return {"predictions": model.predict_proba(matrix)[:, 1].tolist()}


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
