"""How the answer depends on an input: its mean when every row has the same value there, and all else stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tidemill.evaluation.records import Dependence
from tidemill.evaluation.scoring import Scored
from tidemill.training.prediction import predict

#: So many of the most important inputs, at so many values, on so many rows.
COLUMNS, VALUES, ROWS = 4, 11, 300


def dependence_of(scored: Scored, important: Sequence[str]) -> tuple[Dependence, ...]:
    """Partial dependence (Friedman, 2001) of the most important numbers and categories; none if none are.

    A mean over rows that may not occur together: with correlated inputs it shows what the model does, not the world.
    """
    if scored.scores.ndim != 1 or not len(scored.scores):
        return ()
    places = np.linspace(0, scored.frame.height - 1, min(ROWS, scored.frame.height)).astype(np.int64)
    frame = scored.frame[places]
    found = []
    for column in [name for name in important[:COLUMNS] if name in frame.columns]:
        series, kind = scored.frame[column], scored.frame.schema[column]
        is_number = kind.is_numeric() and series.n_unique() > 2
        if kind.is_temporal() or kind.is_nested():
            continue
        values = _numbers(series) if is_number else _frequent(series)
        if len(values) < 2:
            continue
        answers = [
            predict(scored.model, frame.with_columns(pl.lit(v, dtype=kind).alias(column))).mean() for v in values
        ]
        names = tuple(f"{value:g}" if is_number else str(value) for value in values)
        found.append(Dependence(column, names, tuple(float(answer) for answer in answers), is_number))
    return tuple(found)


def _numbers(series: pl.Series) -> list[object]:
    known = series.cast(pl.Float64).fill_nan(None).drop_nulls().sort()
    if not len(known):
        return []
    ranks = np.unique(np.linspace(0.02, 0.98, VALUES) * (len(known) - 1)).astype(np.int64)
    values: list[object] = known[ranks].cast(series.dtype).unique().sort().to_list()
    return values


def _frequent(series: pl.Series) -> list[object]:
    counts = series.drop_nulls().value_counts(sort=True).head(VALUES)
    values: list[object] = counts[series.name].to_list()
    return sorted(values, key=str)
