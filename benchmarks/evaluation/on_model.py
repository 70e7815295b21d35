"""Tidemill: `tm.evaluate` of a registered estimator on a million rows: curves, costs, calibration and all."""

import numpy as np
import polars as pl

import tidemill as tm
from benchmarks.evaluation.predictions import RESAMPLES, predictions
from benchmarks.used import report


class Given:
    """A model whose answer is its input: what is measured is the evaluation."""

    def fit(self, _matrix: object, _truth: object) -> "Given":
        return self

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.stack([1 - matrix[:, 0], matrix[:, 0]], axis=1)


def load() -> tuple[tm.Model, pl.DataFrame]:
    labels, scores = predictions()
    table = pl.DataFrame({"score": scores, "late": labels == 1})
    data = tm.split(table[:2000], tm.by_share(), "late")
    return tm.train(lambda _: Given(), {}, data), table


def evaluate(given: tuple[tm.Model, pl.DataFrame]) -> None:
    model, table = given
    costs = {"false_positive": 1.0, "false_negative": 5.0}
    found = tm.evaluate(model, table, bootstrap=RESAMPLES, costs=costs)
    assert found.rows == table.height


report(evaluate, load)  # type: ignore[arg-type]
