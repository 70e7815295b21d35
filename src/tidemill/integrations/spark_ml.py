"""Estimators and pipelines of Spark ML: fitted by Spark, then walked into plain numbers that answer without it.

Spark's own files have new names, moments and ids each time, and need Java to be read. What a fitted pipeline knows is
little: scales, coefficients, trees. It is taken out through the session, compared with Spark's own answers, and kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import ModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.integrations.spark_model import SparkModel, load, predict, save
from tidemill.integrations.spark_session import session_of
from tidemill.integrations.spark_stages import stages_of
from tidemill.training.frameworks import generic
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers

__all__ = ["fit", "load", "predict", "save", "scores", "settle"]

#: What Spark and the numbers that were taken out of it may differ by, relative to the largest answer.
TOLERANCE = 1e-6


def settle(estimator: Any, given: Given) -> Any:
    """Seeds that were left open, of every stage."""
    if not callable(getattr(estimator, "fit", None)):
        raise ModelError(
            f"build returned a {type(estimator).__name__} of Spark that cannot be fitted",
            hint="Return a Pipeline or an estimator of pyspark.ml.",
        )
    stages = estimator.getStages() if hasattr(estimator, "getStages") else [estimator]
    for stage in stages:
        if stage.hasParam("seed") and not stage.isSet("seed"):
            stage._set(seed=given.seed)  # noqa: SLF001  what every setSeed calls, and not every stage has
    return estimator


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Fit on a Spark table with the columns ``features``, a vector in the order of the matrix, and ``label``.

    Raises
    ------
    ModelError
        For missing values, for tasks other than classes and values, and for stages that cannot be walked.
    """
    generic.refuse_holes(estimator, fitting)
    if TASKS[fitting.task].scores != "one" and fitting.task != "multiclass":
        raise ModelError(
            f"Spark ML is not trained for the task {fitting.task!r} here", hint="Use another library for it."
        )
    session = _session()
    columns: dict[str, NDArray[Any]] = {"label": fitting.truth}
    if fitting.weights is not None:
        if not estimator.hasParam("weightCol"):
            raise ModelError(
                f"{type(estimator).__name__} takes no weights of rows",
                hint="Leave the weights out, or use one that does.",
            )
        estimator = estimator.copy({estimator.weightCol: "weight"})
        columns["weight"] = fitting.weights
    fitted = estimator.fit(_table(session, fitting.matrix, columns))
    model = SparkModel({"features": fitting.matrix.shape[1], "stages": stages_of(fitted)})
    _compare(session, fitted, model, fitting)
    return model


def _session() -> Any:
    from pyspark.sql import SparkSession

    found = SparkSession.getActiveSession()
    return session_of("spark://local[1]", {}, "tidemill") if found is None else found


def _table(session: Any, matrix: Matrix, columns: dict[str, NDArray[Any]]) -> Any:
    import pyarrow as pa
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql.functions import col

    width = matrix.shape[1]
    flat = pa.array(matrix.astype(np.float64).ravel())
    rows = pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, width, dtype=np.int32)), flat)
    table = session.createDataFrame(pa.table({"row": np.arange(len(matrix)), "numbers": rows, **columns}))
    return table.withColumn("features", array_to_vector(col("numbers"))).drop("numbers")


def _compare(session: Any, fitted: Any, model: SparkModel, fitting: Fitting) -> None:
    """The numbers must answer as Spark does, or they are not what it has learnt."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql.functions import col

    rows = fitting.validation[:1000] if len(fitting.validation) else fitting.matrix[:1000]
    table = fitted.transform(_table(session, rows, {})).orderBy("row")
    if TASKS[fitting.task].classifies:
        found = table.select(vector_to_array(col("probability")).alias("answer")).collect()
        expected = np.array([row.answer for row in found])
        expected = expected[:, 1] if fitting.task == "binary" else expected
    else:
        expected = np.array([row.prediction for row in table.select("prediction").collect()])
    got = predict(model, rows, fitting.task)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    if expected.shape != got.shape or float(np.abs(expected - got).max(initial=0.0)) > TOLERANCE * scale:
        raise ModelError(
            "what was taken out of the Spark model does not answer as Spark does",
            hint="Leave out what changes answers after the model, such as thresholds or another output column.",
        )


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities or values, without Spark."""
    del outputs
    return predict(estimator, matrix, task)
