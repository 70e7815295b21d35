"""The one validation path of every face: a signature compiled into a function that checks and types one row.

It runs on each request, so everything that can be decided when a model is loaded is decided then.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from tidemill.core.errors import ConfigError, InvalidRequestError, shorten
from tidemill.core.model import Signature
from tidemill.packaging.contract_checks import compile_contract, refused
from tidemill.packaging.usual_columns import UsualColumns, compile_usual_columns, none_usual
from tidemill.packaging.usual_rows import Check, compile_usual
from tidemill.packaging.value_checks import ABSENT, BadValue, Reaction, Warnings, absent_as, usual_bounds, value_check

#: So many things are told that are wrong with one row.
_MOST_TOLD = 10
#: What was meant is looked for in so many rows, for so many of their columns, among so many unknown ones of so many
#: letters at most: whoever sends names that are costly to compare keeps nobody else waiting.
_SUGGESTED_ROWS, _SUGGESTED_COLUMNS, _MOST_COMPARED, _LONGEST_COMPARED = 16, 3, 16, 40


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
    """Why a row cannot be scored: the row's place, the column, what was sent and what is allowed.

    `others` are what is wrong with more of its columns, in their order, and have none themselves.
    """

    row: int
    column: str | None
    value: str
    error: str
    allowed: str = ""
    others: tuple[Problem, ...] = ()

    @property
    def sentence(self) -> str:
        """All that is wrong with the row."""
        return "; ".join(one.error for one in (self, *self.others))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping; with ``"others"`` if there are any."""
        told = {"row": self.row, **_told(self)}
        return told | {"others": [_told(one) for one in self.others]} if self.others else told

    def to_error(self) -> InvalidRequestError:
        """The same as an exception."""
        allowing = [one for one in (self, *self.others) if one.allowed]
        hint = "; ".join(f"{one.column!r}: {one.allowed}" for one in allowing) if self.others else self.allowed
        return InvalidRequestError(f"row {self.row}: {self.sentence}", hint=hint and f"Allowed: {hint}.")


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
    >>> validate({"dest": 3.5, "distance": "far"}, 0, []).sentence
    "column 'dest' takes text; column 'distance' takes a whole number"
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
                out = careful(row, warnings, place < _SUGGESTED_ROWS)
            if broken is not None:
                rules = broken(row, out)
                refusal = refused(rules, name_of_contract, out, quarantined, warnings) if rules else None
                if refusal is not None:
                    raise BadValue(*refusal)
        except BadValue as bad:
            return _problem(place, [bad])
        except _BadRow as row_error:
            return _problem(place, row_error.bad)
        except (TypeError, AttributeError, IndexError):
            if isinstance(row, Mapping):
                raise
            return Problem(place, None, shorten(row, 80), "a row is an object of columns and values", ", ".join(names))
        return out

    return validate


def compile_many(signature: Signature, policy: Policy, contract: Mapping[str, Any] | None = None) -> UsualColumns:
    """What recognises the usual ones of many rows at once; none is usual where a contract has to look at each."""
    if contract and compile_contract(contract, signature.inputs) is not None:
        return none_usual
    reactions: dict[str, Any] = {"out_of_range": policy.out_of_range, "unseen_category": policy.unseen_category}
    checks = {column.name: value_check(column, **reactions) for column in signature.inputs}
    return compile_usual_columns(signature, usual_bounds, checks)


class _BadRow(Exception):
    """What is wrong with the columns of a row; it never leaves this module."""

    def __init__(self, bad: Sequence[BadValue]) -> None:
        self.bad = bad


def _told(problem: Problem) -> dict[str, Any]:
    """What is wrong with a column."""
    return {"column": problem.column, "value": problem.value, "error": problem.error, "allowed": problem.allowed}


def _problem(place: int, bad: Sequence[BadValue]) -> Problem:
    first, *others = (Problem(place, one.column, shorten(one.value, 80), one.error, one.allowed) for one in bad)
    return replace(first, others=tuple(others)) if others else first


def _careful(
    plan: Sequence[tuple[str, Check, Any]], unknown: Reaction
) -> Callable[[Any, Warnings, bool], dict[str, Any]]:
    """A function that types a row column by column, and raises for those that are wrong."""
    names = tuple(name for name, _, _ in plan)
    known = frozenset(names)

    def careful(row: Any, warnings: Warnings, suggesting: bool) -> dict[str, Any]:  # noqa: FBT001  called once a row
        out, bad, meant = {}, list[BadValue](), set[str]()
        for name, check, absent in plan:
            try:
                value = row[name]
            except KeyError:
                value = absent
            try:
                out[name] = check(value, warnings)
            except BadValue as one:
                if value is ABSENT and suggesting and len(bad) < _SUGGESTED_COLUMNS:
                    close = _nearest(name, _unknown(row, known))
                    if close is not None:
                        one.error += f"; did you mean it by {shorten(close, 80)}?"
                        meant.add(close)
                bad.append(one)
                if len(bad) == _MOST_TOLD:
                    break
        if len(bad) < _MOST_TOLD and unknown != "ignore" and not row.keys() <= known:
            bad += _unknown_columns(row, names, unknown, warnings, meant if suggesting else None)
        if bad:
            raise _BadRow(bad[:_MOST_TOLD])
        return out

    return careful


def _unknown(row: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """The first of the columns that were sent and are not known; a hostile row may have a million."""
    return list(islice((str(name) for name in row if name not in known), _MOST_COMPARED))


def _nearest(name: str, others: Sequence[str]) -> str | None:
    if len(name) > _LONGEST_COMPARED:
        return None
    short = [other for other in others if len(other) <= _LONGEST_COMPARED]
    return next(iter(difflib.get_close_matches(name, short, 1)), None)


def _unknown_columns(
    row: Mapping[str, Any], names: tuple[str, ...], reaction: Reaction, warnings: Warnings, meant: set[str] | None
) -> list[BadValue]:
    """What is wrong with columns that are not known, but those that were `meant`; None looks for nothing meant."""
    bad = list[BadValue]()
    for name in row:
        if name in names or (meant and str(name) in meant):
            continue
        close = _nearest(str(name), names) if meant is not None and len(bad) < _SUGGESTED_COLUMNS else None
        sentence = f"unknown column {shorten(str(name), 80)}" + (f"; did you mean {close!r}?" if close else "")
        if reaction != "reject":
            warnings.append(sentence)
            break
        bad.append(BadValue(str(name)[:80], row[name], sentence, "" if bad else ", ".join(names)))
        if len(bad) == _MOST_TOLD:
            break
    return bad
