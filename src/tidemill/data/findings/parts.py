"""Findings between parts of one table, such as train and test: columns that are distributed otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.sampling import sampled
from tidemill.measures.distances import chi2_two_sample, jensen_shannon, ks

_MOST_LEVELS = 1000
_SURE = 1e-4
_LARGE = 0.1
_PER_LEVEL, _EXAMPLES = 20, 5


@dataclass(frozen=True, slots=True)
class PartDrift:
    """How far a column's distribution in another part is from that in the table.

    Parameters
    ----------
    part, column
        Where.
    measure, value
        ``"ks"`` (the largest gap between the two distributions) of numbers, flags and times; ``"jensen_shannon"`` (the
        distance) of categories; both from 0 to 1.
    p_value
        The chance of a value as large if nothing differed.
    missing
        How much larger the share of missing values is in the part.
    """

    part: str
    column: str
    measure: Literal["ks", "jensen_shannon"]
    value: float
    p_value: float
    missing: float


def part_drift(table: pl.DataFrame, part: pl.DataFrame, name: str) -> tuple[PartDrift, ...]:
    """The drift of every column that both have with the same kind of values; the farthest first."""
    here, there = sampled(table), sampled(part)
    out = []
    for column in here.columns:
        if column not in there.columns or not here.height or not there.height:
            continue
        found = _distance(here[column], there[column])
        if found is not None:
            missing = there[column].null_count() / there.height - here[column].null_count() / here.height
            out.append(PartDrift(name, column, *found, missing))
    return tuple(sorted(out, key=lambda item: (-item.value, item.column)))


def _distance(left: pl.Series, right: pl.Series) -> tuple[Literal["ks", "jensen_shannon"], float, float] | None:
    kind = left.dtype
    ordered = kind.is_numeric() or kind.is_temporal() or kind == pl.Boolean
    if ordered and (right.dtype.is_numeric() == kind.is_numeric()) and right.dtype.is_temporal() == kind.is_temporal():
        one, two = (side.drop_nulls().to_physical().cast(pl.Float64).to_numpy() for side in (left, right))
        one, two = one[np.isfinite(one)], two[np.isfinite(two)]
        if not len(one) or not len(two):
            return None
        found = ks(one, two)
        return "ks", found.statistic, found.p_value
    if kind == pl.String and right.dtype == pl.String and left.n_unique() <= _MOST_LEVELS:
        counted = [
            side.drop_nulls().rename("x").value_counts(name="n").with_columns(side=pl.lit(str(place)))
            for place, side in enumerate((left, right))
        ]
        table = pl.concat(counted).pivot("side", index="x", values="n").fill_null(0)
        if {"0", "1"} <= set(table.columns):
            counts = table["0"].to_numpy(), table["1"].to_numpy()
            return "jensen_shannon", jensen_shannon(*counts), chi2_two_sample(*counts).p_value
    return None


def new_values(table: pl.DataFrame, part: pl.DataFrame, name: str) -> Iterator[Finding]:
    """Categories that a part has and the table has not; text that is mostly different in every row is passed over."""
    for column in part.iter_columns():
        if column.name not in table.columns or column.dtype != pl.String or table.schema[column.name] != pl.String:
            continue
        known = table[column.name].drop_nulls().unique()
        if not 0 < len(known) <= min(_MOST_LEVELS, table.height / _PER_LEVEL):
            continue
        new = column.drop_nulls().filter(~column.drop_nulls().is_in(known.implode()))
        if len(new):
            words = new.value_counts(sort=True)[column.name].head(_EXAMPLES).to_list()
            yield Finding(
                "new_values", column.name, "warning", len(new), len(new) / part.height, tuple(words),
                f"{column.name} has values in {name} that the table does not have, in {number_of(len(new), 'row')}: "
                f"{', '.join(words)}.",
                "Merge rare categories on the training rows (MergeRare), and see what is new.",
            )  # fmt: skip


def find_in_parts(drift: tuple[PartDrift, ...], rows: int) -> Iterator[Finding]:
    """Columns whose distribution differs by more than a tenth, and surely."""
    for item in drift:
        if item.value >= _LARGE and item.p_value < _SURE:
            yield Finding(
                "part_drift", item.column, "warning", rows, 1.0, (),
                f"{item.column} is distributed otherwise in {item.part}: {item.measure.replace('_', '-')} distance "
                f"{item.value:.2f}.",
                "A measure on that part says less about the others; if it is time that differs, split by time.",
            )  # fmt: skip
        elif abs(item.missing) >= _LARGE:
            yield Finding(
                "part_drift", item.column, "warning", rows, abs(item.missing), (),
                f"{item.column} is missing {abs(item.missing):.0%} {'more' if item.missing > 0 else 'less'} often in "
                f"{item.part}.",
                "Ask what changed in the source.",
            )  # fmt: skip
