"""The parameters of a pipeline: read from text by their annotation, kept with the run, read back to resume it."""

from __future__ import annotations

import difflib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tidemill.core.errors import MaterialiserError, UsageError, shorten
from tidemill.engine.materialisers.plain import decode, encode

_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


def parse(text: str, annotation: Any) -> Any:
    """Read a value from text as its annotation says.

    Raises
    ------
    ValueError
        The text is not such a value.

    Examples
    --------
    >>> parse("5", int), parse("yes", bool), parse("a,b", list[str]), parse("2013-09-01", date)
    (5, True, ['a', 'b'], datetime.date(2013, 9, 1))
    >>> parse("none", int | None) is None
    True
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _parse_union(text, args)
    if origin is Literal:
        return _parse_choice(text, {str(choice): choice for choice in args})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _parse_choice(text, {member.name: member for member in annotation})
    if origin in (list, tuple, set, frozenset) or annotation in (list, tuple, set, frozenset):
        return _parse_items(text, origin or annotation, args)
    if origin is dict or annotation is dict:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        return value
    reader = _READERS.get(annotation)
    return text if reader is None else reader(text)


def parse_all(
    texts: Mapping[str, str], signature: inspect.Signature, hints: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """Read several parameters; a UsageError names one that is unknown, and the nearest known, or cannot be read."""
    values = {}
    for name, text in texts.items():
        if name not in signature.parameters:
            near = difflib.get_close_matches(name, signature.parameters, n=1)
            known = ", ".join(signature.parameters) or "none"
            hint = f"Did you mean {near[0]!r}?" if near else f"Its parameters: {known}."
            raise UsageError(f"{what} has no parameter of this name", value=name, hint=hint)
        annotation = hints.get(name, _guess(signature.parameters[name].default))
        try:
            values[name] = parse(text, annotation)
        except (ValueError, ArithmeticError) as error:
            shown = getattr(annotation, "__name__", str(annotation))
            raise UsageError(
                f"parameter {name!r} of {what} cannot be read as {shown}", value=text, hint=f"{error}".capitalize()
            ) from error
    return values


def write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a run for its record: plain values as they are, others as text that says what they were."""
    written: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
            written[name] = value
            continue
        try:
            written[name] = {"plain": encode(value)}
        except MaterialiserError:
            written[name] = {"lost": shorten(value)}
    return written


def read(written: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an earlier run, with those that are given anew in their place.

    Raises
    ------
    UsageError
        An argument could not be kept with the run, and is not given.
    """
    arguments: dict[str, Any] = {}
    for name, value in written.items():
        if name in given:
            continue
        if not isinstance(value, dict):
            arguments[name] = value
        elif "plain" in value:
            arguments[name] = decode(value["plain"])
        else:
            raise UsageError(
                f"argument {name!r} of the run to resume was not kept with it",
                value=value["lost"],
                hint="Give it again, or make such a value in a step.",
            )
    return {**arguments, **given}


def _parse_union(text: str, args: tuple[Any, ...]) -> Any:
    if type(None) in args and text.strip().lower() in ("", "none", "null"):
        return None
    for kind in sorted((arg for arg in args if arg is not type(None)), key=lambda arg: arg is str):
        try:
            return parse(text, kind)
        except ValueError:
            continue
    raise ValueError(f"it is none of {', '.join(getattr(arg, '__name__', str(arg)) for arg in args)}")


def _parse_choice(text: str, choices: Mapping[str, Any]) -> Any:
    if text not in choices:
        raise ValueError(f"choose one of {', '.join(choices)}")
    return choices[text]


def _parse_items(text: str, kind: Any, args: tuple[Any, ...]) -> Any:
    if text.lstrip().startswith("["):
        items = json.loads(text)
        return items if kind is list else kind(items)
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    return kind(parse(word, args[0] if args else str) for word in words)


def _bool(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("write true or false")
    return word in _TRUE


_READERS: dict[Any, Callable[[str], Any]] = {
    int: lambda text: int(text.replace("_", "")),
    float: float,
    bool: _bool,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    Path: Path,
    Decimal: Decimal,
    type(None): lambda text: None if text.lower() in ("", "none", "null") else text,
}


def _guess(default: Any) -> Any:
    """The type of a parameter without annotation: that of its default."""
    return str if default is inspect.Parameter.empty or default is None else type(default)
