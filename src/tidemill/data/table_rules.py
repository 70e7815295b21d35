"""Rules about a table as a whole: how fresh it is, and how far its columns are from a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, SchemaError
from tidemill.data.contract import Distribution, Freshness, TableContract, TableSeverity
from tidemill.data.moments import duration
from tidemill.data.types import physical_type, plain, require_columns
from tidemill.measures.distances import jensen_shannon, psi
from tidemill.measures.population import count_like


@dataclass(frozen=True, slots=True)
class TableRule:
    """A rule that was checked on the whole table, and the value that says how it came out."""

    name: str
    kind: str
    column: str
    severity: TableSeverity
    broken: bool
    value: Any


def table_rules(frame: pl.DataFrame, contract: TableContract, now: datetime) -> list[TableRule]:
    """Every rule of the contract about the table as a whole, checked."""
    return [_freshness(frame, rule, now) for rule in contract.freshness] + [
        _distribution(frame, rule) for rule in contract.distributions
    ]


def _freshness(frame: pl.DataFrame, rule: Freshness, now: datetime) -> TableRule:
    require_columns(frame, [rule.column], purpose="the freshness of the table")
    kind = frame.schema[rule.column]
    if kind not in (pl.Date, pl.Datetime):
        raise SchemaError(
            f"freshness needs a column of times; {rule.column!r} is {physical_type(kind)}", hint="Parse it first."
        )
    latest: Any = frame[rule.column].max()
    name = f"{rule.column} is older than {rule.within}"
    if latest is None:
        return TableRule(name, "freshness", rule.column, rule.severity, broken=True, value=None)
    moment = latest if isinstance(latest, datetime) else datetime(*_parts(latest), tzinfo=UTC)
    # A time without a zone is taken as UTC.
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return TableRule(name, "freshness", rule.column, rule.severity, now - moment > duration(rule.within), plain(latest))


def _parts(day: date) -> tuple[int, int, int]:
    return day.year, day.month, day.day


def _distribution(frame: pl.DataFrame, rule: Distribution) -> TableRule:
    require_columns(frame, [rule.column], purpose="a distribution")
    column, profile = frame[rule.column], rule.profile
    numeric = profile.get("kind") == "number"
    if numeric and not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise SchemaError(
            f"the reference of {rule.column!r} is of numbers and the column is {physical_type(column.dtype)}",
            hint="Make the profile anew.",
        )
    try:
        seen = count_like(profile, column.cast(pl.Float64).to_numpy() if numeric else column.cast(pl.String).to_list())
        reference, current = list(profile["counts"]), list(seen["counts"])
        if not numeric:
            reference, current = [*reference, profile["other"]], [*current, seen["other"]]
        before = profile["missing"] / profile["rows"] if profile["rows"] else 0.0
    except KeyError as error:
        raise ConfigError(f"the profile of {rule.column!r} lacks {error}", value=dict(profile)) from None
    if rule.measure == "missing":
        value = seen["missing"] / max(1, seen["rows"]) - before
    else:
        value = (psi if rule.measure == "psi" else jensen_shannon)(reference, current)
    name = f"{rule.column} is more than {rule.at_most:g} from its reference ({rule.measure})"
    far = value > rule.at_most or (math.isnan(value) and bool(profile["rows"]))
    return TableRule(name, "distribution", rule.column, rule.severity, far, round(float(value), 4))
