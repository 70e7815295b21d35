"""Findings between tables: keys that point nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from tidemill.core.errors import UsageError
from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.profile import MeasuredColumn
from tidemill.data.types import require_columns

_EXAMPLES = 5
_OVERLAP = 0.5
_OTHER_NAME_OVERLAP = 0.8


def find_in_keys(
    columns: Sequence[MeasuredColumn], references: Mapping[str, pl.DataFrame], keys: Mapping[str, str]
) -> Iterator[Finding]:
    """Values that are in no row of a reference table.

    Which column points into which table is told by `keys` (``{"dest": "airports.faa"}``), or found: a column of text or
    whole numbers points to a column without repeats that holds at least half of its distinct values and has its name;
    text also to one that holds four fifths of them under another name.
    """
    told = _told(keys, references)
    for column in columns:
        name = column.profile.name
        targets = [told[name]] if name in told else _found(column, references) if not keys else []
        for table, key in targets:
            yield from _orphans(column, table, key, references[table][key])


def _told(keys: Mapping[str, str], references: Mapping[str, pl.DataFrame]) -> dict[str, tuple[str, str]]:
    out = {}
    for column, target in keys.items():
        table, _, key = target.partition(".")
        if table not in references or not key:
            raise UsageError(
                "a key must point to TABLE.COLUMN of a reference table", value=target,
                hint=f"Reference tables: {', '.join(references) or 'none'}.",
            )  # fmt: skip
        require_columns(references[table], [key], purpose=f"the key {column!r}")
        out[column] = (table, key)
    return out


def _found(column: MeasuredColumn, references: Mapping[str, pl.DataFrame]) -> list[tuple[str, str]]:
    whole = column.series.dtype.is_integer()
    if not (column.is_text or whole) or column.distinct.is_empty():
        return []
    values = column.distinct
    best: dict[str, tuple[float, str]] = {}
    for table, frame in references.items():
        for key in frame.columns:
            same = key == column.profile.name
            fits = (frame.schema[key].is_integer() and same) if whole else frame.schema[key] == pl.String
            if not fits or frame[key].null_count() or not frame[key].is_unique().all():
                continue
            overlap = float(values.is_in(frame[key].cast(values.dtype).implode()).mean() or 0.0)  # type: ignore[arg-type]
            if overlap >= (_OVERLAP if same else _OTHER_NAME_OVERLAP) and overlap > best.get(table, (0.0, ""))[0]:
                best[table] = (overlap, key)
    return [(table, key) for table, (_, key) in best.items()]


def _orphans(column: MeasuredColumn, table: str, key: str, known: pl.Series) -> Iterator[Finding]:
    name, rows = column.profile.name, column.profile.rows
    words = pl.DataFrame({"value": column.distinct, "count": column.counts})
    lost = words.filter(~pl.col("value").is_in(known.cast(words.schema["value"], strict=False).unique().implode()))
    if lost.is_empty():
        return
    count = int(lost["count"].sum())
    lost = lost.sort("count", descending=True, maintain_order=True)
    yield Finding(
        "orphan_keys", name, "warning", count, count / rows, tuple(lost["value"].head(_EXAMPLES).to_list()),
        f"{name} is in no row of {table}.{key} in {number_of(count, 'row')} ({count / rows:.1%}; "
        f"{number_of(lost.height, 'distinct value')})"
        + (f", and missing in {column.profile.nulls:,} more." if column.profile.nulls else "."),
        f"Keep these rows in joins (key_join does), and tell a model that {table} is unknown.",
    )  # fmt: skip
