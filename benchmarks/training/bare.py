"""The training as a script without tracking: split, fit, score the validation rows, measure; kept nowhere.

With ``mlflow`` as its argument it logs what it did to MLflow: parameters, metrics, and the model with its signature and
an input example, in SQLite and files.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from sklearn import metrics
from task import INSIDE, PARAMS, SHARES, Timed, rows


def train() -> tuple[Any, Any, dict[str, float]]:
    table = rows()
    drawn = np.random.default_rng(0).random(table.height)
    names = [name for name in table.columns if name != "y"]
    parts = [table.filter(drawn < SHARES[0]), table.filter((drawn >= SHARES[0]) & (drawn < sum(SHARES)))]
    (fitted, truth), (matrix, told) = [(part.select(names).to_numpy(), part["y"].to_numpy()) for part in parts]
    model = Timed(**PARAMS, random_state=0, n_jobs=1, deterministic=True, force_row_wise=True, verbosity=-1)
    model.fit(fitted, truth)
    scores = model.predict_proba(matrix)[:, 1]
    called = scores >= 0.5
    return (
        model,
        matrix,
        {
            "roc_auc": metrics.roc_auc_score(told, scores),
            "average_precision": metrics.average_precision_score(told, scores),
            "log_loss": metrics.log_loss(told, scores),
            "brier": metrics.brier_score_loss(told, scores),
            "accuracy": metrics.accuracy_score(told, called),
            "precision": metrics.precision_score(told, called),
            "recall": metrics.recall_score(told, called),
            "f1": metrics.f1_score(told, called),
        },
    )


def train_and_log() -> None:
    import mlflow
    from mlflow.models import infer_signature

    folder = os.environ["BENCH_FOLDER"]
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("bench", artifact_location=f"file://{folder}/artifacts")
    mlflow.set_experiment("bench")
    with mlflow.start_run():
        model, matrix, measured = train()
        mlflow.log_params(PARAMS)
        mlflow.log_metrics(measured)
        booster, example = model.booster_, matrix[:5]  # its own text format: no class of this script to trust
        signature = infer_signature(example, booster.predict(example))
        mlflow.lightgbm.log_model(booster, name="model", signature=signature, input_example=example)


def main() -> None:
    train_and_log() if "mlflow" in sys.argv else train()
    print(json.dumps({"fit": INSIDE[0], "whole": time.process_time()}))


if __name__ == "__main__":
    main()
