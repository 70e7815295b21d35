"""A contract from a table that is believed to be good."""

from __future__ import annotations

from typing import Any

import polars as pl

from tidemill.data.contract import ColumnRule, Distribution, TableContract, Unique
from tidemill.data.expected import FLAG, NUMBER, TEXT, require
from tidemill.data.types import Tabular, collected, physical_type, plain
from tidemill.measures.population import profile_categories, profile_numbers

_MOST_VALUES = 50
_VALUES_SHARE = 0.01


def infer_contract(
    table: Tabular, name: str = "table", *, slack: float = 0.1, distributions: bool = False
) -> TableContract:
    """The contract that the table keeps, to be edited.

    Types are taken as they are; a column without missing values is not nullable; numbers get their range widened by
    `slack` of its width (a non-negative one stays so); text with few distinct values gets its set; a column of text
    without gaps and repeats becomes a unique key. With `distributions`, later tables are also compared with this one:
    each number and each column of few categories gets its profile as a reference, with severity ``warn``.

    Examples
    --------
    >>> contract = infer_contract(pl.DataFrame({"faa": ["EWR", "JFK"], "alt": [18, 13]}), "airports")
    >>> contract.unique[0].columns, contract.columns[1].minimum, contract.columns[1].maximum
    (('faa',), 12.5, 18.5)
    """
    require("infer_contract", name=(name, TEXT), slack=(slack, NUMBER), distributions=(distributions, FLAG))
    frame = collected(table)
    rules = tuple(_column_rule(frame[column], slack) for column in frame.columns)
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
        if distributions and (profile := _profile(frame[rule.name], has_set=rule.values is not None))
    )
    return TableContract(name, rules, unique=unique, distributions=references)


def _profile(column: pl.Series, *, has_set: bool) -> dict[str, Any] | None:
    if column.dtype.is_numeric() and column.null_count() < column.len():
        return profile_numbers(column.cast(pl.Float64).to_numpy())
    return profile_categories(column.to_list()) if has_set else None


def _column_rule(column: pl.Series, slack: float) -> ColumnRule:
    kind = column.dtype
    nullable = column.is_empty() or column.null_count() > 0
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
