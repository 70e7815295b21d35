"""What numbers stand for: the rules of `tidemill.data.semantic_types` for columns of numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import polars as pl

#: What a column of numbers can stand for.
NumberType: TypeAlias = Literal[
    "boolean", "identifier", "ordinal", "count", "number", "money", "percentage", "year", "time part", "clock time",
    "time", "latitude", "longitude", "category",
]  # fmt: skip

_FEW_LEVELS, _ROWS_A_LEVEL = 10, 10
_FEWEST_ROWS = 20
#: Numbers of four digits are a time of day if so many distinct ones are all possible as such, named as one or not.
_CLOCKS_NAMED, _CLOCKS = 12, 200
_YEARS = (1000, 2999)
#: Seconds, milliseconds and microseconds of the years 2001 to 2100.
_EPOCHS = ((1.0e9, 4.2e9, "seconds"), (1.0e12, 4.2e12, "milliseconds"), (1.0e15, 4.2e15, "microseconds"))
#: A word of the name, and what the values lie between if it is meant.
_PARTS = {
    "month": (1, 12), "day": (0, 366), "weekday": (0, 7), "dow": (0, 7), "hour": (0, 24), "minute": (0, 59),
    "second": (0, 60), "quarter": (1, 4), "week": (0, 53), "doy": (1, 366),
}  # fmt: skip
_CLOCK_WORDS = frozenset({"time", "clock", "hhmm", "start", "end", "open", "opened", "close", "closed", "at", "hour"})
_MOMENT_WORDS = frozenset({"time", "timestamp", "ts", "epoch", "date", "at", "created", "updated", "unix"})
_PERCENT_WORDS = frozenset({"pct", "percent", "percentage"})
_SHARE_WORDS = frozenset({"share", "fraction", "proportion", "probability", "prob"})
_MONEY_WORDS = frozenset(
    {
        "price", "cost", "costs", "fare", "fee", "salary", "wage", "wages", "revenue", "budget", "gross", "payment",
        "invoice", "usd", "eur", "gbp", "chf", "dollars", "euros",
    }
)  # fmt: skip
_NAMES_ROWS = frozenset({"id", "ids", "uid", "pk", "key", "isbn", "ssn"})
_POSTAL_WORDS = frozenset({"zip", "zipcode", "postcode", "postal", "plz"})
_COUNT_WORDS = frozenset({"count", "counts", "num", "qty", "quantity", "seats", "engines", "visits", "clicks", "votes"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rules look at.

    Parameters
    ----------
    words
        Of the column's name, in small letters.
    values
        Some of its values, none of them missing.
    distinct, present, missing
        Over the whole column: distinct values, rows with a value, rows without.
    """

    words: frozenset[str]
    values: pl.Series
    distinct: int
    present: int
    missing: int


def number_type(seen: Seen, minimum: Any, maximum: Any) -> tuple[NumberType, str]:
    """What numbers stand for, and why; `minimum` and `maximum` are of the whole column.

    >>> number_type(Seen(frozenset({"dest", "lat"}), pl.Series([40.6, 25.8]), 2, 2, 0), 25.8, 40.6)[0]
    'latitude'
    """
    low, high = _as_number(minimum), _as_number(maximum)
    if low is None or high is None:
        return "number", "by its type; some values are not finite"
    whole = _is_whole(seen.values)
    for rule, of_whole in _RULES:
        found = rule(seen, low, high) if whole or not of_whole else None
        if found is not None:
            return found
    return "number", "whole numbers" if whole else "by its type"


_Rule: TypeAlias = Callable[[Seen, float, float], tuple[NumberType, str] | None]


def _as_number(value: Any) -> float | None:
    """The value as a float; None of what is not finite, which a profile writes as text."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) != float("inf") and number == number else None


def _is_whole(values: pl.Series) -> bool:
    if values.dtype.is_integer():
        return True
    if values.is_empty():
        return False
    read = values.cast(pl.Float64)
    return bool((read.is_finite() & (read == read.round())).all())


def _place(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    if seen.words & {"lat", "latitude"} and low >= -90 and high <= 90:
        return "latitude", "its name says so, and all values lie within 90 degrees"
    if seen.words & {"lon", "lng", "long", "longitude"} and low >= -180 and high <= 180:
        return "longitude", "its name says so, and all values lie within 180 degrees"
    return None


def _share(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    if seen.words & _PERCENT_WORDS:
        return "percentage", "its name says so"
    if seen.words & _SHARE_WORDS and low >= 0 and high <= 1:
        return "percentage", "its name says so, and all values lie between 0 and 1"
    return None


def _money(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:  # noqa: ARG001 (one form of rule)
    told = seen.words & _MONEY_WORDS
    return ("money", f"its name says {sorted(told)[0]!r}") if told and seen.distinct > 2 else None


def _flag(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    return ("boolean", "its values are 0 and 1") if seen.distinct == 2 and (low, high) == (0, 1) else None


def _calendar(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    if seen.words & {"year", "yr", "yyyy"} and _YEARS[0] <= low and high <= _YEARS[1]:
        return "year", "its name says so, and all values can be years"
    for word, (least, most) in _PARTS.items():
        if word in seen.words and least <= low and high <= most:
            return "time part", f"its name says {word!r}, and all values lie between {least} and {most}"
    return None


def _moment(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    for least, most, unit in _EPOCHS:
        if seen.words & _MOMENT_WORDS and least <= low and high <= most:
            return "time", f"its name says so, and all values can be {unit} since 1970"
    return None


def _clock(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    if not (low >= 0 and 1000 <= high <= 2400):
        return None
    different = seen.values.cast(pl.Float64).unique()
    enough = len(different) >= (_CLOCKS_NAMED if seen.words & _CLOCK_WORDS else _CLOCKS)
    if enough and bool((different % 100 < 60).all()):
        return "clock time", f"all of {len(different):,} distinct values seen can be HHMM"
    return None


def _name_of_row(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    if seen.words & _POSTAL_WORDS:
        return "category", "its name says that it is a postal code"
    if seen.words & _NAMES_ROWS and (seen.distinct > _FEWEST_ROWS or seen.distinct == seen.present > 1):
        return "identifier", "its name says so"
    counting = seen.distinct == seen.present == high - low + 1 and not seen.missing
    if counting and seen.present >= _FEWEST_ROWS:
        return "identifier", "it numbers the rows"
    return None


def _levels(seen: Seen, low: float, high: float) -> tuple[NumberType, str] | None:
    if seen.words & _COUNT_WORDS and low >= 0:
        return "count", "its name says so: whole numbers from 0"
    if seen.distinct <= _FEW_LEVELS and seen.present >= _ROWS_A_LEVEL * seen.distinct and high - low < 100:
        return "ordinal", f"{seen.distinct} whole numbers in {seen.present:,} rows"
    return None


#: The rules in their order, and whether they are for whole numbers only: a budget's year is a year before it is money.
_RULES: tuple[tuple[_Rule, bool], ...] = (
    (_flag, False), (_place, False), (_calendar, True), (_moment, True), (_clock, True), (_name_of_row, True),
    (_share, False), (_money, False), (_levels, True),
)  # fmt: skip
