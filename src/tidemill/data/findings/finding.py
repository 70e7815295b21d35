"""One thing that explore found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: An error is wrong in any reading; a warning will hurt a model unless somebody decides; a note is good to know.
FindingSeverity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or remarkable in a column (or between columns).

    Parameters
    ----------
    kind
        What it is. In the values of a column: ``impossible_value``, ``sentinel`` (a code for a missing value),
        ``sign_flip``, ``null_token``, ``mixed_types``, ``mixed_dates``, ``mixed_offsets``, ``number_as_text``,
        ``time_as_text``, ``encoding_damage``, ``spelling_variants``, ``unit_break``, ``missing_values``,
        ``mostly_missing``, ``constant``, ``id_like``, ``clock_as_number``, ``clock_2400``. In the order of rows:
        ``missing_burst``, ``stuck_values``, ``precision_change``, ``swapped_columns``, ``late_rows``, ``time_gap``.
        Between clocks: ``hour_mismatch``, ``clock_shift``, ``daylight_saving``. In whole rows: ``duplicate_rows``,
        ``near_duplicates``. Between tables: ``orphan_keys``, ``part_drift``, ``new_values``. About the target:
        ``missing_labels``, ``doubtful_labels``, ``suspiciously_predictive``, ``leak`` (known only after the
        prediction), ``leak_unchecked``.
    column
        The column it is in.
    severity
        See `FindingSeverity`.
    count, share
        The rows concerned, and their share of all rows.
    examples
        Some of the values.
    explanation
        One sentence for people: what was seen and why it matters.
    suggestion
        What to do.
    remedy
        The cleaning operation that does it, as a mapping (see `tidemill.data.operations.operation_from_dict`); empty
        where somebody has to decide.
    """

    kind: str
    column: str
    severity: FindingSeverity
    count: int
    share: float
    examples: tuple[Any, ...]
    explanation: str
    suggestion: str
    remedy: Mapping[str, Any] = field(default_factory=dict)


def number_of(count: int, one: str, many: str = "") -> str:
    """So many of something, in the singular where it is one.

    >>> number_of(1, "row"), number_of(2000, "row"), number_of(1, "row repeats", "rows repeat")
    ('1 row', '2,000 rows', '1 row repeats')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
