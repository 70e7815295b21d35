"""Parts of a table: by a column's values, or by a part of a time column such as ``"month of sched_dep"``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import UsageError
from tidemill.core.model import Signature
from tidemill.data.types import require_columns
from tidemill.evaluation.records import Slice
from tidemill.measures.inputs import Floats
from tidemill.measures.intervals import Estimate
from tidemill.measures.registry import estimate

#: Slices beyond this many, smallest first, are measured together as one.
MAX_SLICES = 40
#: Numeric columns with more different values than this are cut into quarters of the rows.
MAX_LEVELS = 12
#: Slices with fewer rows are listed without metrics.
MIN_ROWS = 30

_PART = re.compile(r"(year|quarter|month|week|weekday|day|hour) of (.+)")


def slices_of(
    frame: pl.DataFrame,
    by: Sequence[str],
    truth: Floats,
    scores: Floats,
    names: tuple[str, ...],
    signature: Signature,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[Slice, ...]:
    """Measure every part of every slicing in these metrics; `frame`, `truth` and `scores` have the same rows."""
    task = signature.task
    found: list[Slice] = []
    for slicing in by:
        for order, (value, rows) in enumerate(parts_of(frame, slicing)):
            metrics = {name: Estimate(None, rows=len(rows), reason=f"fewer than {MIN_ROWS} rows") for name in names}
            if len(rows) >= MIN_ROWS:
                metrics = estimate(
                    truth[rows],
                    scores[rows],
                    names,
                    task,
                    threshold=signature.threshold,
                    levels=signature.levels,
                    resamples=resamples,
                    seed=seed,
                )
            rate = float((truth[rows, 0] if task in {"ranking", "forecasting"} else truth[rows]).mean())
            base = None if task == "multiclass" or np.isnan(rate) else rate
            found.append(Slice(slicing, value, len(rows), base, metrics, order))
    return tuple(found)


def parts_of(frame: pl.DataFrame, slicing: str) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The values of a slicing in order, each with the places of its rows; missing values last."""
    labels = labels_of(frame, slicing)
    groups = (
        pl.DataFrame({"label": labels.cast(pl.String), "sort": labels.to_physical(), "row": np.arange(frame.height)})
        .group_by("label", maintain_order=True)
        .agg(pl.col("row"), pl.col("sort").first())
    )
    if groups.height > MAX_SLICES:
        ranked = groups.with_columns(size=pl.col("row").list.len()).sort("size", descending=True, maintain_order=True)
        rest = ranked[MAX_SLICES:]["row"].explode().sort()
        groups = ranked[:MAX_SLICES].drop("size")
    else:
        rest = pl.Series("row", [], dtype=pl.Int64)
    for label, rows in groups.sort("sort", nulls_last=True).select("label", "row").iter_rows():
        yield "(missing)" if label is None else label, np.asarray(rows, dtype=np.intp)
    if len(rest):
        yield "(other)", rest.to_numpy().astype(np.intp)


def labels_of(frame: pl.DataFrame, slicing: str) -> pl.Series:
    """The value of a slicing in each row; null where it is missing."""
    match = _PART.fullmatch(slicing)
    if match is not None and slicing not in frame.columns:
        return _time_part(frame, match[1], match[2])
    require_columns(frame, [slicing], purpose="the slice")
    series = frame[slicing]
    if series.dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    if series.dtype.is_numeric() and series.n_unique() > MAX_LEVELS:
        return _quarters(series)
    if series.dtype.is_temporal():
        raise UsageError(
            f"slice {slicing!r} is a time column", hint=f"Slice by a part of it, such as 'month of {slicing}'."
        )
    return series


def _time_part(frame: pl.DataFrame, part: str, column: str) -> pl.Series:
    require_columns(frame, [column], purpose="the slice")
    series = frame[column]
    if not series.dtype.is_temporal():
        raise UsageError(f"slice '{part} of {column}' needs a time column", value=str(series.dtype))
    if part in {"hour", "weekday"}:
        return series.dt.hour() if part == "hour" else series.dt.weekday()
    formats = {"year": "%Y", "month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}
    if part == "quarter":
        return series.dt.year().cast(pl.String) + "-Q" + series.dt.quarter().cast(pl.String)
    return series.dt.strftime(formats[part])


def _quarters(series: pl.Series) -> pl.Series:
    edges = sorted({float(series.quantile(share, "nearest") or 0.0) for share in (0.25, 0.5, 0.75)})
    values = series.cast(pl.Float64)
    codes = np.searchsorted(edges, values.fill_null(float("nan")).to_numpy(), side="left")
    names = [
        f"<= {edges[0]:g}",
        *(f"{a:g} to {b:g}" for a, b in pairwise(edges)),
        f"> {edges[-1]:g}",
    ]
    known = values.is_not_null() & values.is_not_nan()
    places = pl.select(pl.when(known).then(pl.Series(codes, dtype=pl.UInt32))).to_series()
    return pl.Series(series.name, names, dtype=pl.Enum(names)).gather(places)
