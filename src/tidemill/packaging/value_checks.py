"""The careful check of one value: what its column takes, said in the words that a caller is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from tidemill.core.errors import shorten
from tidemill.core.schema import Column
from tidemill.packaging.usual_rows import Bounds, Check

Reaction = Literal["reject", "warn", "ignore"]
Warnings = list[str]

_FLOAT32_MAX = 3.4028234663852886e38
#: Up to this a float is one whole number; the next one stands for its neighbour too.
_EXACT = float((1 << 53) - 1)
#: Beyond this is no whole number of any type; to make one of a decimal of any size could take for ever.
_WIDEST = 1 << 64
_INTEGER_BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64}


class BadValue(Exception):
    """Not an error of the tree: it never leaves this module."""

    def __init__(self, column: str | None, value: object, error: str, allowed: str = "") -> None:
        self.column, self.value, self.error, self.allowed = column, value, error, allowed


class _Absent:
    """A column that was not sent."""

    def __repr__(self) -> str:
        return "(not sent)"


ABSENT = _Absent()


def absent_as(column: Column) -> Any:
    """Leaving out a column that may be missing means that it is missing."""
    return None if column.nullable else ABSENT


def value_check(column: Column, *, out_of_range: Reaction, unseen_category: Reaction) -> Check:
    """The check of one column: missing values here, the rest by type."""
    check = _typed(column, out_of_range, unseen_category)
    name, nullable, allowed = column.name, column.nullable, _allowed(column)

    def missing(value: Any) -> None:
        if not nullable:
            what = "was not sent" if value is ABSENT else "may not be missing"
            raise BadValue(name, value, f"column {name!r} {what}", allowed)

    def checked(value: Any, warnings: Warnings) -> Any:
        if value is None or value is ABSENT:
            return missing(value)
        return check(value, warnings)

    return checked


def _typed(column: Column, out_of_range: Reaction, unseen_category: Reaction) -> Check:
    if column.categories is not None or column.type.startswith(("categorical", "enum[")):
        return _category(column, unseen_category)
    if column.semantic == "category" or column.type == "string":
        return _text(column)
    if column.type == "bool":
        return _flag(column)
    if column.type == "date" or column.type.startswith("timestamp["):
        return _moment(column)
    if column.type.startswith("duration["):
        return _number(column, out_of_range, durations=True)
    if column.type in _INTEGER_BITS:
        return _integer(column, out_of_range)
    return _number(column, out_of_range)


def _allowed(column: Column) -> str:
    """What a column takes, for people."""
    if column.categories is not None:
        shown = ", ".join(column.categories[:12])
        return shown if len(column.categories) <= 12 else f"{shown}, … ({len(column.categories)} in all)"
    unit = f" {column.unit}" if column.unit else ""
    if column.minimum is not None and column.maximum is not None:
        return f"{column.type} from {column.minimum:g} to {column.maximum:g}{unit}"
    return f"{column.type}{unit}"


def _out_of_range(column: Column, reaction: Reaction) -> Callable[[float, Warnings], None]:
    name, allowed = column.name, _allowed(column)

    def react(value: float, warnings: Warnings) -> None:
        if reaction == "reject":
            raise BadValue(name, value, f"column {name!r} is out of range", allowed)
        if reaction == "warn":
            warnings.append(f"column {name!r} is {shorten(value, 40)}, outside {allowed}")

    return react


def _range(column: Column) -> tuple[float, float]:
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    return low, high


def usual_bounds(column: Column) -> Bounds | None:
    """Within what a number passes without a word; None for a column that is no plain number."""
    if column.categories is not None or column.semantic == "category":
        return None
    low, high = _range(column)
    if column.type in _INTEGER_BITS:
        least, most = _held_by(column.type)
        return max(low, least), min(high, most)
    if column.is_numeric:
        return max(low, -_FLOAT32_MAX), min(high, _FLOAT32_MAX)
    return None


def _held_by(kind: str) -> tuple[int, int]:
    """The least and the largest whole number of a type."""
    bits = _INTEGER_BITS[kind]
    return (0 if kind.startswith("u") else -(1 << bits)), (1 << bits) - 1


def _number(column: Column, reaction: Reaction, *, durations: bool = False) -> Check:
    name, allowed = column.name, _allowed(column)
    low, high = _range(column)
    react, nullable = _out_of_range(column, reaction), column.nullable

    def check(value: Any, warnings: Warnings) -> Any:
        if type(value) is not float:
            if durations and isinstance(value, timedelta):
                value = value.total_seconds()
            elif isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, str):
                raise BadValue(name, value, f"column {name!r} takes a number", allowed)
            try:
                value = float(value)
            except (OverflowError, TypeError, ValueError):
                raise BadValue(name, value, f"column {name!r} takes a finite number", allowed) from None
        if low <= value <= high and -_FLOAT32_MAX <= value <= _FLOAT32_MAX:
            return value
        if value != value:
            if nullable:
                return None
            raise BadValue(name, value, f"column {name!r} may not be missing", allowed)
        if not -_FLOAT32_MAX <= value <= _FLOAT32_MAX:
            raise BadValue(name, value, f"column {name!r} takes a finite number that float32 can hold", allowed)
        react(value, warnings)
        return value

    return check


def _integer(column: Column, reaction: Reaction) -> Check:
    name, allowed = column.name, _allowed(column)
    least, most = _held_by(column.type)
    low, high = _range(column)
    react = _out_of_range(column, reaction)
    # A value that is inside both needs no more than two comparisons.
    inner_low, inner_high = max(low, least), min(high, most)

    def check(value: Any, warnings: Warnings) -> Any:
        if type(value) is int and inner_low <= value <= inner_high:
            return value
        if isinstance(value, Decimal) and value.is_finite() and abs(value) < _WIDEST and value == int(value):
            value = int(value)
        if isinstance(value, float) or (hasattr(value, "__index__") and not isinstance(value, bool)):
            if value != value:
                _refuse_missing(column)
                return None
            if value in (math.inf, -math.inf) or value != int(value):
                raise BadValue(name, value, f"column {name!r} takes a whole number", allowed)
            if isinstance(value, float) and abs(value) > _EXACT:  # larger ones may have been another number before
                raise BadValue(name, value, f"column {name!r} takes a whole number with all its digits", allowed)
            value = int(value)
            if not least <= value <= most:
                raise BadValue(
                    name, value, f"column {name!r} takes a whole number that {column.type} can hold", allowed
                )
            if not low <= value <= high:
                react(value, warnings)
            return value
        raise BadValue(name, value, f"column {name!r} takes a whole number", allowed)

    return check


def _refuse_missing(column: Column) -> None:
    if not column.nullable:
        raise BadValue(column.name, math.nan, f"column {column.name!r} may not be missing", _allowed(column))


def _flag(column: Column) -> Check:
    name = column.name

    def check(value: Any, warnings: Warnings) -> bool | None:
        del warnings
        if value is True or value is False:
            return value
        if isinstance(value, np.bool_) or (type(value) in (int, float) and value in (0, 1)):
            return bool(value)
        if isinstance(value, float) and value != value:
            _refuse_missing(column)
            return None
        raise BadValue(name, value, f"column {name!r} takes true or false", "true, false")

    return check


def _as_text(value: Any) -> str | None:
    """The text of a category that is kept as a number or a flag in tables."""
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None


def _text(column: Column) -> Check:
    name, from_number = column.name, column.type != "string"

    def check(value: Any, warnings: Warnings) -> Any:
        del warnings
        if isinstance(value, str):
            return value
        if isinstance(value, float) and value != value:
            _refuse_missing(column)
            return None
        text = _as_text(value) if from_number else None
        if text is None:
            raise BadValue(name, value, f"column {name!r} takes text", _allowed(column))
        return text

    return check


def _category(column: Column, reaction: Reaction) -> Check:
    name, allowed, text = column.name, _allowed(column), _text(column)
    known = frozenset(column.categories or ())

    def check(value: Any, warnings: Warnings) -> Any:
        if type(value) is not str:
            value = text(value, warnings)
        if value in known or value is None or not known:
            return value
        if reaction == "reject":
            raise BadValue(name, value, f"column {name!r} has a category that was not seen in training", allowed)
        if reaction == "warn":
            warnings.append(f"column {name!r} is {shorten(value, 40)}, which was not seen in training")
        return value

    return check


def _moment(column: Column) -> Check:
    name = column.name
    aware = "UTC" in column.type or "," in column.type
    hint = "a date such as 2013-08-01" if column.type == "date" else "a moment such as 2013-08-01T12:00:00Z"

    def check(value: Any, warnings: Warnings) -> Any:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise BadValue(name, value, f"column {name!r} takes {hint}", hint) from None
        if not isinstance(value, datetime | date):
            raise BadValue(name, value, f"column {name!r} takes {hint}", hint)
        if aware and isinstance(value, datetime) and value.tzinfo is None:
            warnings.append(f"column {name!r} has no time zone and is read as UTC")
        return value

    return check
