"""The one validation path of every face: a signature compiled into a function that checks and types one row.

It runs on each request, so everything that can be decided when a model is loaded is decided then.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import ConfigError, InvalidRequestError, shorten
from tidemill.core.model import Signature
from tidemill.packaging.contract_checks import compile_contract, refused
from tidemill.packaging.usual_columns import UsualColumns, compile_usual_columns, none_usual
from tidemill.packaging.usual_rows import Check, compile_usual
from tidemill.packaging.value_checks import ABSENT, BadValue, Reaction, Warnings, absent_as, usual_bounds, value_check


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
    >>> from tidemill.core.schema import Column, TableSchema
    >>> columns = (Column("dest", "string", categories=("IAH", "MIA")), Column("distance", "int64", nullable=False))
    >>> validate = compile_validator(Signature(TableSchema(columns), "binary", "late", ("no", "yes")))
    >>> validate({"dest": "MIA", "distance": 1089}, 0, [])
    {'dest': 'MIA', 'distance': 1089}
    >>> validate({"dest": "MIA", "distance": "far"}, 0, []).error
    "column 'distance' takes a whole number"
    """
    policy = policy or Policy()
    names = tuple(column.name for column in signature.inputs)
    reactions: dict[str, Any] = {"out_of_range": policy.out_of_range, "unseen_category": policy.unseen_category}
    plan = tuple((column.name, value_check(column, **reactions), absent_as(column)) for column in signature.inputs)
    careful, quarantined = _careful(plan, policy.unknown_column), policy.quarantined
    broken = compile_contract(contract, signature.inputs) if contract else None
    name_of_contract = str((contract or {}).get("name", ""))
    usual = compile_usual(signature, usual_bounds, {name: check for name, check, _ in plan})

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
                    raise BadValue(*refusal)
        except BadValue as bad:
            return Problem(place, bad.column, shorten(bad.value, 80), bad.error, bad.allowed)
        except (TypeError, AttributeError):
            if isinstance(row, Mapping):
                raise
            return Problem(place, None, shorten(row, 80), "a row is an object of columns and values", ", ".join(names))
        return out

    return validate


def compile_many(signature: Signature, policy: Policy, contract: Mapping[str, Any] | None = None) -> UsualColumns:
    """What recognises the usual ones of many rows at once; none is usual where a contract has to look at each."""
    if contract and compile_contract(contract, signature.inputs) is not None:
        return lambda rows: none_usual(rows, len(signature.inputs.names))
    reactions: dict[str, Any] = {"out_of_range": policy.out_of_range, "unseen_category": policy.unseen_category}
    checks = {column.name: value_check(column, **reactions) for column in signature.inputs}
    return compile_usual_columns(signature, usual_bounds, checks)


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
            try:
                out[name] = check(value, warnings)
            except BadValue as bad:
                if value is ABSENT:
                    bad.error += _meant(name, row, known)
                raise
        if unknown != "ignore" and not row.keys() <= known:
            _unknown(row, names, unknown, warnings)
        return out

    return careful


def _meant(name: str, row: Mapping[str, Any], known: frozenset[str]) -> str:
    """Which unknown column was perhaps meant by one that was not sent."""
    close = difflib.get_close_matches(name, [str(sent) for sent in row if sent not in known], 1)
    return f"; did you mean it by {shorten(close[0], 80)}?" if close else ""


def _unknown(row: Mapping[str, Any], names: tuple[str, ...], reaction: Reaction, warnings: Warnings) -> None:
    extra = [str(name) for name in row if name not in names]
    close = difflib.get_close_matches(extra[0], names, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    sentence = f"unknown column {shorten(extra[0], 80)}{hint}"
    if reaction == "reject":
        raise BadValue(str(extra[0])[:80], row[extra[0]], sentence, ", ".join(names))
    warnings.append(sentence)
