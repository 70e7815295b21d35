"""The statistics of a column, from one sort of its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from tidemill.data.types import physical_type, plain

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TOP = 10
_BINS = 20
_TAIL = 0.001


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What a column holds.

    Parameters
    ----------
    name, type
        Its name and physical type.
    rows, nulls, distinct
        Rows; missing values (NaN included); distinct values that are not missing.
    minimum, maximum, mean, std
        Of numbers; minimum and maximum also of times (ISO text) and of text (in order of the alphabet).
    quantiles
        By probability as text (``"0.5"``), for numbers and times.
    zeros, negatives
        Of numbers.
    top
        The most frequent values with their counts.
    histogram
        ``{"edges": […], "counts": […]}`` for numbers, over the middle 99.8 %; values outside are in the end bins.
    """

    name: str
    type: str
    rows: int
    nulls: int
    distinct: int
    minimum: Any = None
    maximum: Any = None
    mean: float | None = None
    std: float | None = None
    quantiles: Mapping[str, Any] = field(default_factory=dict)
    zeros: int | None = None
    negatives: int | None = None
    top: tuple[tuple[Any, int], ...] = ()
    histogram: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredColumn:
    """A column, its profile, and its distinct values in order with their counts (numbers, or the words of text)."""

    series: pl.Series
    profile: ColumnProfile
    values: Numbers
    counts: Numbers

    @property
    def is_number(self) -> bool:
        """Whether `values` are numbers (and not times or words)."""
        return self.series.dtype.is_numeric()

    @property
    def is_text(self) -> bool:
        """Whether `values` are words."""
        return self.series.dtype == pl.String or self.series.dtype.base_type() in (pl.Categorical, pl.Enum)


def measure_column(series: pl.Series) -> MeasuredColumn:
    """Profile a column.

    >>> measured = measure_column(pl.Series("delay", [2, None, 11, 2]))
    >>> measured.profile.distinct, measured.profile.nulls, measured.profile.mean, measured.profile.top[0]
    (2, 1, 5.0, (2, 2))
    """
    kind = series.dtype
    if kind.is_float():
        series = series.fill_nan(None)
    if kind.is_numeric() or kind.is_temporal():
        return _ordered(series)
    return _counted(series)


def _ordered(series: pl.Series) -> MeasuredColumn:
    """Numbers and times: everything follows from the sorted values."""
    kind = series.dtype
    physical = series.drop_nulls()
    physical = physical.cast(pl.Float64) if kind.is_decimal() else physical.to_physical()
    ordered: Numbers = np.sort(physical.to_numpy())
    nulls = series.len() - len(ordered)
    base = {"name": series.name, "type": physical_type(kind), "rows": series.len(), "nulls": nulls}
    if not len(ordered):
        return MeasuredColumn(series, ColumnProfile(**base, distinct=0), ordered, np.zeros(0, np.int64))  # type: ignore[arg-type]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(starts, len(ordered)))
    values = ordered[starts]
    quantiles = ordered[[round(q * (len(ordered) - 1)) for q in QUANTILES]]
    top = np.argsort(-counts, kind="stable")[:_TOP]
    shown = _show(series, np.concatenate([ordered[[0, -1]], quantiles, values[top]]))
    is_number = kind.is_numeric()
    finite = ordered[np.isfinite(ordered)] if is_number else ordered
    profile = ColumnProfile(
        **base,  # type: ignore[arg-type]
        distinct=len(values),
        minimum=shown[0],
        maximum=shown[1],
        mean=float(finite.mean()) if is_number and len(finite) else None,
        std=float(finite.std()) if is_number and len(finite) else None,
        quantiles=dict(zip(map(str, QUANTILES), shown[2 : 2 + len(QUANTILES)], strict=True)),
        zeros=int((ordered == 0).sum()) if is_number else None,
        negatives=int((ordered < 0).sum()) if is_number else None,
        top=tuple(zip(shown[2 + len(QUANTILES) :], counts[top].tolist(), strict=True)),
        histogram=_histogram(finite) if is_number and len(finite) else {},
    )
    return MeasuredColumn(series, profile, values, counts)


def _show(series: pl.Series, physical: Numbers) -> list[Any]:
    """Physical values as JSON has them."""
    if series.dtype.is_numeric():
        return [plain(value) for value in physical.tolist()]
    return [plain(value) for value in pl.Series(physical).cast(series.dtype).to_list()]


def _histogram(ordered: Numbers) -> dict[str, list[float]]:
    last = len(ordered) - 1
    low, high = float(ordered[round(_TAIL * last)]), float(ordered[round((1 - _TAIL) * last)])
    if low == high:
        return {"edges": [low, high], "counts": [float(len(ordered))]}
    edges = np.linspace(low, high, _BINS + 1)
    inner = np.searchsorted(ordered, edges[1:-1], side="left")
    counts = np.diff(np.concatenate([[0], inner, [len(ordered)]]))
    return {"edges": edges.tolist(), "counts": counts.astype(float).tolist()}


def _counted(series: pl.Series) -> MeasuredColumn:
    """Text, flags and everything else: values counted."""
    kind = series.dtype
    nulls = series.null_count()
    text = kind == pl.String or kind.base_type() in (pl.Categorical, pl.Enum)
    if not (text or kind == pl.Boolean):
        empty = np.zeros(0, np.int64)
        distinct = 0 if kind in (pl.Null, pl.Object) else series.drop_nulls().n_unique()
        profile = ColumnProfile(series.name, physical_type(kind), series.len(), nulls, distinct)
        return MeasuredColumn(series, profile, empty, empty)
    words = series.drop_nulls().cast(pl.String) if text else series.drop_nulls()
    tally = words.alias("value").value_counts(name="count").sort(["count", "value"], descending=[True, False])
    values = tally["value"]
    profile = ColumnProfile(
        name=series.name,
        type=physical_type(kind),
        rows=series.len(),
        nulls=nulls,
        distinct=tally.height,
        minimum=plain(values.min()),
        maximum=plain(values.max()),
        mean=float(words.mean()) if kind == pl.Boolean and len(words) else None,  # type: ignore[arg-type]
        top=tuple((plain(value), count) for value, count in tally.head(_TOP).rows()),
    )
    return MeasuredColumn(series, profile, values.to_numpy(), tally["count"].to_numpy())
