"""Findings in the values of one column."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from tidemill.data.findings.daylight import find_daylight_saving
from tidemill.data.findings.extremes import find_at_the_ends
from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.findings.words import find_in_words
from tidemill.data.profile import MeasuredColumn

_MIN_DISTINCT = 10
_MOSTLY_MISSING = 0.5
_EXAMPLES = 5


def find_in_values(column: MeasuredColumn) -> Iterator[Finding]:
    """Missing and constant columns, identifiers, impossible values, and damaged text."""
    profile = column.profile
    yield from _missing(column)
    if profile.distinct == 1 and profile.rows > 1:
        yield Finding(
            "constant", profile.name, "note", profile.rows - profile.nulls, 1 - profile.nulls / profile.rows,
            (profile.minimum,), f"{profile.name} has the same value in every row that has one.", "Drop the column.",
            {"kind": "drop_columns", "columns": [profile.name]},
        )  # fmt: skip
    is_whole = column.series.dtype.is_integer() or column.is_text
    if is_whole and profile.rows > _MIN_DISTINCT and profile.distinct == profile.rows:
        yield Finding(
            "id_like", profile.name, "note", profile.rows, 1.0, tuple(value for value, _ in profile.top[:_EXAMPLES]),
            f"{profile.name} is different in every row: it names rows and tells nothing about new ones.",
            "Use it as a key and not as a feature.",
        )  # fmt: skip
    if column.is_number or column.series.dtype in (pl.Date, pl.Datetime):
        yield from find_at_the_ends(column)
        yield from find_daylight_saving(column)
    if column.is_text:
        yield from find_in_words(column)


def _missing(column: MeasuredColumn) -> Iterator[Finding]:
    profile = column.profile
    share = profile.nulls / profile.rows if profile.rows else 0.0
    if share >= _MOSTLY_MISSING:
        yield Finding(
            "mostly_missing", profile.name, "warning", profile.nulls, share, (),
            f"{profile.name} is missing in {share:.1%} of rows.",
            "Drop it, or keep a flag of whether it is there.",
        )  # fmt: skip
    elif profile.nulls:
        yield Finding(
            "missing_values", profile.name, "note", profile.nulls, share, (),
            f"{profile.name} is missing in {number_of(profile.nulls, 'row')} ({share:.1%}).",
            "Fill it from the training rows (FillLearned), or keep a flag of whether it is there.",
        )  # fmt: skip
