"""The part of a contract that single rows can keep, made ready for serving: what a model asks of a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, ContractError
from tidemill.data.contract import Check, TableContract, contract_digest
from tidemill.data.expressions import condition_of
from tidemill.data.row_programs import row_program
from tidemill.data.rules import RowRule, row_rules, structure_breaks

_SHOWN = 12
_OTHERS = {
    "unique": "it needs the other rows", "monotone": "it needs the other rows",
    "foreign_keys": "it needs another table", "freshness": "it concerns the table as a whole",
    "distributions": "it concerns the table as a whole",
}  # fmt: skip


def request_contract(
    contract: TableContract,
    rows: pl.DataFrame,
    inputs: Sequence[str],
    *,
    changed: Sequence[str] = (),
    strict: bool = True,
) -> dict[str, Any]:
    """What a contract asks of a single row with these inputs, as a JSON-able mapping that travels in the model.

    Parameters
    ----------
    contract
        The contract of the training table.
    rows
        The training rows, which keep it.
    inputs
        The columns that a request has.
    changed
        Columns whose values cleaning changed after the table was checked: rules about them are not enforced.
    strict
        Whether what cannot be enforced is an error; if not, it is listed with the others.

    Returns
    -------
    dict
        ``name`` and ``digest`` of the contract; ``checks``: each rule that a row can break, with its program
        (`tidemill.data.row_programs`); ``not_enforced``: each other rule, with the reason.

    Raises
    ------
    ContractError
        If the training rows themselves are refused: by their types, or by a rule that does not only warn.
    ConfigError
        If a rule that does not only warn cannot be checked on single rows (neither, if not `strict`).

    Examples
    --------
    >>> from tidemill.data.contract import ColumnRule, Unique
    >>> contract = TableContract("weather", (ColumnRule("wind", "number", maximum=200),), (Unique(("hour",)),))
    >>> made = request_contract(contract, pl.DataFrame({"wind": [10.4, 7.0]}), ["wind"])
    >>> made["checks"][0]["rule"], made["checks"][0]["program"][0], made["not_enforced"]
    ('wind > 200', 'and', [{'rule': 'unique (hour)', 'reason': 'it needs the other rows'}])
    """
    altered = set(changed)
    known = [name for name in inputs if name not in altered]
    table = rows.select(known)
    left_out = list(_left_out(contract, set(inputs), altered))
    part = _of_rows(contract, set(known))
    breaks = structure_breaks(table, part)
    if breaks and not strict:
        wrong = {rule.name for rule in part.columns if structure_breaks(table, replace(part, columns=(rule,)))}
        return request_contract(contract, rows, inputs, changed=(*changed, *wrong), strict=False)
    if breaks:
        raise ContractError(
            f"the inputs of the model are not what the contract {contract.name!r} says: {'; '.join(breaks)}",
            hint="Give the contract of the table that the model learns from.",
        )
    rules = row_rules(table, part, {})
    if strict:
        _require_kept(table, contract.name, rules)
    checks, schema = [], table.schema
    for rule in rules:
        try:
            program = row_program(rule.broken, schema)
        except ConfigError as error:
            left_out.append(_unchecked(rule, error, strict=strict))
            continue
        checks.append({
            "rule": rule.name, "kind": rule.kind, "columns": list(rule.columns), "severity": rule.severity,
            "allowed": _allowed(rule, part), "program": program,
        })  # fmt: skip
    return {"name": contract.name, "digest": contract_digest(contract), "checks": checks, "not_enforced": left_out}


def _allowed(rule: RowRule, contract: TableContract) -> str:
    """What a row may be, for people, where the rule's name does not say it."""
    if rule.kind == "set":
        values = next(item.values or () for item in contract.columns if item.name == rule.columns[0])
        return ", ".join(map(str, values[:_SHOWN])) + (f", … ({len(values)} in all)" if len(values) > _SHOWN else "")
    if rule.kind == "check":
        check = next(item for item in contract.checks if item.name == rule.name)
        return check.condition if check.language == "sql" else str(condition_of(check))
    return ""


def _of_rows(contract: TableContract, columns: set[str]) -> TableContract:
    """The rules that one row with these columns can break."""
    return replace(
        contract,
        columns=tuple(rule for rule in contract.columns if rule.name in columns),
        checks=tuple(check for check in contract.checks if set(_columns(check)) <= columns),
        unique=(), foreign_keys=(), monotone=(), freshness=(), distributions=(),
        min_rows=0, max_rows=None, extra_columns=True,
    )  # fmt: skip


def _left_out(contract: TableContract, inputs: set[str], changed: set[str]) -> Iterator[dict[str, str]]:
    concerned = [(f"column {rule.name}", [rule.name]) for rule in contract.columns]
    concerned += [(check.name, _columns(check)) for check in contract.checks]
    for rule, columns in concerned:
        absent = [name for name in columns if name not in inputs]
        altered = [name for name in columns if name in changed]
        if absent:
            yield {"rule": rule, "reason": f"no input of the model: {', '.join(absent)}"}
        elif altered:
            yield {"rule": rule, "reason": f"changed after the table was checked: {', '.join(altered)}"}
    for key, reason in _OTHERS.items():
        for other in getattr(contract, key):
            named = other.columns if hasattr(other, "columns") else (other.column,)
            yield {"rule": f"{key} ({', '.join(named)})", "reason": reason}


def _columns(check: Check) -> list[str]:
    return list(dict.fromkeys(condition_of(check).meta.root_names()))


def _require_kept(table: pl.DataFrame, name: str, rules: Sequence[RowRule]) -> None:
    strict = [rule for rule in rules if rule.severity != "warn"]
    if not strict:
        return
    try:
        broken = table.select(
            rule.broken.fill_null(value=False).sum().alias(str(index)) for index, rule in enumerate(strict)
        ).row(0)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"a rule of the contract {name!r} does not fit the inputs: {str(error).splitlines()[0]}",
            value=[rule.name for rule in strict if rule.kind == "check"],
            hint="Check the conditions, ranges and sets against the columns' types.",
        ) from error
    refused = [f"{rule.name!r} in {rows:,}" for rule, rows in zip(strict, broken, strict=True) if rows]
    if refused:
        raise ContractError(
            f"the model would refuse rows that it learns from: of {table.height:,} training rows, "
            f"{', '.join(refused)} break the contract {name!r}",
            hint='Validate the table before the split, or give the rule the severity "warn".',
        )


def _unchecked(rule: RowRule, error: ConfigError, *, strict: bool) -> dict[str, str]:
    if rule.severity == "warn" or not strict:
        return {"rule": rule.name, "reason": str(error)}
    raise ConfigError(
        f"rule {rule.name!r} of the contract cannot be checked on single requests: {error.what}",
        value=error.value,
        hint=f'{error.hint} Or give the rule the severity "warn": it is then listed as not enforced.',
    ) from error
