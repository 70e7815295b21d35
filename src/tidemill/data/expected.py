"""What the arguments of verbs may be: one of the wrong kind is refused before it fails deep inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tidemill.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of argument: in words, how to know it, and how to write one."""

    words: str
    is_one: Callable[[Any], bool]
    hint: str


def _is_names(value: Any) -> bool:
    several = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    return several and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_keys(value: Any) -> bool:
    pairs = isinstance(value, Mapping) and _is_names([*value.keys(), *value.values()])
    return isinstance(value, str) or _is_names(value) or pairs


TEXT = Kind("text", lambda value: isinstance(value, str), "Write it in quotes.")
NUMBER = Kind("a number", _is_number, "Write it without quotes, as 0.5.")
COUNT = Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool), "Write it as 5.")
FLAG = Kind("True or False", lambda value: isinstance(value, bool), "Leave it out for the default.")
TABLES = Kind("tables by name", lambda value: isinstance(value, Mapping), 'Write {"name": table}.')
VALUES = Kind("values by name", lambda value: isinstance(value, Mapping), 'Write {"separator": ";"}, say.')
PAIRS = Kind(
    "texts by name",
    lambda value: isinstance(value, Mapping) and _is_names([*value.keys(), *value.values()]),
    'Write {"column": "…"}.',
)
KEYS = Kind("a column, columns, or columns by column", _is_keys, 'Write "key", ["key", …] or {"here": "there"}.')
NAMES = Kind(
    "a column or a list of columns", lambda value: isinstance(value, str) or _is_names(value), 'Write ["column", …].'
)
LIST = Kind("a list of texts", _is_names, 'Write ["…"].')
#: A single text is told apart later, with its own words.
COLUMNS = Kind(
    "a list of columns", lambda value: isinstance(value, str) or _is_names(value), 'Write columns as ["column", …].'
)
MOMENT = Kind("ISO text or a time", lambda value: isinstance(value, str | date), 'Write "2013-08-01T06:00".')

TIME = Kind("a time", lambda value: isinstance(value, datetime), "Give a datetime.")


def require(verb: str, **given: tuple[Any, Kind]) -> None:
    """Refuse arguments that are not of their kind.

    Parameters
    ----------
    verb
        Whose arguments they are.
    **given
        Each argument with its kind; None is left to the verb where None is its default: give only those that are set.

    Raises
    ------
    UsageError
        For the first that is not.

    Examples
    --------
    >>> require("fuzzy_join", threshold=("high", NUMBER))
    Traceback (most recent call last):
        ...
    tidemill.core.errors.UsageError: threshold of fuzzy_join must be a number: 'high'. Write it without quotes, as 0.5.
    """
    for name, (value, kind) in given.items():
        if not kind.is_one(value):
            shown = value if value is None or _is_plain(value) else type(value).__name__
            what = f"{name} of {verb} must be {kind.words}{', not None' if value is None else ''}"
            raise UsageError(what, value=shown, hint=kind.hint)


def require_set(verb: str, **given: tuple[Any, Kind]) -> None:
    """Refuse arguments that are set and not of their kind; see `require`."""
    require(verb, **{name: pair for name, pair in given.items() if pair[0] is not None})


def _is_plain(value: Any) -> bool:
    """Whether an error can show the value itself: a table is shown by its kind."""
    return isinstance(value, str | bytes | int | float | list | tuple | set | dict | date)
