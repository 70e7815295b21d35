"""`explain`: what each input of a row adds to its answer."""

from __future__ import annotations

import numpy as np
import polars as pl

from tidemill.core.errors import DataError
from tidemill.core.model import Model, require_model
from tidemill.data.types import Tabular, collected
from tidemill.evaluation.contributions import BACKGROUND, Attribution, attribution_of, sampled
from tidemill.training.prediction import encoded


def explain(model: Model, table: Tabular, *, background: Tabular | None = None, seed: int = 0) -> pl.DataFrame:
    """Tell what each input adds to the answer for each row (Lundberg & Lee, 2017).

    Models of LightGBM, XGBoost and CatBoost know it exactly; any other is explained by the package `shap` against a
    background.

    Parameters
    ----------
    model
        A trained model.
    table
        Rows with the model's inputs.
    background
        Rows to compare with, of which a hundred are drawn: contributions then start at their mean answer. Needed
        where the library of the model does not tell contributions itself; given all the same, it is used.
    seed
        For the drawing, and for the orders in which inputs become known.

    Returns
    -------
    DataFrame
        A line for each input of each row, what adds most first: ``row``, counted from 0; ``output``, the class, label
        or level, where an answer has several numbers; ``input``; its ``value`` as text; its ``contribution``; ``base``
        and ``score``, so that ``base`` and the contributions of a row add up to ``score``; and the ``scale`` that
        these are on: the answer, or the log-odds, the logarithm or the raw score that the answer is made from.

    Raises
    ------
    SchemaError
        When an input column is missing.
    DataError
        When there are no rows.
    UsageError
        When a background is needed and not given.
    MissingExtraError
        When `shap` is needed and not installed.

    Examples
    --------
    >>> from lightgbm import LGBMRegressor
    >>> from tidemill.data.split import by_share, split
    >>> from tidemill.training.fitting import train
    >>> table = pl.DataFrame({"size": range(200)}).with_columns(price=pl.col("size") * 3.0)
    >>> data = split(table, by_share(), "price")
    >>> model = train(lambda params: LGBMRegressor(n_estimators=20, verbose=-1), {}, data, baselines=False)
    >>> found = explain(model, table[[0, 199]])
    >>> found["input"].to_list(), (found["contribution"] > 0).to_list(), found["scale"][0]
    (['size', 'size'], [False, True], 'answer')
    >>> bool(((found["base"] + found["contribution"] - found["score"]).abs() < 1e-6).all())
    True
    """
    require_model(model)
    frame = collected(table)
    if not frame.height:
        raise DataError("there are no rows to explain", hint="Give one row or more.")
    matrix = encoded(model, frame)
    drawn = None
    if background is not None:
        drawn = sampled(encoded(model, collected(background)), BACKGROUND[1], np.random.default_rng(seed))
    return _table(model, frame, attribution_of(model, matrix, drawn, seed=seed))


def _table(model: Model, frame: pl.DataFrame, found: Attribution) -> pl.DataFrame:
    rows, outputs, inputs = found.values.shape
    each = inputs * outputs
    values = [frame[name].cast(pl.String, strict=False) for name in found.inputs]
    row = np.repeat(np.arange(rows), each)
    output, column = np.tile(np.repeat(np.arange(outputs), inputs), rows), np.tile(np.arange(inputs), rows * outputs)
    told = {
        "row": row,
        "output": output,
        "input": pl.Series(found.inputs, dtype=pl.String).gather(column),
        "value": pl.concat(values).gather(column * rows + row) if values else pl.Series([], dtype=pl.String),
        "contribution": found.values.ravel(),
        "base": np.tile(np.repeat(found.base, inputs), rows),
        "score": np.repeat(found.scores.ravel(), inputs),
    }
    lines = pl.DataFrame(told).with_columns(scale=pl.lit(found.scale))
    lines = lines.sort(
        "row", "output", pl.col("contribution").abs(), descending=[False, False, True], maintain_order=True
    )
    if outputs == 1:
        return lines.drop("output")
    names = model.signature.classes
    return lines.with_columns(
        pl.Series("output", [names[place] for place in lines["output"].to_list()], dtype=pl.String)
    )
