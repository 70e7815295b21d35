"""What changed between two versions of a contract: where it became stricter, and where laxer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from tidemill.data.contract import TableContract
from tidemill.data.moments import duration

#: Whether tables that kept the old contract may now break it, the reverse, or both.
Effect = Literal["stricter", "laxer", "changed"]

_SEVERITIES = ("warn", "quarantine", "fail")


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One change.

    Parameters
    ----------
    rule
        What it is about, such as ``"column wind: maximum"``.
    effect
        ``"stricter"``, ``"laxer"``, or ``"changed"`` where it is neither or both.
    before, after
        The values; None where there was no rule, or is none.
    """

    rule: str
    effect: Effect
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None and is_dataclass(self.after):
            return f"{self.rule}: new, {_told(self.after)} ({self.effect})"
        if self.after is None and is_dataclass(self.before):
            return f"{self.rule}: gone, it was {_told(self.before)} ({self.effect})"
        return f"{self.rule}: {self.before} -> {self.after} ({self.effect})"


def _told(rule: Any) -> str:
    """What a whole rule says, without what it does not say."""
    return ", ".join(
        f"{field.name} = {value!r}"
        for field in fields(rule)
        if (value := getattr(rule, field.name)) != field.default and field.name != "name"
    )


def contract_changes(old: TableContract, new: TableContract) -> tuple[ContractChange, ...]:
    """Every difference between two contracts, in the order of the contract.

    >>> from tidemill.data.contract import ColumnRule
    >>> before = TableContract("weather", (ColumnRule("wind", maximum=200),))
    >>> after = TableContract("weather", (ColumnRule("wind", maximum=150, nullable=False),))
    >>> for change in contract_changes(before, after):
    ...     print(change)
    column wind: nullable: True -> False (stricter)
    column wind: maximum: 200 -> 150 (stricter)
    """
    return (*_columns(old, new), *_rules(old, new), *_bounds(old, new))


def _columns(old: TableContract, new: TableContract) -> Iterator[ContractChange]:
    before, after = ({rule.name: rule for rule in contract.columns} for contract in (old, new))
    for name in dict.fromkeys([*before, *after]):
        left, right = before.get(name), after.get(name)
        if left is None or right is None:
            # Where other columns are not allowed, a rule is what allows one.
            closed = not (old.extra_columns and new.extra_columns)
            effect: Effect = "changed" if closed else "stricter" if left is None else "laxer"
            yield ContractChange(f"column {name}", effect, left, right)
            continue
        for field, compare in _COLUMN.items():
            one, other = getattr(left, field), getattr(right, field)
            if one != other:
                yield ContractChange(f"column {name}: {field}", compare(one, other), one, other)


def _presence(one: Any, other: Any) -> Effect | None:
    return "stricter" if one is None else "laxer" if other is None else None


def _type(one: str | None, other: str | None) -> Effect:
    effect = _presence(one, other)
    if effect is None:
        if one is not None and _covers(one, str(other)):
            return "stricter"
        return "laxer" if other is not None and _covers(other, str(one)) else "changed"
    return effect


def _covers(wide: str, narrow: str) -> bool:
    if wide == "number":
        return narrow.startswith(("int", "uint", "float", "decimal"))
    return wide == "timestamp" and narrow.startswith("timestamp[")


def _more(one: Any, other: Any) -> Effect:
    if (effect := _presence(one, other)) is not None:
        return effect
    if isinstance(one, str) != isinstance(other, str):
        return "changed"
    return "stricter" if other > one else "laxer"


def _less(one: Any, other: Any) -> Effect:
    if (effect := _presence(one, other)) is not None:
        return effect
    return _more(other, one)


def _set(one: tuple[Any, ...] | None, other: tuple[Any, ...] | None) -> Effect:
    if one is None or other is None:
        return "stricter" if one is None else "laxer"
    lost, gained = [item for item in one if item not in other], [item for item in other if item not in one]
    return "stricter" if lost and not gained else "laxer" if gained and not lost else "changed"


def _severity(one: str, other: str) -> Effect:
    return _more(_SEVERITIES.index(one), _SEVERITIES.index(other))


_COLUMN: dict[str, Callable[[Any, Any], Effect]] = {
    "type": _type,
    "required": _more,
    "nullable": _less,
    "minimum": _more,
    "maximum": _less,
    "values": _set,
    "pattern": lambda one, other: _presence(one, other) or "changed",
    "severity": _severity,
}


def _rules(old: TableContract, new: TableContract) -> Iterator[ContractChange]:
    """Rules other than those of one column: there, gone, or of another severity."""
    for key, named in _NAMED.items():
        before, after = ({named(rule): rule for rule in getattr(contract, key)} for contract in (old, new))
        for name in dict.fromkeys([*before, *after]):
            left, right = before.get(name), after.get(name)
            if left == right:
                continue
            effect = _presence(left, right)
            if effect is None:
                yield from _altered(name, left, right)
            else:
                yield ContractChange(name, effect, left, right)


def _altered(name: str, left: Any, right: Any) -> Iterator[ContractChange]:
    for field in type(left).__dataclass_fields__:
        one, other = getattr(left, field), getattr(right, field)
        if one != other:
            compare = _ALTERED.get(field)
            yield ContractChange(f"{name}: {field}", compare(one, other) if compare else "changed", one, other)


def _within(one: str, other: str) -> Effect:
    return _less(duration(one), duration(other))


_ALTERED: Mapping[str, Callable[[Any, Any], Effect]] = {
    "severity": _severity,
    "at_most": _less,
    "strict": _more,
    "within": _within,
}
_NAMED: dict[str, Callable[[Any], str]] = {
    "unique": lambda rule: f"unique ({', '.join(rule.columns)})",
    "foreign_keys": lambda rule: f"({', '.join(rule.columns)}) in {rule.table} ({', '.join(rule.to)})",
    "checks": lambda rule: f"check {rule.name}",
    "monotone": lambda rule: f"monotone {', '.join((*rule.by, rule.column))}",
    "freshness": lambda rule: f"freshness of {rule.column}",
    "distributions": lambda rule: f"distribution of {rule.column} ({rule.measure})",
}


def _bounds(old: TableContract, new: TableContract) -> Iterator[ContractChange]:
    bounds: dict[str, Callable[[Any, Any], Effect]] = {
        "min_rows": _more, "max_rows": _less, "extra_columns": _less, "max_quarantined": _less,
    }  # fmt: skip
    for field, compare in bounds.items():
        one, other = getattr(old, field), getattr(new, field)
        if one != other:
            yield ContractChange(field, compare(one, other), one, other)
