"""Findings between tables and rows: keys that point nowhere, rows that are there twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from tidemill.core.errors import UsageError
from tidemill.data.findings.finding import Finding
from tidemill.data.profile import MeasuredColumn
from tidemill.data.types import require_columns

_EXAMPLES = 5
_OVERLAP = 0.5
_OTHER_NAME_OVERLAP = 0.8


def find_in_keys(
    columns: Sequence[MeasuredColumn], references: Mapping[str, pl.DataFrame], keys: Mapping[str, str]
) -> Iterator[Finding]:
    """Values that are in no row of a reference table.

    Which column points into which table is told by `keys` (``{"dest": "airports.faa"}``), or found: a column of text
    points to a column without repeats that holds at least half of its distinct values and has its name, or four fifths
    of them under another name.
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
    if not column.is_text or not len(column.values):
        return []
    words = column.distinct
    best: dict[str, tuple[float, str]] = {}
    for table, frame in references.items():
        for key in frame.columns:
            if frame.schema[key] != pl.String or frame[key].null_count() or not frame[key].is_unique().all():
                continue
            overlap = float(words.is_in(frame[key].implode()).mean() or 0.0)  # type: ignore[arg-type]
            needed = _OVERLAP if key == column.profile.name else _OTHER_NAME_OVERLAP
            if overlap >= needed and overlap > best.get(table, (0.0, ""))[0]:
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
        f"{name} is in no row of {table}.{key} in {count:,} rows ({count / rows:.1%}; {lost.height:,} distinct values)"
        + (f", and missing in {column.profile.nulls:,} more." if column.profile.nulls else "."),
        f"Keep these rows in joins (key_join does), and tell a model that {table} is unknown.",
    )  # fmt: skip


def find_duplicates(frame: pl.DataFrame) -> Iterator[Finding]:
    """Rows that repeat another row in every column."""
    if frame.height < 2 or not frame.width:
        return
    # Equal rows have equal hashes: only rows whose hash repeats are compared.
    suspects = frame.filter(frame.hash_rows().is_duplicated())
    count = suspects.height - suspects.unique().height if suspects.height else 0
    if count:
        examples = suspects.filter(suspects.is_duplicated()).head(1).rows()
        yield Finding(
            "duplicate_rows", "*", "warning", count, count / frame.height, tuple(str(row) for row in examples),
            f"{count:,} rows repeat another row in every column.", "Deduplicate, unless repeats are meant.",
            {"kind": "deduplicate", "columns": list(frame.columns)},
        )  # fmt: skip
