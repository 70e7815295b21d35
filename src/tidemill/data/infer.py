"""A contract from a table that is believed to be good."""

from __future__ import annotations

import warnings
from typing import Any

import polars as pl

from tidemill.core.errors import shorten
from tidemill.data.contract import ColumnRule, Distribution, TableContract, Unique
from tidemill.data.expected import FLAG, NUMBER, TEXT, require
from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.findings.values import find_in_values
from tidemill.data.operations import operation_from_dict
from tidemill.data.profile import measure_column
from tidemill.data.repair_steps import STEPS
from tidemill.data.types import Tabular, collected, physical_type, plain
from tidemill.measures.population import profile_categories, profile_numbers

_MOST_VALUES = 50
_VALUES_SHARE = 0.01
_TOLD, _ROUNDS = 3, 5


def infer_contract(
    table: Tabular, name: str = "table", *, slack: float = 0.1, distributions: bool = False
) -> TableContract:
    """The contract that the table keeps but for its errors, to be edited.

    Types are taken as they are; a column without missing values is not nullable; numbers get their range widened by
    `slack` of its width (a non-negative one stays so); text with few distinct values gets its set; a column of text
    without gaps and repeats becomes a unique key. With `distributions`, later tables are also compared with this one:
    each number and each column of few categories gets its profile as a reference, with severity ``warn``.

    What `explore` calls an error in the numbers of a column (codes for missing values such as -999, impossible values,
    wrong signs) is left out of its range.

    Warns
    -----
    UserWarning
        If values were left out: which, and of which columns.

    Examples
    --------
    >>> contract = infer_contract(pl.DataFrame({"faa": ["EWR", "JFK"], "alt": [18, 13]}), "airports")
    >>> contract.unique[0].columns, contract.columns[1].minimum, contract.columns[1].maximum
    (('faa',), 12.5, 18.5)
    """
    contract, left_out = inferred(table, name, slack=slack, distributions=distributions)
    if left_out:
        warnings.warn(
            f"taken for errors and left out of the contract {name!r}: {'; '.join(left_out.values())}",
            UserWarning,
            stacklevel=2,
        )
    return contract


def inferred(
    table: Tabular, name: str, *, slack: float = 0.1, distributions: bool = False
) -> tuple[TableContract, dict[str, str]]:
    """The contract of `infer_contract`, and by column what was taken for an error and left out of it."""
    require("infer_contract", name=(name, TEXT), slack=(slack, NUMBER), distributions=(distributions, FLAG))
    frame = collected(table)
    judged = {column: _without_errors(frame[column]) for column in frame.columns}
    rules = tuple(_column_rule(column, slack, has_errors=bool(errors)) for column, errors in judged.values())
    unique = tuple(
        Unique((column,))
        for column, kind in frame.schema.items()
        if frame.height > 1
        and kind == pl.String
        and frame[column].is_not_null().all()
        and frame[column].is_unique().all()
    )
    references = tuple(
        Distribution(rule.name, profile)
        for rule in rules
        if distributions and (profile := _profile(judged[rule.name][0], has_set=rule.values is not None))
    )
    left_out = {column: "; ".join(map(_told, errors)) for column, (_, errors) in judged.items() if errors}
    return TableContract(name, rules, unique=unique, distributions=references), left_out


def _without_errors(column: pl.Series) -> tuple[pl.Series, list[Finding]]:
    """The values that are no errors, and what was found of the others; one that is far away hides the nearer ones."""
    errors: list[Finding] = []
    for _ in range(_ROUNDS):
        if not column.dtype.is_numeric() or column.null_count() == column.len():
            break
        before = column.null_count()
        for finding in find_in_values(measure_column(column)):
            kept = _kept(column, finding)
            if finding.severity == "error" and kept.null_count() > column.null_count():
                column = kept
                errors.append(finding)
        if column.null_count() == before:
            break
    return column, errors


def _kept(column: pl.Series, finding: Finding) -> pl.Series:
    """The column without what a finding is about, as far as a value alone tells it."""
    if finding.kind == "sign_flip" and finding.examples:
        right = column >= 0 if finding.examples[0] < 0 else column <= 0
        return column.to_frame().select(pl.when(right).then(pl.col(column.name))).to_series()
    if finding.remedy.get("kind") not in ("null_values", "null_outside"):
        return column
    operation = operation_from_dict(finding.remedy)
    table: pl.DataFrame = STEPS[operation.kind](column.to_frame(), operation).table
    return table[column.name]


def _told(finding: Finding) -> str:
    """What was left out, in a line.

    >>> _told(Finding("sentinel", "wind", "error", 3, 0.1, (-999,), "", ""))
    'wind: 3 values such as -999 (sentinel)'
    """
    such = ", ".join(shorten(value, 24) for value in finding.examples[:_TOLD])
    kind = finding.kind.replace("_", " ")
    return f"{finding.column}: {number_of(finding.count, 'value')}{f' such as {such}' if such else ''} ({kind})"


def _profile(column: pl.Series, *, has_set: bool) -> dict[str, Any] | None:
    if column.dtype.is_numeric() and column.null_count() < column.len():
        return profile_numbers(column.cast(pl.Float64).to_numpy())
    return profile_categories(column.to_list()) if has_set else None


def _column_rule(column: pl.Series, slack: float, *, has_errors: bool) -> ColumnRule:
    kind = column.dtype
    # What was an error is missing once it is repaired.
    nullable = has_errors or column.is_empty() or column.null_count() > 0
    minimum = maximum = values = None
    if kind.is_numeric() and column.null_count() < column.len():
        low, high = plain(column.min()), plain(column.max())
        if isinstance(low, int | float) and isinstance(high, int | float):
            margin = slack * (high - low)
            minimum, maximum = _short(low - margin), _short(high + margin)
            if low >= 0:
                minimum = max(0, minimum)
    elif kind == pl.String:
        distinct = column.drop_nulls().unique()
        if 0 < distinct.len() <= min(_MOST_VALUES, max(2, column.len() * _VALUES_SHARE)):
            values = tuple(sorted(distinct.to_list()))
    return ColumnRule(
        column.name, physical_type(kind), nullable=nullable, minimum=minimum, maximum=maximum, values=values
    )


def _short(bound: float) -> float:
    """A bound without the dust of binary fractions: 105.87, not 105.86999999999999."""
    return float(f"{bound:.12g}")
