"""The part of a condition that any database can be asked for without changing what it means.

A database compares text by its own rules and numbers in its own widths. So it is only asked for what surely contains
every row that is meant; the condition itself is applied to what comes back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

Operator: TypeAlias = Literal["=", "<=", ">=", "in", "is null", "is not null"]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")+")|(?P<number>-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign><=|>=|<>|!=|=|<|>|\(|\)|,))"""
)
_BELOW, _ABOVE = ("<", "<="), (">", ">=")
_SAFE_INTEGER = 2**24  # the whole numbers that a four-byte float holds


@dataclass(frozen=True, slots=True)
class Term:
    """A comparison of a column with values."""

    column: str
    operator: Operator
    values: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    def says(self, *words: str) -> bool:
        return self.kind in ("name", "sign") and self.text.lower() in words


def pushable(where: str) -> tuple[Term, ...]:
    """Terms that every row of a condition meets; none for a condition that is not understood.

    Examples
    --------
    >>> pushable("origin = 'EWR' AND dep_delay > 15.5")
    (Term(column='origin', operator='=', values=('EWR',)), Term(column='dep_delay', operator='>=', values=(15,)))
    >>> pushable("origin = 'EWR' OR dep_delay > 15")
    ()
    """
    tokens = _tokens(where)
    if tokens is None or any(token.says("or", "case", "between") for token in tokens):
        return ()
    terms: list[Term] = []
    for part in _conjuncts(tokens):
        terms.extend(_terms(part))
    return tuple(terms)


def _tokens(where: str) -> list[_Token] | None:
    tokens, at = [], 0
    text = where.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind]))
        at = match.end()
    return tokens


def _conjuncts(tokens: Sequence[_Token]) -> list[list[_Token]]:
    """The parts between the ANDs that stand in no parentheses."""
    parts: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.says("(") - token.says(")")
        if depth == 0 and token.says("and"):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _terms(part: Sequence[_Token]) -> list[Term]:
    column = _column(part[0]) if part else None
    if column is None:
        return []
    rest = part[1:]
    if len(rest) == 2 and rest[0].says("is") and rest[1].says("null"):
        return [Term(column, "is null")]
    if len(rest) == 3 and rest[0].says("is") and rest[1].says("not") and rest[2].says("null"):
        return [Term(column, "is not null")]
    if len(rest) == 2 and rest[0].kind == "sign":
        return _comparison(column, rest[0].text, rest[1])
    if len(rest) >= 4 and rest[0].says("in") and rest[1].says("(") and rest[-1].says(")"):
        return _membership(column, rest[2:-1])
    return []


def _column(token: _Token) -> str | None:
    if token.kind == "quoted":
        return token.text[1:-1].replace('""', '"')
    return token.text if token.kind == "name" and not token.says("not") else None


def _comparison(column: str, sign: str, token: _Token) -> list[Term]:
    if sign == "=":
        value = _exact(token)
        return [] if value is None else [Term(column, "=", (value,))]
    if token.kind != "number" or abs(float(token.text)) > _SAFE_INTEGER:
        return []
    bound = float(token.text)
    if sign in _BELOW:
        return [Term(column, "<=", (math.ceil(bound),))]
    return [Term(column, ">=", (math.floor(bound),))] if sign in _ABOVE else []


def _membership(column: str, inner: Sequence[_Token]) -> list[Term]:
    values = [_exact(token) for token in inner[::2]]
    if any(value is None for value in values) or not all(token.says(",") for token in inner[1::2]):
        return []
    return [Term(column, "in", tuple(cast("list[str | int]", values)))]


def _exact(token: _Token) -> str | int | None:
    if token.kind == "text":
        return token.text[1:-1].replace("''", "'")
    if token.kind == "number" and re.fullmatch(r"-?\d+", token.text) and abs(int(token.text)) <= _SAFE_INTEGER:
        return int(token.text)
    return None
