"""What the values of a text column are: numbers, times, or text; and what a column becomes when one does not fit."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import polars as pl

#: What a column holds: nothing yet, one of the types that texts are read as, or text.
Kind: TypeAlias = Literal["nothing", "bool", "int", "float", "date", "time", "utc", "text"]

#: The type of each kind in the table.
TYPES: dict[Kind, pl.DataType] = {
    "nothing": pl.String(), "bool": pl.Boolean(), "int": pl.Int64(), "float": pl.Float64(), "date": pl.Date(),
    "time": pl.Datetime("us"), "utc": pl.Datetime("us", "UTC"), "text": pl.String(),
}  # fmt: skip
#: How a message speaks of them.
NAMES: dict[Kind, str] = {
    "bool": "true or false", "int": "whole numbers", "float": "numbers", "date": "dates", "time": "times",
    "utc": "times with an offset",
}  # fmt: skip
#: Kinds that Polars parses while it reads.
PARSED: frozenset[Kind] = frozenset({"bool", "int", "float"})

_SAMPLE = 200
_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_WHOLE = r"^\s*[+-]?\d+\s*$"
_LONG = r"^\s*[+-]?\d{19,}\s*$"
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$"
_ZONED = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$"
_PATTERNS: tuple[tuple[Kind, str], ...] = (("date", _DATE), ("time", _TIME), ("utc", _ZONED))


def narrowed(column: pl.Series, *, dates: bool, numbers: bool = True) -> pl.Series:
    """The column as numbers or times if every value in it is one; otherwise as it is.

    >>> narrowed(pl.Series(["2013-01-01", None]), dates=True).dtype
    Date
    """
    kind = likely_kind(column, dates=dates, numbers=numbers)
    for trial in (kind, "float") if kind == "int" else (kind,):
        values = fitted(column, trial)
        if values.null_count() == column.null_count():
            return values
    return column


def likely_kind(column: pl.Series, *, dates: bool, numbers: bool = True, bools: bool = False) -> Kind:
    """What the first values of a text column are."""
    sample = column.drop_nulls().head(_SAMPLE)
    if sample.is_empty():
        return "nothing"
    if bools and sample.str.to_lowercase().is_in(["true", "false"]).all():
        return "bool"
    if numbers and sample.str.contains(_NUMBER).all() and not sample.str.contains(_LONG).any():
        return "int" if sample.str.contains(_WHOLE).all() else "float"
    found = (kind for kind, pattern in _PATTERNS if dates and sample.str.contains(pattern).all())
    return next(found, "text")


def fitted(column: pl.Series, kind: Kind) -> pl.Series:
    """A text column as a kind; a value that is not of it is null."""
    if kind in ("text", "nothing"):
        return column
    if kind == "bool":
        return column.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None)
    if kind == "int":
        return column.str.strip_chars().cast(pl.Int64, strict=False)
    if kind == "float":  # a whole number that is too long for a float would lose digits: it is a name
        cast = column.str.strip_chars().cast(pl.Float64, strict=False)
        return cast.set(column.str.contains(_LONG).fill_null(value=False), None)
    if kind == "date":
        return column.str.to_date("%Y-%m-%d", strict=False).set(column.str.len_bytes() != 10, None)
    return _as_time(column) if kind == "time" else _as_utc(column)


def as_type(column: pl.Series, kind: pl.DataType, decimal: str = ".", thousands: str = "") -> pl.Series:
    """A text column as a type that is fixed; a value that is not of it is null.

    >>> as_type(pl.Series(["1.234,5", "x"]), pl.Float64(), ",", ".").to_list()
    [1234.5, None]
    """
    if isinstance(kind, pl.Datetime):
        return _as_fixed_time(column, kind)
    if kind.is_temporal():
        return column.str.strptime(kind, strict=False)  # type: ignore[arg-type]  # a time type
    if kind == pl.Boolean:
        return fitted(column, "bool")
    return plain_numbers(column, decimal, thousands).str.strip_chars().cast(kind, strict=False)


def plain_numbers(column: pl.Series, decimal: str, thousands: str) -> pl.Series:
    """A text column with its numbers as Polars reads them; what is none with these signs is ``"?"``."""
    if (decimal == "." and not thousands) or column.dtype != pl.String:
        return column
    sign, group = re.escape(decimal), re.escape(thousands)
    whole = rf"(\d+|\d{{1,3}}({group}\d{{3}})+)" if thousands else r"\d+"
    pattern = rf"^\s*[+-]?({whole}({sign}\d*)?|{sign}\d+)([eE][+-]?\d+)?\s*$"
    plain = column.str.replace_all(thousands, "", literal=True) if thousands else column
    plain = plain.str.replace(decimal, ".", literal=True)
    return plain.set(~column.str.contains(pattern), "?")


def _as_fixed_time(column: pl.Series, kind: pl.Datetime) -> pl.Series:
    if kind.time_zone is None:
        text = column.str.replace(" ", "T", literal=True)
        return text.str.to_datetime(time_unit=kind.time_unit, strict=False)
    return fitted(column, "utc").dt.convert_time_zone(kind.time_zone).cast(kind)


def _as_time(column: pl.Series) -> pl.Series:
    """Times without a zone: a pattern that is fixed costs a quarter of one that is guessed for each value."""
    size = column.str.len_bytes()
    whole = _parsed_time(column.str.head(19))
    if (size == 19).all():
        return whole
    tail = column.str.slice(19)
    zeros = tail.str.contains(r"^\.0+$").all()
    if zeros and (size > 19).all():
        return whole
    text = column.str.replace(" ", "T", literal=True).set(~column.str.contains(_TIME), None)
    if text.null_count() == text.len():  # Polars takes the pattern from the first value that there is
        return pl.Series(column.name, [None] * text.len(), dtype=pl.Datetime("us"))
    return text.str.to_datetime(time_unit="us", strict=False)


def _parsed_time(seconds: pl.Series) -> pl.Series:
    texts = seconds.str.replace(" ", "T", literal=True) if (seconds.str.slice(10, 1) == " ").any() else seconds
    return texts.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)


def _as_utc(column: pl.Series) -> pl.Series:
    """Times with an offset, in UTC."""
    tail = column.str.slice(19)
    if tail.str.contains(r"^(\.0+)?(Z|[+-]00:?00)$").all():  # nothing to shift
        return _parsed_time(column.str.head(19)).dt.replace_time_zone("UTC")
    text = column.str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    seconds = text.str.replace(r"T(\d{2}:\d{2})([+-])", "T$1:00$2")
    parsed = seconds.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    return parsed.set(~column.str.contains(_ZONED), None)
