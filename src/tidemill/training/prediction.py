"""Ask a model about a table: cleaning, encoding, estimator, in the order in which they were fitted."""

from __future__ import annotations

import polars as pl

from tidemill.core.model import Model, require_model
from tidemill.data.repairs import apply_repairs
from tidemill.data.types import Tabular, collected
from tidemill.training.calibration import apply_calibration
from tidemill.training.encoding import encode_columns
from tidemill.training.estimators import scores_of
from tidemill.training.frames import columns_of
from tidemill.training.frameworks import Matrix, Numbers


def predict(model: Model, table: Tabular) -> Numbers:
    """Predictions of a model for every row of a table, in order.

    Parameters
    ----------
    model
        A trained model.
    table
        A Polars frame with the model's inputs; other columns are ignored.

    Returns
    -------
    array of float64
        Binary: the probability of the positive class, shape (rows,). Several classes or labels: probabilities, shape
        (rows, classes). Quantiles: values, shape (rows, levels). Regression and forecasting: values; ranking and
        anomaly: scores, more is more relevant or stranger; shape (rows,).

    Raises
    ------
    SchemaError
        When an input column is missing or holds values of another kind.
    """
    require_model(model)
    return predict_encoded(model, encoded(model, collected(table)))


def encoded(model: Model, frame: pl.DataFrame) -> Matrix:
    """The matrix that the model's estimator takes, shape (rows, len(model.encoding))."""
    columns = apply_repairs(columns_of(frame, model.signature.inputs.names), model.cleaning)
    return encode_columns(columns, tuple(model.encoding))


def predict_encoded(model: Model, matrix: Matrix) -> Numbers:
    """`predict` for rows that are cleaned and encoded already."""
    signature = model.signature
    return apply_calibration(scores_of(model.estimator, matrix, signature.task, signature.outputs), model.calibration)
