"""The repairs that need no learning, as records: what is done to which columns. See `tidemill.data.clean`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

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
    """A new column from a SQL expression over the row: ``Derive("late", "arr_delay > 15")``.

    In the `cleaning` of a training it is a feature on demand: computed from each request, which does not bring it.
    """

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
class DropMissing:
    """Take rows out in which one of the columns (or, with `how` ``"all"``, every one) is missing; to quarantine."""

    columns: tuple[str, ...]
    how: Literal["any", "all"] = "any"
    kind: Literal["drop_missing"] = "drop_missing"


@dataclass(frozen=True, slots=True)
class DeduplicateSimilar:
    """Keep the first of the rows whose text in `columns` is nearly the same; the others go to quarantine.

    Case, accents' form, punctuation and spaces do not count; the rest is compared by its runs of three characters:
    `similarity` is the least share of them that two rows have in common (Jaccard). Rows with equal values in `within`
    only are compared, if it is given. Exact: no near-duplicate is missed.
    """

    columns: tuple[str, ...]
    similarity: float = 0.8
    within: tuple[str, ...] = ()
    kind: Literal["deduplicate_similar"] = "deduplicate_similar"


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


Stateless: TypeAlias = (
    ParseHhmm | ParseTime | ToTimezone | DropColumns | Rename | Cast | NullOutside | NullValues | FillConstant
    | NormaliseText | MergeCategories | Derive | FilterRows | Deduplicate | DropMissing | DeduplicateSimilar
    | ForwardFill | Indicator | Clip | Log | Bin | ConvertUnit | RepairEncoding
)  # fmt: skip

STATELESS: tuple[type[Stateless], ...] = (
    ParseHhmm, ParseTime, ToTimezone, DropColumns, Rename, Cast, NullOutside, NullValues, FillConstant,
    NormaliseText, MergeCategories, Derive, FilterRows, Deduplicate, DropMissing, DeduplicateSimilar,
    ForwardFill, Indicator, Clip, Log, Bin, ConvertUnit, RepairEncoding,
)  # fmt: skip
