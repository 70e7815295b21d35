"""The repairs that need no learning, as records: what is done to which columns. See `tidemill.data.clean`."""

from __future__ import annotations

import difflib
import itertools
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
class ForwardFill:
    """Replace a missing value by the last one before it, in the order of `order` (or of the rows), within `by`.

    With `limit`, at most so many rows in a row. One row alone has nothing before it: this is for tables.
    """

    column: str
    by: tuple[str, ...] = ()
    order: str | None = None
    limit: int | None = None
    kind: Literal["forward_fill"] = "forward_fill"


@dataclass(frozen=True, slots=True)
class Indicator:
    """A new column ``COLUMN__missing``: whether the value is missing."""

    column: str
    kind: Literal["indicator"] = "indicator"


@dataclass(frozen=True, slots=True)
class Clip:
    """Limit numbers to bounds that are given, not learned."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    kind: Literal["clip"] = "clip"


@dataclass(frozen=True, slots=True)
class Log:
    """The logarithm of one plus a number; of a negative one, its mirror image: ``sign(x) * log(1 + |x|)``."""

    column: str
    kind: Literal["log"] = "log"


@dataclass(frozen=True, slots=True)
class Bin:
    """The number of the bin that a number is in: bin i begins with ``edges[i - 1]``, which belongs to it."""

    column: str
    edges: tuple[float, ...]
    into: str | None = None
    kind: Literal["bin"] = "bin"


@dataclass(frozen=True, slots=True)
class ConvertUnit:
    """Numbers times a factor plus an offset, in the rows in which a SQL condition holds, or in all."""

    column: str
    factor: float
    offset: float = 0.0
    where: str | None = None
    kind: Literal["convert_unit"] = "convert_unit"


@dataclass(frozen=True, slots=True)
class RepairEncoding:
    """Give text that was read as Latin-1 (or Windows-1252) but is UTF-8 its letters back; other text stays."""

    columns: tuple[str, ...]
    kind: Literal["repair_encoding"] = "repair_encoding"


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


@dataclass(frozen=True, slots=True)
class FillByGroup:
    """Replace missing values by the statistic of their group in the training rows. Learned.

    Groups are the rows with equal values in `by`; a group that was not seen, or has no value, gets the statistic of
    all rows.
    """

    column: str
    by: tuple[str, ...]
    statistic: Literal["median", "mean", "most_frequent"] = "median"
    indicator: bool = False
    kind: Literal["fill_by_group"] = "fill_by_group"


@dataclass(frozen=True, slots=True)
class ScaleLearned:
    """Bring numbers to a common scale. Learned.

    ``"standard"``: less the mean, by the standard deviation; ``"robust"``: less the median, by the width of the middle
    half; ``"minmax"``: from 0 to 1 on the training rows.
    """

    column: str
    method: Literal["standard", "robust", "minmax"] = "standard"
    kind: Literal["scale_learned"] = "scale_learned"


@dataclass(frozen=True, slots=True)
class BinLearned:
    """The number of the bin that a number is in; bins hold equally many training rows. Learned."""

    column: str
    bins: int = 10
    kind: Literal["bin_learned"] = "bin_learned"


Stateless: TypeAlias = (
    ParseHhmm | ParseTime | ToTimezone | DropColumns | Rename | Cast | NullOutside | NullValues | FillConstant
    | NormaliseText | MergeCategories | Derive | FilterRows | Deduplicate
    | ForwardFill | Indicator | Clip | Log | Bin | ConvertUnit | RepairEncoding
)  # fmt: skip
Learned: TypeAlias = FillLearned | MergeRare | ClipLearned | FillByGroup | ScaleLearned | BinLearned
Operation: TypeAlias = Stateless | Learned

LEARNED: tuple[type, ...] = (FillLearned, MergeRare, ClipLearned, FillByGroup, ScaleLearned, BinLearned)
_KINDS: dict[str, type] = {
    str(next(item.default for item in fields(kind) if item.name == "kind")): kind
    for kind in (
        ParseHhmm, ParseTime, ToTimezone, DropColumns, Rename, Cast, NullOutside, NullValues, FillConstant,
        NormaliseText, MergeCategories, Derive, FilterRows, Deduplicate,
        ForwardFill, Indicator, Clip, Log, Bin, ConvertUnit, RepairEncoding, *LEARNED,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CleaningPlan:
    """Operations in the order in which they are done; a suggested plan says why, one reason for each.

    >>> plan = CleaningPlan((NullOutside("wind_speed", maximum=200), Rename({"visib": "visibility"})))
    >>> CleaningPlan.from_dict(plan.to_dict()) == plan
    True
    """

    operations: tuple[Operation, ...]
    reasons: tuple[str, ...] = ()

    @property
    def stateless(self) -> CleaningPlan:
        """The part for ``clean``, before the split."""
        return self._part(learned=False)

    @property
    def learned(self) -> CleaningPlan:
        """The part for ``train(…, cleaning=…)``, fitted on training rows."""
        return self._part(learned=True)

    def _part(self, *, learned: bool) -> CleaningPlan:
        chosen = [isinstance(operation, LEARNED) == learned for operation in self.operations]
        operations = tuple(itertools.compress(self.operations, chosen))
        return CleaningPlan(operations, tuple(itertools.compress(self.reasons, chosen)))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        reasons = {"reasons": list(self.reasons)} if self.reasons else {}
        return {"operations": [_to_dict(operation) for operation in self.operations]} | reasons

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CleaningPlan:
        """Read what `to_dict` wrote; an unknown kind or option is an error."""
        return cls(tuple(operation_from_dict(entry) for entry in raw["operations"]), tuple(raw.get("reasons", ())))


def plan(*operations: Operation) -> CleaningPlan:
    """A cleaning plan of these operations."""
    return CleaningPlan(operations)


def _to_dict(operation: Operation) -> dict[str, Any]:
    return {"kind": operation.kind} | {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(operation).items()
        if key != "kind"
    }


def operation_from_dict(raw: Mapping[str, Any]) -> Operation:
    """One operation from its mapping, ``{"kind": "null_outside", "column": "wind", "maximum": 200}``."""
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
