"""Which rules of a contract are known to hold without visiting rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from tidemill.data.profile import ColumnProfile
from tidemill.data.rules import RowRule

#: Kinds of rules that look at each value alone.
_OF_A_VALUE = frozenset({"set", "pattern", "foreign_key"})


def holds(rule: RowRule, frame: pl.DataFrame, profiles: Mapping[str, ColumnProfile]) -> bool:
    """Whether no row can break the rule, by the profile of its column or, of a key, by hashes; False if not known.

    >>> from tidemill.data.contract import ColumnRule, TableContract
    >>> from tidemill.data.profile import measure_column
    >>> from tidemill.data.rules import row_rules
    >>> table = pl.DataFrame({"hour": [0, 23]})
    >>> rules = row_rules(table, TableContract("t", (ColumnRule("hour", maximum=23),)), {})
    >>> holds(rules[0], table, {"hour": measure_column(table["hour"]).profile})
    True
    """
    if rule.kind == "unique":
        return _all_differ(frame, rule.columns)
    profile = profiles.get(rule.columns[0]) if len(rule.columns) == 1 else None
    if profile is None or not profile.exact:
        return False
    dtype = frame.schema[profile.name]
    if rule.kind == "nulls":
        return not profile.nulls
    if rule.kind == "range":
        return (dtype.is_integer() or dtype.is_float()) and _none_breaks(
            rule, [profile.minimum, profile.maximum], dtype
        )
    if rule.kind in _OF_A_VALUE:
        every = dtype == pl.String and len(profile.top) == profile.distinct
        return every and _none_breaks(rule, [value for value, _ in profile.top], dtype)
    return False


def _none_breaks(rule: RowRule, values: list[object], dtype: pl.DataType) -> bool:
    """Whether the rule's own condition is true of none of the values, nor of a missing one."""
    given = [float(value) if isinstance(value, str) and dtype.is_float() else value for value in [*values, None]]
    witness = pl.DataFrame({rule.columns[0]: pl.Series(given, dtype=dtype)})
    return not witness.select(rule.broken.fill_null(value=False).any()).item()


def _all_differ(frame: pl.DataFrame, columns: tuple[str, ...]) -> bool:
    """Whether all rows differ in some columns: rows of different hashes do."""
    hashes = frame[columns[0]].hash(1) if len(columns) == 1 else frame.select(columns).hash_rows(1)
    ordered = np.sort(hashes.to_numpy())
    return bool((ordered[1:] != ordered[:-1]).all())
