"""A cleaning plan: operations in order, as data, in TOML and JSON."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

from tidemill.core.errors import ConfigError
from tidemill.data.operations.learned import LEARNED, Learned
from tidemill.data.operations.stateless import STATELESS, Stateless
from tidemill.data.toml_text import toml_key, toml_value

Operation: TypeAlias = Stateless | Learned

_KINDS: dict[str, type] = {
    str(next(item.default for item in fields(kind) if item.name == "kind")): kind for kind in (*STATELESS, *LEARNED)
}


@dataclass(frozen=True, slots=True)
class CleaningPlan:
    """Operations in the order in which they are done; a suggested plan says why, one reason for each.

    >>> from tidemill.data.operations import NullOutside, Rename
    >>> plan = CleaningPlan((NullOutside("wind_speed", maximum=200), Rename({"visib": "visibility"})))
    >>> CleaningPlan.from_dict(plan.to_dict()) == plan
    True
    """

    operations: tuple[Operation, ...]
    reasons: tuple[str, ...] = ()

    @property
    def stateless(self) -> CleaningPlan:
        """The part for ``clean``, before the split."""
        return self._part(learned=False)

    @property
    def learned(self) -> CleaningPlan:
        """The part for ``train(…, cleaning=…)``, fitted on training rows."""
        return self._part(learned=True)

    def _part(self, *, learned: bool) -> CleaningPlan:
        chosen = [isinstance(operation, LEARNED) == learned for operation in self.operations]
        operations = tuple(itertools.compress(self.operations, chosen))
        return CleaningPlan(operations, tuple(itertools.compress(self.reasons, chosen)))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        reasons = {"reasons": list(self.reasons)} if self.reasons else {}
        return {"operations": [_to_dict(operation) for operation in self.operations]} | reasons

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CleaningPlan:
        """Read what `to_dict` wrote; an unknown kind or option is an error."""
        unknown = sorted(set(raw) - {"operations", "reasons"})
        if unknown or not isinstance(raw.get("operations"), Sequence):
            raise ConfigError(
                "a cleaning plan has a list of operations, and perhaps of reasons",
                value=unknown or raw.get("operations"),
                hint='Write [[operations]] with kind = "null_outside".',
            )
        return cls(tuple(operation_from_dict(entry) for entry in raw["operations"]), tuple(raw.get("reasons", ())))


def plan(*operations: Operation) -> CleaningPlan:
    """A cleaning plan of these operations."""
    return CleaningPlan(operations)


def _to_dict(operation: Operation) -> dict[str, Any]:
    return {"kind": operation.kind} | {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(operation).items()
        if key != "kind"
    }


def plan_to_toml(plan: CleaningPlan) -> str:
    """Write a plan as TOML, to be read and edited; `plan_from_toml` reads it back unchanged.

    >>> from tidemill.data.operations import NullOutside
    >>> print(plan_to_toml(CleaningPlan((NullOutside("wind", maximum=200),), ("1,048 mph is no wind",))))
    reasons = ["1,048 mph is no wind"]
    <BLANKLINE>
    [[operations]]
    kind = "null_outside"
    column = "wind"
    maximum = 200
    <BLANKLINE>
    """
    lines: list[str] = []
    if plan.reasons:
        lines += [f"reasons = {toml_value(plan.reasons)}", ""]
    for operation in plan.operations:
        lines += ["[[operations]]"]
        lines += [
            f"{toml_key(key)} = {toml_value(value)}" for key, value in _to_dict(operation).items() if value is not None
        ]
        lines += [""]
    return "\n".join(lines or ["operations = []", ""])


def plan_from_toml(text: str) -> CleaningPlan:
    """Read a plan from TOML.

    Raises
    ------
    ConfigError
        If the text is not TOML, or not a plan.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the cleaning plan is not TOML: {error}") from None
    return CleaningPlan.from_dict(raw)


def operation_from_dict(raw: Mapping[str, Any]) -> Operation:
    """One operation from its mapping, ``{"kind": "null_outside", "column": "wind", "maximum": 200}``."""
    kind = _KINDS.get(raw.get("kind", ""))
    if kind is None:
        near = difflib.get_close_matches(str(raw.get("kind")), _KINDS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_KINDS)}."
        raise ConfigError("no such cleaning operation", value=raw.get("kind"), hint=hint)
    known = [item.name for item in fields(kind)]
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise ConfigError(f"{raw['kind']} has unknown options", value=unknown, hint=f"Known: {', '.join(known)}.")
    values = {
        key: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in raw.items()
    }
    try:
        operation: Operation = kind(**values)
    except TypeError as error:
        raise ConfigError(f"{raw['kind']} is incomplete: {error}", value=dict(raw)) from None
    return operation
