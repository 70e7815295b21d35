"""Faults of every kind that a given table can show, as they happen in practice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl

from tidemill.data.generation import disturbances as d
from tidemill.data.generation.randomness import Floats, uniforms
from tidemill.data.types import Tabular, collected, require_columns

T = TypeVar("T")

_FEW = 20
_MOST_WORDS = 100
_LONGEST_CODE = 2
_UNITS = (1.609344, 2.2046226, 3.2808399, 2.54, 1000.0, 60.0, 100.0)
_LARGEST = 1e5
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class _Chance:
    """Choices that follow from a seed and a name, whatever else is chosen."""

    seed: int

    def between(self, low: float, high: float, name: str) -> float:
        """A number, equally likely everywhere in a range."""
        return float(low + (high - low) * uniforms(1, self.seed, "typical", name)[0])

    def size(self, low: float, high: float, name: str) -> float:
        """A share whose logarithm is equally likely everywhere in a range."""
        return float(low * (high / low) ** self.between(0, 1, name))

    def one(self, items: Sequence[T], name: str) -> T:
        """One of several."""
        return items[int(self.between(0, len(items), name))]


def typical_faults(
    table: Tabular, *, target: str | None = None, foreign_keys: Sequence[str] = (), seed: int = 0
) -> tuple[d.Disturbance, ...]:
    """One disturbance of each kind that fits the table, in a column, a place and a size that follow from the seed.

    Parameters
    ----------
    table
        The rows, as clean as they are.
    target
        The column to predict: struck by missing labels and a leak, and left alone by the others.
    foreign_keys
        Columns of text that point into other tables, to be given values that are in none.
    seed
        Another one chooses other columns, places and sizes.

    Examples
    --------
    >>> table = pl.DataFrame({"mass": [value / 7 for value in range(100)], "port": ["Oslo", "Bergen"] * 50})
    >>> sorted({fault.kind for fault in typical_faults(table)})[:4]
    ['duplicated_batch', 'encoding_damage', 'mixed_types', 'near_duplicates']
    """
    frame = collected(table)
    given = [*foreign_keys] if target is None else [target, *foreign_keys]
    require_columns(frame, given, purpose="typical_faults")
    chance = _Chance(seed)
    columns = [column for column in frame.iter_columns() if column.name != target and column.count()]
    return (
        *_in_numbers(columns, chance),
        *_in_words(columns, chance),
        *_in_times(columns, chance),
        *_in_rows(frame, columns, target, foreign_keys, chance),
    )


def _in_numbers(columns: Sequence[pl.Series], chance: _Chance) -> Iterator[d.Disturbance]:
    numbers = {
        column.name: column.drop_nulls().cast(pl.Float64).to_numpy()
        for column in columns
        if column.dtype.is_numeric() and column.n_unique() > _FEW
    }
    if not numbers:
        return
    names = list(numbers)
    name = chance.one(names, "outliers")
    far = float(np.abs(numbers[name]).max()) + chance.between(30, 300, "outlier") * float(numbers[name].std())
    yield d.Outliers(name, round(far, 1), chance.one((1, 2), "outlier rows"))
    small = [name for name in names if np.abs(numbers[name]).max() < _LARGEST]
    if small:
        yield d.Sentinels(
            chance.one(small, "sentinels"), chance.one((-999.0, -9999.0, 999_999.0), "sentinel"),
            chance.size(0.01, 0.15, "sentinel share"),
        )  # fmt: skip
    positive = [name for name in names if numbers[name].min() > 0]
    if positive:
        yield d.SignFlip(chance.one(positive, "sign"), chance.size(0.005, 0.05, "sign share"))
        unit, factor = chance.one(positive, "unit"), chance.one(_UNITS, "factor")
        whole = bool((numbers[unit] == np.rint(numbers[unit])).all())
        yield d.UnitChange(unit, max(factor, 60.0) if whole else factor, since=chance.between(0.3, 0.9, "unit since"))
    yield from _in_fractions(numbers, chance)
    yield d.Nulls((chance.one(names, "nulls"),), chance.size(0.02, 0.2, "null share"))
    yield d.Nulls((chance.one(names, "burst"),), 0.9, since=chance.between(0.7, 0.9, "burst since"))
    yield d.MixedTypes(chance.one(names, "mixed"), "n.b.", chance.size(0.005, 0.1, "mixed share"))
    yield d.MixedTypes(chance.one(names, "type"), "n.b.", 1.0, since=chance.between(0.7, 0.95, "type since"))


def _in_fractions(numbers: Mapping[str, Floats], chance: _Chance) -> Iterator[d.Disturbance]:
    fractions = [
        name
        for name, values in numbers.items()
        if (np.rint(values) == values).mean() < 1 / 2 and len(np.unique(values)) > len(values) / _FEW
    ]
    if fractions:
        yield d.Rounding(chance.one(fractions, "rounding"), 0, since=chance.between(0.3, 0.9, "rounding since"))
        yield d.Stuck(
            chance.one(fractions, "stuck"), chance.between(0.1, 0.8, "stuck since"), chance.size(0.05, 0.2, "stuck")
        )
        yield d.Stuck(chance.one(fractions, "constant"), 0.0, 1.0)
    pairs = [pair for pair in itertools.combinations(sorted(fractions), 2) if _apart(*(numbers[name] for name in pair))]
    if pairs:
        yield d.Swapped(chance.one(pairs, "swapped"), since=chance.between(0.6, 0.9, "swapped since"))


def _apart(one: Floats, two: Floats) -> bool:
    """Whether two columns differ so much that it matters which is which."""
    ends = [np.quantile(side, [0.1, 0.9]) for side in (one, two)]
    return bool(ends[0][1] < ends[1][0] or ends[1][1] < ends[0][0])


def _in_words(columns: Sequence[pl.Series], chance: _Chance) -> Iterator[d.Disturbance]:
    words = [
        column.name for column in columns
        if column.dtype == pl.String and 2 <= column.n_unique() <= min(_MOST_WORDS, column.len() / 4)
    ]  # fmt: skip
    if not words:
        return
    yield d.NullTokens(
        chance.one(words, "token"), chance.one(("N/A", "unknown", "-", "null"), "token text"),
        chance.size(0.01, 0.2, "token share"),
    )  # fmt: skip
    yield d.EncodingDamage(chance.one(words, "encoding"), chance.size(0.005, 0.1, "encoding share"))
    yield d.Spelling(chance.one(words, "spelling"), chance.size(0.01, 0.1, "spelling share"))


def _in_times(columns: Sequence[pl.Series], chance: _Chance) -> Iterator[d.Disturbance]:
    times = [column for column in columns if isinstance(column.dtype, pl.Datetime) and column.n_unique() > _FEW]
    for column in times[:1]:
        yield d.Sentinels(column.name, "1900-01-01", chance.size(0.002, 0.1, "time sentinel"))
        if not column.is_sorted():
            continue
        yield d.Gap(chance.between(0.2, 0.8, "gap"), chance.size(0.05, 0.15, "gap share"))
        seconds = column.drop_nulls().dt.epoch("s").to_numpy()
        if np.median(np.diff(seconds)) <= _HOUR:  # on rows that are farther apart a shift leaves no trace
            yield d.LateRows(column.name, "12h", chance.size(0.01, 0.1, "late share"))
            by = chance.one(("-5h", "3h", "-1h"), "zone")
            yield d.ZoneShift(column.name, by, since=chance.between(0.3, 0.8, "zone at"))


def _in_rows(
    frame: pl.DataFrame, columns: Sequence[pl.Series], target: str | None, foreign_keys: Sequence[str], chance: _Chance
) -> Iterator[d.Disturbance]:
    yield d.DuplicatedBatch(chance.between(0.0, 0.9, "batch"), chance.size(0.01, 0.1, "batch share"))
    keys = tuple(
        column.name for column in columns
        if column.n_unique() == frame.height and (column.dtype == pl.String or column.dtype.is_integer())
    )  # fmt: skip
    texts = [column for column in columns if column.dtype == pl.String and column.name not in keys]
    if texts:
        yield d.NearDuplicates(max(2, round(frame.height * chance.size(0.005, 0.03, "again"))), keys)
    for name in foreign_keys:
        yield d.Orphans(name, "??-999", chance.size(0.005, 0.1, f"orphans {name}"))
    if target is not None:
        yield d.Nulls((target,), chance.size(0.01, 0.2, "labels"))
        yield d.Leak(target, noise=chance.between(0.02, 0.15, "leak"))
