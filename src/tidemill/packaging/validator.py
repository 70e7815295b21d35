"""The one validation path of every face: a signature compiled into a function that checks and types one row.

It runs on each request, so everything that can be decided when a model is loaded is decided then.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from tidemill.core.errors import ConfigError, InvalidRequestError, shorten
from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.packaging.contract_checks import compile_contract, refused
from tidemill.packaging.usual_rows import Bounds, compile_usual

Reaction = Literal["reject", "warn", "ignore"]
Warnings = list[str]
Check = Callable[[Any, Warnings], Any]

_FLOAT32_MAX = 3.4028234663852886e38
_INTEGER_BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64}


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to a row that has the right types but is unlike the training rows.

    Parameters
    ----------
    out_of_range
        A number outside the range of the signature.
    unseen_category
        A category that the signature does not list.
    unknown_column
        A column that the signature does not have, often a misspelt one.
    quarantined
        A row that a rule of the contract with the severity ``quarantine`` would have kept out of the training table.
        (One that breaks a rule with ``fail`` is always refused, one with ``warn`` gets a warning.)
    """

    out_of_range: Reaction = "warn"
    unseen_category: Reaction = "warn"
    unknown_column: Reaction = "reject"
    quarantined: Reaction = "reject"

    def __post_init__(self) -> None:
        for name in ("out_of_range", "unseen_category", "unknown_column", "quarantined"):
            if getattr(self, name) not in ("reject", "warn", "ignore"):
                raise ConfigError(f"{name} is no reaction", value=getattr(self, name), hint="reject, warn or ignore.")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be scored: the row's place, the column, what was sent and what is allowed."""

    row: int
    column: str | None
    value: str
    error: str
    allowed: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return {
            "row": self.row,
            "column": self.column,
            "value": self.value,
            "error": self.error,
            "allowed": self.allowed,
        }

    def to_error(self) -> InvalidRequestError:
        """The same as an exception."""
        return InvalidRequestError(f"row {self.row}: {self.error}", hint=self.allowed and f"Allowed: {self.allowed}.")


class _Bad(Exception):
    """Not an error of the tree: it never leaves this module."""

    def __init__(self, column: str | None, value: object, error: str, allowed: str = "") -> None:
        self.column, self.value, self.error, self.allowed = column, value, error, allowed


#: Takes a row, its place and a list for warnings; gives the typed row in the signature's order, or why not.
Validator = Callable[[Any, int, Warnings], "dict[str, Any] | Problem"]


def compile_validator(
    signature: Signature, policy: Policy | None = None, contract: Mapping[str, Any] | None = None
) -> Validator:
    """Compile a signature, and the contract of the training table, into a validator.

    Parameters
    ----------
    signature
        The columns with types, nullability, ranges and categories.
    policy
        What to do with rows unlike the training rows; by default ranges and categories warn.
    contract
        What the contract asks of single rows (`Model.contract`).

    Returns
    -------
    Validator
        ``validate(row, place, warnings)`` returns the typed row, its columns in the signature's order with missing
        values as None, or a `Problem`. Sentences about what is unusual are appended to `warnings`.

    Examples
    --------
    >>> from tidemill.core.schema import TableSchema
    >>> columns = (Column("dest", "string", categories=("IAH", "MIA")), Column("distance", "int64", nullable=False))
    >>> validate = compile_validator(Signature(TableSchema(columns), "binary", "late", ("no", "yes")))
    >>> validate({"dest": "MIA", "distance": 1089}, 0, [])
    {'dest': 'MIA', 'distance': 1089}
    >>> validate({"dest": "MIA", "distance": "far"}, 0, []).error
    "column 'distance' takes a whole number"
    """
    policy = policy or Policy()
    names = tuple(column.name for column in signature.inputs)
    plan = tuple((column.name, _check(column, policy), _absent(column)) for column in signature.inputs)
    careful, quarantined = _careful(plan, policy.unknown_column), policy.quarantined
    broken = compile_contract(contract, signature.inputs) if contract else None
    name_of_contract = str((contract or {}).get("name", ""))
    usual = compile_usual(signature, _usual_bounds, {name: check for name, check, _ in plan})

    def validate(row: Any, place: int, warnings: Warnings) -> dict[str, Any] | Problem:
        out = usual(row) if usual is not None and type(row) is dict else None
        if out is not None and broken is None:
            return out
        try:
            if out is None:
                out = careful(row, warnings)
            if broken is not None:
                rules = broken(row, out)
                refusal = refused(rules, name_of_contract, out, quarantined, warnings) if rules else None
                if refusal is not None:
                    raise _Bad(*refusal)
        except _Bad as bad:
            return Problem(place, bad.column, shorten(bad.value, 80), bad.error, bad.allowed)
        except (TypeError, AttributeError):
            if isinstance(row, Mapping):
                raise
            return Problem(place, None, shorten(row, 80), "a row is an object of columns and values", ", ".join(names))
        return out

    return validate


def _careful(plan: Sequence[tuple[str, Check, Any]], unknown: Reaction) -> Callable[[Any, Warnings], dict[str, Any]]:
    """A function that types a row column by column, and raises for the first that is wrong."""
    names = tuple(name for name, _, _ in plan)
    known = frozenset(names)

    def careful(row: Any, warnings: Warnings) -> dict[str, Any]:
        out = {}
        for name, check, absent in plan:
            try:
                value = row[name]
            except KeyError:
                value = absent
            out[name] = check(value, warnings)
        if unknown != "ignore" and not row.keys() <= known:
            _unknown(row, names, unknown, warnings)
        return out

    return careful


class _Absent:
    """A column that was not sent."""

    def __repr__(self) -> str:
        return "(not sent)"


_ABSENT = _Absent()


def _absent(column: Column) -> Any:
    """Leaving out a column that may be missing means that it is missing."""
    return None if column.nullable else _ABSENT


def _unknown(row: Mapping[str, Any], names: tuple[str, ...], reaction: Reaction, warnings: Warnings) -> None:
    extra = [str(name) for name in row if name not in names]
    close = difflib.get_close_matches(extra[0], names, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    sentence = f"unknown column {shorten(extra[0], 80)}{hint}"
    if reaction == "reject":
        raise _Bad(str(extra[0])[:80], row[extra[0]], sentence, ", ".join(names))
    warnings.append(sentence)


def _check(column: Column, policy: Policy) -> Check:
    """The check of one column: missing values here, the rest by type."""
    check = _typed(column, policy)
    name, nullable, allowed = column.name, column.nullable, _allowed(column)

    def missing(value: Any) -> None:
        if not nullable:
            what = "was not sent" if value is _ABSENT else "may not be missing"
            raise _Bad(name, value, f"column {name!r} {what}", allowed)

    def checked(value: Any, warnings: Warnings) -> Any:
        if value is None or value is _ABSENT:
            return missing(value)
        return check(value, warnings)

    return checked


def _typed(column: Column, policy: Policy) -> Check:
    if column.categories is not None or column.type.startswith(("categorical", "enum[")):
        return _category(column, policy.unseen_category)
    if column.semantic == "category" or column.type == "string":
        return _text(column)
    if column.type == "bool":
        return _flag(column)
    if column.type == "date" or column.type.startswith("timestamp["):
        return _moment(column)
    if column.type.startswith("duration["):
        return _number(column, policy.out_of_range, durations=True)
    if column.type in _INTEGER_BITS:
        return _integer(column, policy.out_of_range)
    return _number(column, policy.out_of_range)


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
            raise _Bad(name, value, f"column {name!r} is out of range", allowed)
        if reaction == "warn":
            warnings.append(f"column {name!r} is {shorten(value, 40)}, outside {allowed}")

    return react


def _range(column: Column) -> tuple[float, float]:
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    return low, high


def _usual_bounds(column: Column) -> Bounds | None:
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
                raise _Bad(name, value, f"column {name!r} takes a number", allowed)
            try:
                value = float(value)
            except (OverflowError, TypeError, ValueError):
                raise _Bad(name, value, f"column {name!r} takes a finite number", allowed) from None
        if low <= value <= high and -_FLOAT32_MAX <= value <= _FLOAT32_MAX:
            return value
        if value != value:
            if nullable:
                return None
            raise _Bad(name, value, f"column {name!r} may not be missing", allowed)
        if not -_FLOAT32_MAX <= value <= _FLOAT32_MAX:
            raise _Bad(name, value, f"column {name!r} takes a finite number that float32 can hold", allowed)
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
        if isinstance(value, float) or (hasattr(value, "__index__") and not isinstance(value, bool)):
            if value != value:
                _refuse_missing(column)
                return None
            if value in (math.inf, -math.inf) or value != int(value):
                raise _Bad(name, value, f"column {name!r} takes a whole number", allowed)
            value = int(value)
            if not least <= value <= most:
                raise _Bad(name, value, f"column {name!r} takes a whole number that {column.type} can hold", allowed)
            if not low <= value <= high:
                react(value, warnings)
            return value
        raise _Bad(name, value, f"column {name!r} takes a whole number", allowed)

    return check


def _refuse_missing(column: Column) -> None:
    if not column.nullable:
        raise _Bad(column.name, math.nan, f"column {column.name!r} may not be missing", _allowed(column))


def _flag(column: Column) -> Check:
    name = column.name

    def check(value: Any, warnings: Warnings) -> bool | None:
        del warnings
        if value is True or value is False:
            return value
        if type(value) in (int, float) and value in (0, 1):
            return bool(value)
        if isinstance(value, float) and value != value:
            _refuse_missing(column)
            return None
        raise _Bad(name, value, f"column {name!r} takes true or false", "true, false")

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
            raise _Bad(name, value, f"column {name!r} takes text", _allowed(column))
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
            raise _Bad(name, value, f"column {name!r} has a category that was not seen in training", allowed)
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
                raise _Bad(name, value, f"column {name!r} takes {hint}", hint) from None
        if not isinstance(value, datetime | date):
            raise _Bad(name, value, f"column {name!r} takes {hint}", hint)
        if aware and isinstance(value, datetime) and value.tzinfo is None:
            warnings.append(f"column {name!r} has no time zone and is read as UTC")
        return value

    return check
