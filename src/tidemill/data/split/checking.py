"""Leaks between the parts of a split: looked for each time, whatever the method promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import polars as pl

from tidemill.core.errors import DataError, LeakError, UsageError
from tidemill.data.split.methods import ByGroup, ByOrigin, ByTime, SplitMethod
from tidemill.data.types import plain

Tables: TypeAlias = Mapping[str, pl.DataFrame]

#: What can be forbidden: the same row, the same entity, a training row later than the first row of a later part.
Leaking: TypeAlias = Literal["same_row", "same_entity", "future_in_train"]

_LEAKS: tuple[Leaking, ...] = ("same_row", "same_entity", "future_in_train")
_EXAMPLES = 5
#: Columns by which rows are told apart before they are compared whole: numbers with decimals where there are any.
_TELLING = 3


def require_rows(tables: Tables, time: str | None) -> None:
    """Raise `DataError` when a part is empty."""
    for name, table in tables.items():
        if table.is_empty():
            rows = {part: item.height for part, item in tables.items()}
            spans = {part: span(item[time]) for part, item in tables.items() if item.height} if time else None
            raise DataError(
                f"the {name} part of the split is empty",
                value=spans or rows,
                hint="Move the boundaries into the data, or give more rows.",
            )


def span(times: pl.Series) -> tuple[Any, Any]:
    """First and last time."""
    return plain(times.min()), plain(times.max())


def require_no_leak(tables: Tables, method: SplitMethod, time: str | None) -> None:
    """Raise `LeakError` for what the method rules out: later rows in an earlier part, one group in two parts."""
    if isinstance(method, ByTime | ByOrigin):
        for earlier, later in (("train", "validation"), ("validation", "test")):
            last, first = tables[earlier][str(time)].max(), tables[later][str(time)].min()
            if last >= first:  # type: ignore[operator]  # both are times
                raise LeakError(f"{earlier} rows are not all before {later} rows", value=(last, first))
    if isinstance(method, ByGroup):
        _require_disjoint(tables, method.columns, nulls=True)
    if isinstance(method, ByTime) and method.disjoint:
        _require_disjoint(tables, method.disjoint, nulls=False)


def _require_disjoint(tables: Tables, columns: Sequence[str], *, nulls: bool) -> None:
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = (
            tables[one]
            .select(columns)
            .unique()
            .join(tables[other].select(columns).unique(), on=list(columns), how="inner", nulls_equal=True)
        )
        if not nulls:
            shared = shared.filter(pl.any_horizontal(pl.all().is_not_null()))
        if shared.height:
            raise LeakError(f"groups are in both {one} and {other}", value=shared.rows()[:_EXAMPLES])


def overlaps(tables: Tables, *, time: str | None, entity: Sequence[str], forbid: Sequence[Leaking]) -> dict[str, int]:
    """What the training part shares with the later ones, counted; what is forbidden raises.

    Returns
    -------
    dict
        ``same_row``: rows of later parts that are equal to a training row in every column; ``same_entity``: those about
        an entity of the training part; ``future_in_train``: training rows later than the first row of a later part.
        Without what does not occur.
    """
    unknown = [leak for leak in forbid if leak not in _LEAKS]
    if unknown:
        raise UsageError("no such leak can be forbidden", value=unknown, hint=f"Use {', '.join(_LEAKS)}.")
    train, later = tables["train"], pl.concat([tables["validation"], tables["test"]])
    found: dict[str, pl.DataFrame] = {"same_row": _same_rows(train, later)}
    if entity:
        keys = train.select(entity).drop_nulls().unique()
        found["same_entity"] = later.join(keys, on=list(entity), how="semi")
    if time is not None:
        first = later[time].min()
        found["future_in_train"] = train.filter(pl.col(time) > first)
    for name, rows in found.items():
        if rows.height and name in forbid:
            raise LeakError(
                f"the parts of the split are not apart: {rows.height:,} rows ({_SAID[name]})",
                value=[plain(row) for row in rows.head(2).rows()],
                hint="Choose another method, repair the table, or do not forbid it.",
            )
    return {name: rows.height for name, rows in found.items() if rows.height}


_SAID = {
    "same_row": "later rows that are also training rows",
    "same_entity": "later rows about an entity that is in the training rows",
    "future_in_train": "training rows later than the first later row",
}


def _same_rows(train: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """The later rows that are equal to a training row; most are told from all of these by few columns."""
    telling = sorted(later.columns, key=lambda name: not later.schema[name].is_float())[:_TELLING]
    maybe = later.filter(_hashes(later.select(telling)).is_in(_hashes(train.select(telling)).implode()))
    if maybe.is_empty() or later.width <= _TELLING:
        return maybe
    return maybe.filter(_hashes(maybe).is_in(_hashes(train).implode()))


def _hashes(table: pl.DataFrame) -> pl.Series:
    """One number per row, equal for equal rows."""
    return table.hash_rows() if table.width and table.height else pl.Series([], dtype=pl.UInt64)
