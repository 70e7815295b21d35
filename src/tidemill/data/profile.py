"""The statistics of a column, from one sort of its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from tidemill.data.tally import (
    QUANTILES,
    TOP,
    Tally,
    at_ranks,
    deviation,
    finite,
    histogram,
    moments,
    most_frequent,
    shape,
    tally,
)
from tidemill.data.tally import total as sum_of
from tidemill.data.types import physical_type, plain

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]

#: The order of a column's values from row to row; equal neighbours make it not strict.
Order = Literal["increasing", "strictly increasing", "decreasing", "strictly decreasing"]

_WIDE = (pl.Int128, pl.UInt128)


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
        Of numbers; minimum and maximum also of times (ISO text) and of text (in order of the alphabet). The mean and
        all that follows from it are of finite numbers.
    quantiles
        By probability as text (``"0.5"``), for numbers and times.
    zeros, negatives
        Of numbers.
    top
        The most frequent values with their counts, at most 20.
    histogram
        ``{"edges": […], "counts": […]}`` for numbers, over the middle 99.8 % in 50 bins; values outside are in the end
        bins.
    total, skewness, kurtosis, mad, infinite
        Of numbers: the sum, skewness, excess kurtosis, the median absolute deviation from the median, and how many
        are infinite.
    monotone
        How numbers and times go from row to row, missing ones left out; None if up and down.
    lengths
        Of text: the ``shortest``, ``mean`` and ``longest`` number of characters.
    exact
        False where the table was too large for it: `distinct` is then an estimate (standard error 0.8 %), and
        `quantiles`, `mad`, `top` and `histogram` are those of a sample of rows. All else is always of all rows.
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
    total: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    mad: float | None = None
    infinite: int | None = None
    monotone: Order | None = None
    lengths: Mapping[str, float] = field(default_factory=dict)
    exact: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredColumn:
    """A column, its profile, and its distinct values with their counts.

    Numbers and times (as numbers) are in ascending order; words with the most frequent first, then as they appear.
    """

    series: pl.Series
    profile: ColumnProfile
    distinct: pl.Series
    counts: Numbers

    @property
    def values(self) -> Numbers:
        """The distinct values as an array; `distinct` is cheaper for words."""
        return self.distinct.to_numpy()

    @property
    def is_number(self) -> bool:
        """Whether `values` are numbers (and not times or words)."""
        return self.series.dtype.is_numeric()

    @property
    def is_text(self) -> bool:
        """Whether `values` are words."""
        return is_text(self.series.dtype)


def is_text(kind: pl.DataType) -> bool:
    """Whether a type holds words."""
    return kind == pl.String or kind.base_type() in (pl.Categorical, pl.Enum)


def measure_column(series: pl.Series) -> MeasuredColumn:
    """Profile a column.

    >>> measured = measure_column(pl.Series("delay", [2, None, 11, 2]))
    >>> measured.profile.distinct, measured.profile.nulls, measured.profile.mean, measured.profile.top[0]
    (2, 1, 5.0, (2, 2))
    """
    kind = series.dtype
    if kind.is_float() and series.is_nan().any():
        series = series.fill_nan(None)
    if kind.is_numeric() or kind.is_temporal():
        return _of_ordered(series)
    if is_text(kind):
        return _of_words(series)
    return _of_others(series)


def physical(series: pl.Series) -> Numbers:
    """The values that are there, as numbers in the order of rows."""
    known = series.drop_nulls()
    return (known.cast(pl.Float64) if is_wide(series.dtype) else known.to_physical()).to_numpy()


def is_wide(kind: pl.DataType) -> bool:
    """Whether NumPy has no type for such numbers, so that floats stand for them."""
    return kind.is_decimal() or kind in _WIDE


def _of_ordered(series: pl.Series) -> MeasuredColumn:
    """Numbers and times: nearly everything follows from their tally."""
    known = physical(series)
    counted = tally(known)
    profile = profile_of_tally(series.name, series.dtype, series.len(), counted)
    if is_wide(series.dtype):
        profile["distinct"] = series.drop_nulls().n_unique()
    measured = ColumnProfile(**profile, monotone=steps_of(known).order)
    return MeasuredColumn(series, measured, pl.Series(series.name, counted.values), counted.counts)


def profile_of_tally(name: str, kind: pl.DataType, rows: int, counted: Tally) -> dict[str, Any]:
    """The fields of the profile that follow from a tally of numbers or times."""
    known = counted.total
    out: dict[str, Any] = {
        "name": name, "type": physical_type(kind), "rows": rows, "nulls": rows - known, "distinct": len(counted.values)
    }  # fmt: skip
    if not known:
        return out
    top = most_frequent(counted)
    ends_and_quantiles = at_ranks(counted, (0.0, 1.0, *QUANTILES))
    shown = shown_values(kind, np.concatenate([ends_and_quantiles, counted.values[top]]))
    out |= {
        "minimum": shown[0],
        "maximum": shown[1],
        "quantiles": dict(zip(map(str, QUANTILES), shown[2 : 2 + len(QUANTILES)], strict=True)),
        "top": tuple(zip(shown[2 + len(QUANTILES) :], counted.counts[top].tolist(), strict=True)),
    }
    return out | numeric_fields(counted) if kind.is_numeric() else out


def numeric_fields(counted: Tally) -> dict[str, Any]:
    """The fields of the profile that only numbers have."""
    bounded = finite(counted)
    before_zero, to_zero = (int(place) for place in (
        np.searchsorted(counted.values, 0, side="left"), np.searchsorted(counted.values, 0, side="right")
    ))  # fmt: skip
    return shape(moments(bounded)) | {
        "zeros": int(counted.counts[before_zero:to_zero].sum()),
        "negatives": int(counted.counts[:before_zero].sum()),
        "histogram": histogram(bounded),
        "total": sum_of(bounded),
        "mad": deviation(bounded),
        "infinite": counted.total - bounded.total,
    }


def shown_values(kind: pl.DataType, values: Numbers) -> list[Any]:
    """Physical values as JSON has them."""
    if kind.is_numeric():
        return [plain(value) for value in values.tolist()]
    return [plain(value) for value in pl.Series(values).cast(kind).to_list()]


@dataclass(frozen=True, slots=True)
class Steps:
    """Which steps there are from one value to the next."""

    up: bool = False
    down: bool = False
    level: bool = False

    def __or__(self, other: Steps) -> Steps:
        """The steps of two stretches, the second of which begins with the last value of the first."""
        return Steps(self.up or other.up, self.down or other.down, self.level or other.level)

    @property
    def order(self) -> Order | None:
        """The order that such steps make; None if up and down, and where there is no step."""
        if self.up == self.down:
            return "increasing" if self.level and not self.up else None
        if self.up:
            return "increasing" if self.level else "strictly increasing"
        return "decreasing" if self.level else "strictly decreasing"


def steps_of(values: Numbers) -> Steps:
    """The steps between neighbours.

    >>> steps_of(np.array([1, 1, 2])).order, steps_of(np.array([3, 2])).order, steps_of(np.array([1, 0, 1])).order
    ('increasing', 'strictly decreasing', None)
    """
    before, after = values[:-1], values[1:]
    return Steps(*(bool(step.any()) for step in (before < after, before > after, before == after)))


def _of_words(series: pl.Series) -> MeasuredColumn:
    words = series.drop_nulls().cast(pl.String)
    distinct, counts = counted_words(words)
    profile = ColumnProfile(
        name=series.name,
        type=physical_type(series.dtype),
        rows=series.len(),
        nulls=series.len() - words.len(),
        distinct=distinct.len(),
        minimum=words.min(),
        maximum=words.max(),
        top=frequent_words(distinct, counts),
        lengths=lengths_of(words),
    )
    return MeasuredColumn(series, profile, distinct, counts)


def counted_words(words: pl.Series) -> tuple[pl.Series, Numbers]:
    """Distinct words and their counts: the most frequent first, then as they appear.

    >>> words, counts = counted_words(pl.Series(["b", "a", "c", "a"]))
    >>> words.to_list(), counts.tolist()
    (['a', 'b', 'c'], [2, 1, 1])
    """
    hashes = np.sort(words.hash(1).to_numpy())
    if (hashes[1:] != hashes[:-1]).all():  # different hashes are of different words
        return words, np.broadcast_to(np.int64(1), words.len())
    counted = (
        words.to_frame("word").lazy().with_row_index("first")
        .group_by("word").agg(pl.col("first").min(), pl.len().alias("count")).collect()
    )  # fmt: skip
    counts = counted["count"].to_numpy().astype(np.int64)
    order = np.argsort((counts.max() - counts) * words.len() + counted["first"].to_numpy())
    return counted["word"][order].alias(words.name), counts[order]


def frequent_words(distinct: pl.Series, counts: Numbers) -> tuple[tuple[str, int], ...]:
    """The most frequent words; among equals, the first of the alphabet.

    >>> frequent_words(pl.Series(["b", "d", "a"]), np.array([2, 1, 1]))
    (('b', 2), ('a', 1), ('d', 1))
    """
    if not len(counts):
        return ()
    least = int(counts[min(TOP, len(counts)) - 1])
    above = int((counts > least).sum())
    ties = distinct.filter(pl.Series(counts == least)).bottom_k(TOP - above).sort()
    first = pl.DataFrame({"word": distinct.head(above), "count": counts[:above]})
    ranked = first.sort(["count", "word"], descending=[True, False]).rows()
    return (*ranked, *((word, least) for word in ties.to_list()))


def lengths_of(words: pl.Series) -> dict[str, float]:
    """The shortest, mean and longest number of characters."""
    if not words.len():
        return {}
    length = words.str.len_chars()
    return {"shortest": length.min(), "mean": float(length.mean()), "longest": length.max()}  # type: ignore[arg-type,dict-item]


def _of_others(series: pl.Series) -> MeasuredColumn:
    """Flags are counted; of everything else there are only distinct values."""
    kind, known = series.dtype, series.drop_nulls()
    base: dict[str, Any] = {
        "name": series.name, "type": physical_type(kind), "rows": series.len(), "nulls": series.len() - known.len()
    }  # fmt: skip
    nothing = np.zeros(0, np.int64)
    if kind != pl.Boolean:
        distinct = 0 if kind in (pl.Null, pl.Object) else known.n_unique()
        return MeasuredColumn(series, ColumnProfile(**base, distinct=distinct), pl.Series(nothing), nothing)
    counted = flags_counted(int(known.sum()), known.len())
    profile = ColumnProfile(**base, **counted)
    values = pl.Series(series.name, [value for value, _ in profile.top], dtype=pl.Boolean)
    return MeasuredColumn(series, profile, values, np.array([count for _, count in profile.top], dtype=np.int64))


def flags_counted(yes: int, known: int) -> dict[str, Any]:
    """The fields of the profile of flags of which so many are true."""
    top = [(value, count) for value, count in ((False, known - yes), (True, yes)) if count]
    ends = sorted(value for value, _ in top)
    return {
        "distinct": len(top),
        "minimum": ends[0] if ends else None,
        "maximum": ends[-1] if ends else None,
        "mean": yes / known if known else None,
        "top": tuple(sorted(top, key=lambda item: -item[1])),
    }
