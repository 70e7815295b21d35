"""The encoding of one row at a time: what `encoding` does to columns, compiled for requests."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import InvalidRequestError, SchemaError
from tidemill.training.encoding import Encoding, Entry, category_text, durations, is_number, logarithm, unseen_code
from tidemill.training.texts import text_vector
from tidemill.training.times import is_missing, moment_of, part_of

#: Types of values that are numbers as they are, None being NaN.
_PLAIN = frozenset((float, int, bool, type(None)))


def encode_row(row: Mapping[str, Any], encoding: Encoding) -> NDArray[np.float32]:
    """Encode one row; `row_encoder` does the same faster when many rows come one at a time.

    >>> encode_row({"x": 2}, ({"name": "x", "column": "x", "kind": "number"},))
    array([[2.]], dtype=float32)
    """
    return row_encoder(encoding)(row)


def row_encoder(encoding: Encoding) -> Callable[[Mapping[str, Any]], NDArray[np.float32]]:
    """Compile an encoding into a function from one row to a matrix of shape (1, len(encoding)).

    The function raises `InvalidRequestError`, naming the column, when a column is missing or a value does not fit it.
    """
    plan = tuple((entry["column"], _value_encoder(entry)) for entry in encoding)
    plain = all(entry["kind"] in {"number", "flag"} for entry in encoding) and len(plan) > 1
    values_of = itemgetter(*(name for name, _ in plan)) if plain else None
    pack, shape = struct.Struct(f"={len(plan)}f").pack, (1, len(plan))

    def encode(row: Mapping[str, Any]) -> NDArray[np.float32]:
        try:
            if values_of is not None:
                values = values_of(row)
                try:  # what has a float is a number, as for `_number_encoder`
                    return np.ndarray(shape, np.float32, bytearray(pack(*values)))
                except (struct.error, OverflowError):  # None among them, or more than float32 holds
                    if _PLAIN.issuperset(map(type, values)):
                        return np.array([values], dtype=np.float32)
            return np.array([[convert(row[name]) for name, convert in plan]], dtype=np.float32)
        except KeyError as error:
            raise InvalidRequestError(
                f"column {error.args[0]!r} is missing from the row",
                value=sorted(row),
                hint="Send every input of the model; null stands for an unknown value.",
            ) from None

    return encode


def _value_encoder(entry: Entry) -> Callable[[Any], float]:
    """The same conversions for one value; for categories and plain numbers without building arrays."""
    name, kind = entry["column"], entry["kind"]
    if kind == "category":
        return _category_encoder(name, entry)
    if kind in {"number", "flag"}:
        return _number_encoder(name)
    if kind == "log":
        number = _number_encoder(name)
        return lambda value: float(logarithm(np.array([number(value)], dtype=np.float64))[0])

    part = entry.get("part", "")

    def convert(value: Any) -> float:
        try:
            if kind == "text":
                return text_vector(name, value, entry["rarity"])[entry["bucket"]]
            if kind == "duration":
                return float(durations(name, [value])[0])
            return part_of(moment_of(name, value), part)
        except SchemaError as error:
            raise InvalidRequestError(error.what, value=error.value, hint=error.hint) from None

    return convert


def _category_encoder(name: str, entry: Entry) -> Callable[[Any], float]:
    codes: dict[Any, float] = {category: float(code) for code, category in enumerate(entry["categories"])}
    unseen = unseen_code(entry)
    missing = float("nan")

    def convert(value: Any) -> float:
        try:
            code = codes.get(value)
            if code is None:
                code = missing if is_missing(value) else codes.get(category_text(name, value), unseen)
        except (SchemaError, TypeError):
            raise InvalidRequestError(
                f"column {name!r} takes categories as text", value=value, hint="Send it as a string."
            ) from None
        return code

    return convert


def _number_encoder(name: str) -> Callable[[Any], float]:
    missing = float("nan")

    def convert(value: Any) -> float:
        if type(value) is float or type(value) is int:
            return value
        if value is None:
            return missing
        if isinstance(value, str | bytes) or not is_number(value):
            raise InvalidRequestError(
                f"column {name!r} takes a number",
                value=value,
                hint="Send a number, true or false, or null for an unknown value.",
            )
        return float(value)

    return convert
