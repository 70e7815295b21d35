"""The repairs that need no learning, as records: what is done to which columns. See `tidemill.data.clean`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeAlias

from tidemill.core.errors import ConfigError

Ambiguous = Literal["earliest", "latest", "null"]


@dataclass(frozen=True, slots=True)
class ParseHhmm:
    """Turn a clock time written as a number (``517`` is 05:17, ``2400`` the midnight that ends the day) into a moment.

    Parameters
    ----------
    column
        The number; one that is no clock time becomes missing.
    date
        The column of the day, or the columns of its year, month and day.
    into
        The new column.
    zone
        The time zone of the clock; the result is in UTC. None: a time without a zone.
    after
        A moment that the result cannot precede by more than twelve hours: it is moved to the next day if it does
        (an arrival after midnight, with the date of the departure).
    """

    column: str
    date: str | tuple[str, str, str]
    into: str
    zone: str | None = None
    after: str | None = None
    kind: Literal["parse_hhmm"] = "parse_hhmm"


@dataclass(frozen=True, slots=True)
class ParseTime:
    """Parse text into a date or a time; text that does not fit `format` (default ISO 8601) becomes missing."""

    column: str
    format: str | None = None
    zone: str | None = None
    kind: Literal["parse_time"] = "parse_time"


@dataclass(frozen=True, slots=True)
class ToTimezone:
    """Show a moment in another zone; a time without a zone is first said to be in `assume`.

    A clock time that happens twice in autumn is the first one (`ambiguous`); one that spring skips becomes missing.
    """

    column: str
    zone: str
    assume: str | None = None
    into: str | None = None
    ambiguous: Ambiguous = "earliest"
    kind: Literal["to_timezone"] = "to_timezone"


@dataclass(frozen=True, slots=True)
class DropColumns:
    """Remove columns."""

    columns: tuple[str, ...]
    kind: Literal["drop_columns"] = "drop_columns"


@dataclass(frozen=True, slots=True)
class Rename:
    """Rename columns: old name to new name."""

    names: Mapping[str, str]
    kind: Literal["rename"] = "rename"


@dataclass(frozen=True, slots=True)
class Cast:
    """Change the type of a column; values that do not fit become missing."""

    column: str
    type: str
    kind: Literal["cast"] = "cast"


@dataclass(frozen=True, slots=True)
class NullOutside:
    """Make values outside a closed range missing."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    kind: Literal["null_outside"] = "null_outside"


@dataclass(frozen=True, slots=True)
class NullValues:
    """Make certain values missing, such as ``"-"`` or ``999``."""

    columns: tuple[str, ...]
    values: tuple[Any, ...]
    kind: Literal["null_values"] = "null_values"


@dataclass(frozen=True, slots=True)
class FillConstant:
    """Replace missing values by a constant that is given, not learned."""

    column: str
    value: Any
    kind: Literal["fill_constant"] = "fill_constant"


@dataclass(frozen=True, slots=True)
class NormaliseText:
    """Strip spaces, collapse runs of them, and fold the case of text."""

    columns: tuple[str, ...]
    case: Literal["lower", "upper", "keep"] = "keep"
    kind: Literal["normalise_text"] = "normalise_text"


@dataclass(frozen=True, slots=True)
class MergeCategories:
    """Give categories other names; with `keep`, what is neither renamed nor kept becomes `other`."""

    column: str
    names: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] | None = None
    other: str = "other"
    kind: Literal["merge_categories"] = "merge_categories"


@dataclass(frozen=True, slots=True)
class Derive:
    """A new column from a SQL expression over the row: ``Derive("late", "arr_delay > 15")``."""

    into: str
    expression: str
    kind: Literal["derive"] = "derive"


@dataclass(frozen=True, slots=True)
class FilterRows:
    """Keep the rows for which a SQL condition holds; the others go to quarantine with the reason."""

    condition: str
    reason: str
    kind: Literal["filter_rows"] = "filter_rows"


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Keep the first (or last) of the rows that share their values in `columns`; the others go to quarantine."""

    columns: tuple[str, ...]
    keep: Literal["first", "last"] = "first"
    kind: Literal["deduplicate"] = "deduplicate"


@dataclass(frozen=True, slots=True)
class FillLearned:
    """Replace missing values by a statistic of the training rows. Learned: given to ``train``, not to ``clean``.

    Parameters
    ----------
    column
        The column.
    statistic
        ``"median"`` or ``"mean"`` of numbers, ``"most_frequent"`` of anything.
    indicator
        Whether to add a column ``COLUMN__missing`` that is 1 where the value was missing.
    """

    column: str
    statistic: Literal["median", "mean", "most_frequent"] = "median"
    indicator: bool = False
    kind: Literal["fill_learned"] = "fill_learned"


@dataclass(frozen=True, slots=True)
class MergeRare:
    """Turn categories rarer than a share of the training rows, and unseen ones, into `other`. Learned."""

    column: str
    min_share: float = 0.01
    other: str = "other"
    kind: Literal["merge_rare"] = "merge_rare"


@dataclass(frozen=True, slots=True)
class ClipLearned:
    """Limit numbers to quantiles of the training rows. Learned."""

    column: str
    lower: float = 0.001
    upper: float = 0.999
    kind: Literal["clip_learned"] = "clip_learned"


Stateless: TypeAlias = (
    ParseHhmm | ParseTime | ToTimezone | DropColumns | Rename | Cast | NullOutside | NullValues | FillConstant
    | NormaliseText | MergeCategories | Derive | FilterRows | Deduplicate
)  # fmt: skip
Learned: TypeAlias = FillLearned | MergeRare | ClipLearned
Operation: TypeAlias = Stateless | Learned

LEARNED: tuple[type, ...] = (FillLearned, MergeRare, ClipLearned)
_KINDS: dict[str, type] = {
    str(next(item.default for item in fields(kind) if item.name == "kind")): kind
    for kind in (
        ParseHhmm, ParseTime, ToTimezone, DropColumns, Rename, Cast, NullOutside, NullValues, FillConstant,
        NormaliseText, MergeCategories, Derive, FilterRows, Deduplicate, *LEARNED,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CleaningPlan:
    """Operations in the order in which they are done.

    >>> plan = CleaningPlan((NullOutside("wind_speed", maximum=200), Rename({"visib": "visibility"})))
    >>> CleaningPlan.from_dict(plan.to_dict()) == plan
    True
    """

    operations: tuple[Operation, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return {"operations": [_to_dict(operation) for operation in self.operations]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CleaningPlan:
        """Read what `to_dict` wrote; an unknown kind or option is an error."""
        return cls(tuple(_from_dict(entry) for entry in raw["operations"]))


def plan(*operations: Operation) -> CleaningPlan:
    """A cleaning plan of these operations."""
    return CleaningPlan(operations)


def _to_dict(operation: Operation) -> dict[str, Any]:
    return {"kind": operation.kind} | {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(operation).items()
        if key != "kind"
    }


def _from_dict(raw: Mapping[str, Any]) -> Operation:
    kind = _KINDS.get(raw.get("kind", ""))
    if kind is None:
        near = difflib.get_close_matches(str(raw.get("kind")), _KINDS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_KINDS)}."
        raise ConfigError("no such cleaning operation", value=raw.get("kind"), hint=hint)
    known = [item.name for item in fields(kind)]
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise ConfigError(f"{raw['kind']} has unknown options", value=unknown, hint=f"Known: {', '.join(known)}.")
    values = {
        key: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in raw.items()
    }
    operation: Operation = kind(**values)
    return operation
