"""The little language in which runs are searched: ``metrics.roc_auc >= 0.7 and params.trials = 5``."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidemill.core.errors import UsageError

Kind = Literal["metrics", "params", "tags", "run"]
_ATTRIBUTES = ("id", "status", "pipeline", "project", "user", "host", "commit")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "~": lambda value, part: str(part) in str(value),
}
_NAME = r"""(?:"(?P<quoted>[^"]+)"|`(?P<ticked>[^`]+)`|(?P<plain>[\w./-]+))"""
_CLAUSE = re.compile(
    rf"""\s*(?:(?P<kind>metrics?|params?|parameters?|tags?)\.)?{_NAME}\s*
        (?P<operator>==|!=|>=|<=|=|>|<|~)\s*
        (?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s'"]+))\s*""",
    re.VERBOSE,
)
_AND = re.compile(r"and\b", re.IGNORECASE)
_KINDS: dict[str, Kind] = {"": "run", "m": "metrics", "p": "params", "t": "tags"}
_EXAMPLE = "Write, for example: metrics.roc_auc >= 0.7 and params.trials = 5 and status = 'succeeded'."


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition; all of a filter must hold.

    Parameters
    ----------
    kind
        Where to look: ``"metrics"``, ``"params"``, ``"tags"``, or ``"run"`` for an attribute of the run itself.
    name
        What is compared.
    operator
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, or ``~`` for "contains".
    value
        A number where it was written as one, text otherwise.
    """

    kind: Kind
    name: str
    operator: str
    value: float | str

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for the values of its kind; what is absent is only ever different."""
        if self.name not in values:
            return self.operator == "!="
        left, right = values[self.name], self.value
        if isinstance(right, float) and self.operator != "~":
            number = _number(left)
            if number is None:
                return self.operator == "!="
            left = number
        return _OPERATORS[self.operator](left, right)


def parse_filter(text: str) -> tuple[Clause, ...]:
    """Read a filter.

    Raises
    ------
    UsageError
        When it cannot be read; the message shows from where on.

    Examples
    --------
    >>> [clause.name for clause in parse_filter("metrics.validation/roc_auc > 0.7 AND tags.team = 'gates'")]
    ['validation/roc_auc', 'team']
    """
    clauses: list[Clause] = []
    rest = text.strip()
    while rest:
        if clauses:
            joined = _AND.match(rest)
            if joined is None:
                raise UsageError("conditions must be joined by 'and'", value=rest, hint=_EXAMPLE)
            rest = rest[joined.end() :]
        match = _CLAUSE.match(rest)
        if match is None:
            raise UsageError("this condition cannot be read", value=rest, hint=_EXAMPLE)
        clauses.append(_clause(match))
        rest = rest[match.end() :]
    return tuple(clauses)


def _clause(match: re.Match[str]) -> Clause:
    name = match["quoted"] or match["ticked"] or match["plain"]
    prefix = match["kind"]
    quoted = match["single"] if match["single"] is not None else match["double"]
    value: float | str = quoted if quoted is not None else match["bare"]
    number = None if quoted is not None else _number(value)
    kind: Kind = (
        "run" if prefix is None else "metrics" if prefix[0] == "m" else "params" if prefix[0] == "p" else "tags"
    )
    if kind == "run" and name not in _ATTRIBUTES:
        near = difflib.get_close_matches(name, _ATTRIBUTES, n=1)
        known = (
            f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_ATTRIBUTES)}, metrics.…, params.…, tags.…"
        )
        raise UsageError("runs cannot be searched by this", value=name, hint=known)
    if kind == "metrics" and number is None:
        raise UsageError(f"metric {name!r} is compared with something that is no number", value=value, hint=_EXAMPLE)
    return Clause(kind, name, match["operator"], value if number is None else number)


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number
