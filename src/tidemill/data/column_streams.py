"""Columns that are too large to hold: measured batch by batch, in bounded memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from tidemill.data.distinct import DistinctSketch
from tidemill.data.profile import (
    ColumnProfile,
    MeasuredColumn,
    Numbers,
    Steps,
    counted_words,
    flags_counted,
    frequent_words,
    is_text,
    is_wide,
    measure_column,
    physical,
    profile_of_tally,
    steps_of,
)
from tidemill.data.tally import Moments, Tally, finite, merged, moments, shape, tally
from tidemill.data.tally import total as sum_of
from tidemill.data.types import physical_type

#: So many of the smallest and of the largest values are always counted exactly.
_ENDS = 64
#: A value is frequent when a sample has it this often.
_OFTEN = 10
#: So many batches are counted before they are summed.
_PARTS = 64
_MOST_PERIODS = 2**20
_HOUR = {"ms": 3_600_000, "us": 3_600_000_000, "ns": 3_600_000_000_000}


class ColumnStream(ABC):
    """One column: batches come in, in the order of rows; at the end its measure comes out."""

    def __init__(self, name: str, kind: pl.DataType, limit: int) -> None:
        self.name, self.kind, self.limit = name, kind, limit
        self.rows = self.known = 0
        self.sketch: DistinctSketch | None = None

    @abstractmethod
    def add(self, series: pl.Series) -> None:
        """Take in the next rows."""

    @abstractmethod
    def measured(self, sample: pl.Series) -> MeasuredColumn:
        """The measure of all rows; of a column of too many distinct values, the sample stands for some of them."""

    def _estimate(self) -> int:
        # An estimate must not say that all values differ: that makes a column a key.
        return 0 if self.sketch is None else min(self.sketch.estimate(), self.known - 1)


class OrderedStream(ColumnStream):
    """Numbers and times."""

    def __init__(self, name: str, kind: pl.DataType, limit: int) -> None:
        super().__init__(name, kind, limit)
        self.parts: list[Tally] = []
        self.low = self.high = tally(np.zeros(0, np.int64))
        self.moments = Moments()
        self.total: float | None = None
        self.signs = {"zeros": 0, "negatives": 0, "infinite": 0}
        self.steps = Steps()
        self.last: Any = None
        self.periods: Tally | None = None
        self.scattered = False
        # Of numbers that floats stand for, several may have one float.
        self.others = OtherStream(name, kind, limit) if is_wide(kind) else None

    def add(self, series: pl.Series) -> None:
        """Take in the next rows."""
        values = _values(series)
        self.rows += series.len()
        if self.others is not None:
            self.others.add(series)
        if not len(values):
            return
        self._see_order(values)
        self.known += len(values)
        counted = tally(values)
        if self.sketch is not None:
            self._sketched(counted)
            return
        self.parts.append(counted)
        if len(self.parts) > _PARTS or sum(len(part.values) for part in self.parts) > 2 * self.limit:
            self.parts = [merged(self.parts)]
            if len(self.parts[0].values) > self.limit:
                self.sketch = DistinctSketch()
                self._sketched(self.parts.pop())

    def _see_order(self, values: Numbers) -> None:
        if not (self.steps.up and self.steps.down):
            self.steps |= steps_of(values if self.last is None else np.concatenate([[self.last], values]))
        self.last = values[-1]

    def _sketched(self, counted: Tally) -> None:
        assert self.sketch is not None
        self.sketch.add(pl.Series(counted.values).hash(1).to_numpy())
        self.low = _first(merged([self.low, _first(counted)]) if len(self.low.values) else counted)
        self.high = _last(merged([self.high, _last(counted)]) if len(self.high.values) else counted)
        if self.kind.is_numeric():
            bounded = finite(counted)
            self.moments += moments(bounded)
            part = sum_of(bounded) or 0
            self.total = part if self.total is None else self.total + part
            self.signs["zeros"] += int(counted.counts[counted.values == 0].sum())
            self.signs["negatives"] += int(counted.counts[: np.searchsorted(counted.values, 0)].sum())
            self.signs["infinite"] += counted.total - bounded.total
        elif not self.scattered and (self.kind == pl.Date or isinstance(self.kind, pl.Datetime)):
            self._see_periods(counted)

    def _see_periods(self, counted: Tally) -> None:
        """The days, or hours, that the column has: what is known of a time column's holes."""
        size = _HOUR[self.kind.time_unit] if isinstance(self.kind, pl.Datetime) else 1
        floored = counted.values // size * size
        starts = np.flatnonzero(np.concatenate([[True], floored[1:] != floored[:-1]]))
        part = Tally(floored[starts], np.add.reduceat(counted.counts, starts))
        known = part if self.periods is None else merged([self.periods, part])
        # Times all over the place have no coverage to speak of, nor may they take memory without end.
        self.scattered = len(known.values) > _MOST_PERIODS
        self.periods = Tally(known.values[:0], known.counts[:0]) if self.scattered else known

    def measured(self, sample: pl.Series) -> MeasuredColumn:
        """The measure of all rows."""
        if self.sketch is None:
            counted = merged(self.parts) if self.parts else tally(np.zeros(0, np.int64))
            fields = profile_of_tally(self.name, self.kind, self.rows, counted)
        else:
            counted = _filled(self.low, self.high, tally(_values(sample)), self.known)
            fields = profile_of_tally(self.name, self.kind, self.rows, counted) | {"exact": False}
            scale = max(1.0, self.known / max(1, sample.count()))
            fields["top"] = tuple(item for item in fields["top"] if item[1] >= _OFTEN * scale)
            fields["nulls"], fields["distinct"] = self.rows - self.known, self._distinct()
            if self.kind.is_numeric():
                fields |= shape(self.moments) | self.signs | {"total": self.total}
        if self.others is not None:
            fields |= self.others.differing()
        profile = ColumnProfile(**fields, monotone=self.steps.order)
        return MeasuredColumn(sample, profile, pl.Series(self.name, counted.values), counted.counts)

    def _distinct(self) -> int:
        order = self.steps.order
        return self.known if order is not None and order.startswith("strictly") else self._estimate()

    def covering(self, measured: MeasuredColumn) -> MeasuredColumn:
        """The measure without holes that the table does not have: days or hours stand for single moments."""
        if self.periods is None:
            return measured
        return replace(measured, distinct=pl.Series(self.periods.values), counts=self.periods.counts)


class WordStream(ColumnStream):
    """Text and categories."""

    def __init__(self, name: str, kind: pl.DataType, limit: int) -> None:
        super().__init__(name, kind, limit)
        self.parts: list[pl.DataFrame] = []
        self.ends: tuple[str | None, str | None] = (None, None)
        self.characters = 0
        self.extent: tuple[int, int] | None = None

    def add(self, series: pl.Series) -> None:
        """Take in the next rows."""
        words = series.drop_nulls().cast(pl.String)
        self.rows += series.len()
        if not words.len():
            return
        self._see_ends(words)
        if self.sketch is not None:
            self.known += words.len()
            self.sketch.add(words.hash(1).to_numpy())
            return
        distinct, counts = counted_words(words)
        self.parts.append(pl.DataFrame({"word": distinct, "count": counts}))
        self.known += words.len()
        if len(self.parts) > _PARTS or sum(part.height for part in self.parts) > 2 * self.limit:
            self.parts = [_summed(self.parts)]
            if self.parts[0].height > self.limit:
                self.sketch = DistinctSketch()
                self.sketch.add(self.parts.pop()["word"].hash(1).to_numpy())

    def _see_ends(self, words: pl.Series) -> None:
        length = words.str.len_chars()
        self.characters += int(length.sum())
        low, high = int(length.min()), int(length.max())  # type: ignore[arg-type]
        self.extent = (low, high) if self.extent is None else (min(low, self.extent[0]), max(high, self.extent[1]))
        ends = pl.Series([*self.ends, words.min(), words.max()], dtype=pl.String)
        self.ends = ends.min(), ends.max()  # type: ignore[assignment]

    def measured(self, sample: pl.Series) -> MeasuredColumn:
        """The measure of all rows."""
        if self.sketch is None:
            table = _summed([*self.parts, pl.DataFrame(schema={"word": pl.String, "count": pl.Int64})])
            words, counts = table["word"], table["count"].to_numpy()
            number, top = len(counts), frequent_words(words, counts)
        else:
            words, counts = counted_words(sample.drop_nulls().cast(pl.String))
            scale = self.known / max(1, int(counts.sum()))
            often = counts >= _OFTEN
            counts = np.rint(counts * scale).astype(np.int64)
            number, top = self._estimate(), frequent_words(words.filter(pl.Series(often)), counts[often])
        profile = ColumnProfile(
            self.name, physical_type(self.kind), self.rows, self.rows - self.known, number, self.ends[0], self.ends[1],
            top=top, lengths=self._lengths(), exact=self.sketch is None,
        )  # fmt: skip
        return MeasuredColumn(sample, profile, words.alias(self.name), counts)

    def _lengths(self) -> dict[str, float]:
        if self.extent is None:
            return {}
        return {"shortest": self.extent[0], "mean": self.characters / self.known, "longest": self.extent[1]}


class OtherStream(ColumnStream):
    """Flags, bytes, lists and structures: how many there are and how many differ."""

    def __init__(self, name: str, kind: pl.DataType, limit: int) -> None:
        super().__init__(name, kind, limit)
        self.yes = 0
        self.seen = np.zeros(0, np.uint64)

    def add(self, series: pl.Series) -> None:
        """Take in the next rows."""
        values = series.drop_nulls()
        self.rows, self.known = self.rows + series.len(), self.known + values.len()
        if self.kind == pl.Boolean:
            self.yes += int(values.sum())
        elif self.kind not in (pl.Null, pl.Object):
            hashes = values.hash(1).to_numpy()
            if self.sketch is None:
                self.seen = np.union1d(self.seen, hashes)
                if len(self.seen) <= self.limit:
                    return
                self.sketch, hashes = DistinctSketch(), self.seen
            self.sketch.add(hashes)

    def differing(self) -> dict[str, Any]:
        """How many values differ, and whether that is exact."""
        return {"distinct": len(self.seen) if self.sketch is None else self._estimate(), "exact": self.sketch is None}

    def measured(self, sample: pl.Series) -> MeasuredColumn:
        """The measure of all rows."""
        of_sample = measure_column(sample)
        fields: dict[str, Any] = (
            flags_counted(self.yes, self.known) if self.kind == pl.Boolean
            else self.differing()
        )  # fmt: skip
        profile = ColumnProfile(self.name, physical_type(self.kind), self.rows, self.rows - self.known, **fields)
        if self.kind != pl.Boolean:
            return replace(of_sample, profile=profile)
        values = pl.Series(self.name, [value for value, _ in profile.top], dtype=pl.Boolean)
        counts = np.array([count for _, count in profile.top], dtype=np.int64)
        return MeasuredColumn(sample, profile, values, counts)


def stream_of(name: str, kind: pl.DataType, limit: int) -> ColumnStream:
    """An empty stream for a column; more than `limit` distinct values are not held."""
    if kind.is_numeric() or kind.is_temporal():
        return OrderedStream(name, kind, limit)
    return (WordStream if is_text(kind) else OtherStream)(name, kind, limit)


def _values(series: pl.Series) -> Numbers:
    return physical(series.fill_nan(None) if series.dtype.is_float() else series)


def _first(given: Tally) -> Tally:
    return Tally(given.values[:_ENDS], given.counts[:_ENDS])


def _last(given: Tally) -> Tally:
    return Tally(given.values[-_ENDS:], given.counts[-_ENDS:])


def _filled(low: Tally, high: Tally, sample: Tally, known: int) -> Tally:
    """The exact ends, and between them the sample in their proportion."""
    above = high.values > low.values[-1]
    high = Tally(high.values[above], high.counts[above])
    last = high.values[0] if len(high.values) else low.values[-1]
    inside = (sample.values > low.values[-1]) & (sample.values < last)
    values, counts = sample.values[inside], sample.counts[inside]
    rest = known - low.total - high.total
    if len(values):
        # Rounding the running sum keeps the total.
        counts = np.diff(np.rint(np.cumsum(counts) * (rest / counts.sum())).astype(np.int64), prepend=0)
    return Tally(np.concatenate([low.values, values, high.values]), np.concatenate([low.counts, counts, high.counts]))


def _summed(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Words with the sum of their counts: the most frequent first, then as they appear."""
    stacked = pl.concat(parts).with_row_index("row")
    summed = stacked.group_by("word").agg(pl.col("count").sum(), pl.col("row").min())
    return summed.sort(["count", "row"], descending=[True, False]).drop("row")
