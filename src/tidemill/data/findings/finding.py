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
        What it is, such as ``"impossible_value"`` or ``"orphan_keys"``.
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
