"""Which columns of a table a model can learn from, where nobody said it."""

from __future__ import annotations

import polars as pl

from tidemill.data.types import physical_type

#: From this many rows on, text that is different in each of them is a name, from which nothing can be learned.
_NAMES = 50


def default_features(frame: pl.DataFrame, without: set[str]) -> tuple[str, ...]:
    """Columns that a model can learn from, except those named: see `unfit_features` for the others."""
    unfit = unfit_features(frame, without)
    return tuple(name for name in frame.columns if name not in without and name not in unfit)


def unfit_features(frame: pl.DataFrame, without: set[str]) -> dict[str, str]:
    """Columns that are no features unless somebody asks for them, and why: moments, nested values, text that names.

    >>> trips = pl.DataFrame({"note": [f"n{i}" for i in range(60)], "miles": range(60)})
    >>> unfit_features(trips, set())
    {'note': 'another text in every row'}
    """
    unfit = {}
    for name, kind in frame.schema.items():
        if name in without:
            continue
        is_text = kind.base_type() in (pl.String, pl.Categorical, pl.Enum)
        if not (is_text or kind.is_numeric() or kind == pl.Boolean):
            unfit[name] = f"{physical_type(kind)} is no feature by itself"
        elif is_text and frame.height >= _NAMES and frame[name].n_unique() == frame.height:
            unfit[name] = "another text in every row"
    return unfit
