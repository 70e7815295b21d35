"""What a text means as a number, a flag or a moment, and how Python writes that: a hash is of what was written so."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

#: A number of JSON: with zeros before it, or in other ways of Python, a text is a name.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
#: No column has whole numbers with more.
_MOST_DIGITS = 40


def whole_of(text: str) -> list[int]:
    """The whole number that a text is, with all its digits; none if it is none.

    >>> whole_of("9007199254740993"), whole_of("1e3"), whole_of("0.5"), whole_of("ann")
    ([9007199254740993], [1000], [], [])
    """
    try:
        number = Decimal(text)
    except ArithmeticError:
        return []
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
        return []
    return [int(number)]


def float_of(text: str) -> list[float]:
    """The number that a text is; none if it is none."""
    try:
        number = float(text)
    except ValueError:
        return []
    return [number] if math.isfinite(number) else []


def flag_of(text: str) -> list[bool]:
    """The flag that a text is; none if it is none."""
    flag = _FLAGS.get(text.lower())
    return [] if flag is None else [flag]


def moment_of(text: str) -> list[datetime]:
    """The moment or the day that a text is; none if it is none."""
    try:
        return [datetime.fromisoformat(text)]
    except ValueError:
        return []


def in_utc(moment: datetime) -> datetime:
    """A moment as it is in UTC, without its zone, as far as there is one; without a zone it is in UTC."""
    try:
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # in the first or the last hours that there are
        return moment.replace(tzinfo=None)


def as_hashed(value: object) -> str:
    """How a value is written to be hashed: a moment in one way, whatever its zone, and zero without a sign.

    >>> noon = datetime.fromisoformat("2013-08-01T14:00:00+02:00")
    >>> as_hashed(noon), as_hashed(noon.astimezone(UTC).replace(tzinfo=None)), as_hashed(-0.0)
    ('2013-08-01 12:00:00', '2013-08-01 12:00:00', '0.0')
    """
    if isinstance(value, datetime):
        return str(in_utc(value))
    return str(value + 0.0) if isinstance(value, float) else str(value)


def spellings(text: str) -> list[str]:
    """All that Python may have written for a value that was sent as a text, whatever the type of its column is.

    >>> spellings("2"), spellings("true"), spellings("007")
    (['2', '2.0'], ['true', 'True'], ['007'])
    >>> spellings("2013-08-01T12:00:00Z")
    ['2013-08-01T12:00:00Z', '2013-08-01 12:00:00+00:00', '2013-08-01 12:00:00']
    """
    found = [text, *map(str, flag_of(text)), *_as_moment(text)]
    if _NUMBER.fullmatch(text):
        found += [str(number) for number in (*whole_of(text), *float_of(text))]
        found += [as_hashed(number) for number in float_of(text)]
    return list(dict.fromkeys(found))


def _as_moment(text: str) -> list[str]:
    told: list[str] = []
    for moment in moment_of(text):
        plain = in_utc(moment)
        told += [str(moment), str(plain), str(plain.replace(tzinfo=UTC))]
        if len(text) == len("2013-08-01"):
            told.append(str(moment.date()))
    return told
