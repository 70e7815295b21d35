"""The row checks of a model's contract, compiled when the model is loaded: what they find in one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple, TypeAlias

from tidemill.core.errors import shorten
from tidemill.core.schema import Column, TableSchema
from tidemill.data.row_functions import Function, compile_program

#: From a row as it was sent and as it was typed to the rules that it breaks.
ContractCheck: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], "list[Broken]"]

_FLAGS = {"true": True, "false": False}


class Broken(NamedTuple):
    """A rule that a row breaks."""

    rule: str
    columns: tuple[str, ...]
    severity: str
    allowed: str = ""


def compile_contract(contract: Mapping[str, Any], inputs: TableSchema) -> ContractCheck | None:
    """A function that gives the rules which a row breaks; None where the contract asks nothing of a single row.

    Parameters
    ----------
    contract
        As `tidemill.data.request_contract` made it.
    inputs
        The columns of the signature, by which the row was typed.

    Examples
    --------
    >>> program = ["gt", ["column", "wind", "float"], ["value", 200, "int"], "float"]
    >>> rule = {"rule": "wind > 200", "columns": ["wind"], "severity": "fail", "program": program}
    >>> check = compile_contract({"checks": [rule]}, TableSchema((Column("wind", "float64"),)))
    >>> check({"wind": 1048}, {"wind": 1048.0})[0].rule
    'wind > 200'
    """
    rules: list[tuple[Broken, Function]] = [
        (
            Broken(entry["rule"], tuple(entry["columns"]), entry["severity"], entry.get("allowed", "")),
            compile_program(entry["program"]),
        )
        for entry in contract.get("checks", ())
    ]
    if not rules:
        return None
    used = {name for rule, _ in rules for name in rule.columns}
    readers = [(column.name, _reader(column)) for column in inputs if column.name in used]

    def check(sent: Mapping[str, Any], typed: Mapping[str, Any]) -> list[Broken]:
        try:
            values = {name: read(typed[name], sent.get(name)) for name, read in readers}
        except (OverflowError, ValueError):  # a category that is not of its column's type: no table could hold it
            return [_mistyped(typed, readers)]
        return [rule for rule, broken in rules if broken(values) is True]

    return check


def _mistyped(typed: Mapping[str, Any], readers: Sequence[tuple[str, Callable[[Any, Any], Any]]]) -> Broken:
    for name, read in readers:
        try:
            read(typed[name], None)
        except OverflowError:
            return Broken(f"the type of {name}", (name,), "fail", "a moment that is in the years 1 to 9999 in UTC too")
        except ValueError:
            return Broken(f"the type of {name}", (name,), "fail")
    raise AssertionError("one of the values could not be read")


def refused(
    rules: Sequence[Broken], contract: str, row: Mapping[str, Any], quarantined: str, warnings: list[str]
) -> tuple[str | None, Any, str, str] | None:
    """Column, value, sentence and what is allowed, if one of the broken rules calls for a refusal; the others warn.

    `quarantined` is what a rule of that severity means: ``"reject"``, ``"warn"`` or ``"ignore"``.
    """
    reactions = {"fail": "reject", "quarantine": quarantined, "warn": "warn"}
    against = [rule for rule in rules if reactions[rule.severity] == "reject"]
    if against:
        named = " and ".join(repr(rule.rule) for rule in against)
        columns = list(dict.fromkeys(name for rule in against for name in rule.columns))
        value = row[columns[0]] if len(columns) == 1 else {name: row[name] for name in columns}
        shown = ", ".join(f"{name} is {shorten(row[name], 60)}" for name in columns)
        sentence = f"the row breaks {named} of the contract {contract!r}: {shown}"
        return ", ".join(columns) or None, value, sentence, "; ".join(rule.allowed for rule in against if rule.allowed)
    warnings.extend(
        f"the row breaks {rule.rule!r} of the contract {contract!r}"
        for rule in rules
        if reactions[rule.severity] == "warn"
    )
    return None


def _reader(column: Column) -> Callable[[Any, Any], Any]:
    """From the typed value of a column, and the one that was sent, to the value that the training table would hold."""
    if column.type.startswith("float"):
        return _float
    convert = _from_text(column.type) or _from_time(column.type)
    if convert is None:
        return lambda typed, _: typed
    return lambda typed, _: None if typed is None else convert(typed)


def _from_text(kind: str) -> Callable[[Any], Any] | None:
    """Numbers and flags that the signature takes as categories are typed as text."""
    if kind.startswith(("int", "uint")):
        return lambda typed: int(typed) if isinstance(typed, str) else typed
    if kind == "bool":
        return lambda typed: _FLAGS.get(typed.lower()) if isinstance(typed, str) else typed
    return None


def _from_time(kind: str) -> Callable[[Any], Any] | None:
    if kind == "date":
        return lambda typed: typed.date() if isinstance(typed, datetime) else typed
    if kind.startswith("timestamp["):
        return _moment_ms if kind.startswith("timestamp[ms") else _moment
    return None


def _float(typed: Any, sent: Any) -> Any:
    # A NaN is typed as missing; in the table it is the NaN that it was.
    if typed is None and isinstance(sent, float) and sent != sent:
        return sent
    return float(typed) if isinstance(typed, str) else typed


def _moment(typed: datetime | date) -> datetime:
    """A moment as it is in UTC, without its zone; one without a zone is read as UTC."""
    if isinstance(typed, datetime):
        return typed if typed.tzinfo is None else typed.astimezone(UTC).replace(tzinfo=None)
    return datetime.combine(typed, time())


def _moment_ms(typed: datetime | date) -> datetime:
    moment = _moment(typed)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
