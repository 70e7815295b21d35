"""From a contract to Polars: what is wrong with a table's structure, and a flag for each rule that a row can break."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from tidemill.core.errors import NotFoundError
from tidemill.data.contract import ColumnRule, ForeignKey, Monotone, Severity, TableContract, Unique
from tidemill.data.expressions import condition_of
from tidemill.data.types import as_time_literal, physical_type, require_columns


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule that is checked row by row: `broken` is true where a row breaks it."""

    name: str
    kind: str
    columns: tuple[str, ...]
    severity: Severity
    broken: pl.Expr


def structure_breaks(frame: pl.DataFrame, contract: TableContract) -> list[str]:
    """What makes the table unusable as a whole, one phrase each: columns, types, number of rows."""
    out = []
    if frame.height < contract.min_rows:
        out.append(f"it has {frame.height:,} rows, fewer than min_rows = {contract.min_rows:,}")
    if contract.max_rows is not None and frame.height > contract.max_rows:
        out.append(f"it has {frame.height:,} rows, more than max_rows = {contract.max_rows:,}")
    schema = frame.schema
    for rule in contract.columns:
        if rule.name not in schema:
            if rule.required:
                out.append(f"column {rule.name!r} is missing")
        elif rule.type is not None and not _is_of_type(schema[rule.name], rule.type):
            out.append(f"column {rule.name!r} is {physical_type(schema[rule.name])} instead of {rule.type}")
    if not contract.extra_columns:
        known = {rule.name for rule in contract.columns}
        out += [f"column {name!r} is not in the contract" for name in frame.columns if name not in known]
    return out


def _is_of_type(dtype: pl.DataType, wanted: str) -> bool:
    if wanted == "number":
        return dtype.is_numeric()
    name = physical_type(dtype)
    return name == wanted or (wanted == "timestamp" and name.startswith("timestamp["))


def row_rules(frame: pl.DataFrame, contract: TableContract, references: Mapping[str, pl.DataFrame]) -> list[RowRule]:
    """Every rule of the contract that a row can break."""
    schema = frame.schema
    out = [
        rule for column in contract.columns if column.name in schema for rule in _of_column(schema[column.name], column)
    ]
    out += [_unique(frame, rule) for rule in contract.unique]
    out += [_foreign_key(frame, rule, references) for rule in contract.foreign_keys]
    out += [_monotone(frame, rule) for rule in contract.monotone]
    for check in contract.checks:
        condition = condition_of(check)
        used = tuple(name for name in condition.meta.root_names() if name in frame.columns)
        out.append(RowRule(check.name, "check", tuple(dict.fromkeys(used)), check.severity, ~condition))
    return out


def _of_column(dtype: pl.DataType, rule: ColumnRule) -> Iterator[RowRule]:
    column = pl.col(rule.name)

    def of(kind: str, name: str, broken: pl.Expr) -> RowRule:
        return RowRule(name, kind, (rule.name,), rule.severity, broken)

    if not rule.nullable:
        missing = column.is_null() | column.is_nan() if dtype.is_float() else column.is_null()
        yield of("nulls", f"{rule.name} is missing", missing)
    if rule.minimum is not None:
        yield of("range", f"{rule.name} < {_shown(rule.minimum)}", column < _bound(rule.minimum, dtype, rule.name))
    if rule.maximum is not None:
        above = column > _bound(rule.maximum, dtype, rule.name)
        yield of(
            "range", f"{rule.name} > {_shown(rule.maximum)}", above & ~column.is_nan() if dtype.is_float() else above
        )
    if rule.values is not None:
        allowed = _as(pl.Series(rule.values, strict=False), dtype)
        yield of("set", f"{rule.name} not in its set", column.is_not_null() & ~column.is_in(allowed.implode()))
    if rule.pattern is not None:
        matches = column.cast(pl.String).str.contains(f"^(?:{rule.pattern})$")
        yield of("pattern", f"{rule.name} does not match {rule.pattern}", ~matches)


def _as(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Those values that a column of this type can hold; a fraction is no whole number."""
    if dtype.is_integer() and (values.dtype.is_float() or values.dtype.is_decimal()):
        values = values.filter(values.cast(pl.Float64) % 1 == 0)
    return values.cast(dtype, strict=False).drop_nulls()


def _shown(bound: float | str) -> str:
    return bound if isinstance(bound, str) else f"{bound:g}" if abs(bound) < 1e6 else f"{bound:,.0f}"


def _bound(bound: float | str, dtype: pl.DataType, column: str) -> pl.Expr:
    if dtype.is_temporal():
        return as_time_literal(str(bound), dtype, purpose=f"the range of {column!r}")
    return pl.lit(bound)


def _unique(frame: pl.DataFrame, rule: Unique) -> RowRule:
    require_columns(frame, rule.columns, purpose="a unique key")
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in rule.columns)
    key = pl.col(rule.columns[0]) if len(rule.columns) == 1 else pl.struct(rule.columns)
    repeated = complete & ~key.is_first_distinct()
    return RowRule(f"({', '.join(rule.columns)}) repeats", "unique", rule.columns, rule.severity, repeated)


def _monotone(frame: pl.DataFrame, rule: Monotone) -> RowRule:
    require_columns(frame, [rule.column, *rule.by], purpose="a monotone column")
    column = pl.col(rule.column)
    # What is missing neither rises nor falls.
    so_far = column.cum_max().forward_fill().shift(1)
    falls = column <= so_far if rule.strict else column < so_far
    broken = falls.over(rule.by) if rule.by else falls
    name = f"{rule.column} {'does not rise' if rule.strict else 'falls'}"
    return RowRule(name, "monotone", (rule.column,), rule.severity, broken)


def _foreign_key(frame: pl.DataFrame, rule: ForeignKey, references: Mapping[str, pl.DataFrame]) -> RowRule:
    require_columns(frame, rule.columns, purpose=f"the foreign key into {rule.table!r}")
    if rule.table not in references:
        raise NotFoundError(
            "a foreign key points into a table that was not given",
            value=rule.table,
            hint=f"Pass references={{{rule.table!r}: table}}.",
        )
    reference = references[rule.table]
    require_columns(reference, rule.to, purpose=f"the foreign key into {rule.table!r}")
    name = f"{', '.join(rule.columns)} not in {rule.table}"
    return RowRule(name, "foreign_key", rule.columns, rule.severity, orphan(frame, rule.columns, reference, rule.to))


def orphan(frame: pl.DataFrame, columns: tuple[str, ...], reference: pl.DataFrame, to: tuple[str, ...]) -> pl.Expr:
    """True where the values of `columns`, none of them missing, are in no row of the reference."""
    if len(columns) == 1:
        known = _as(reference[to[0]].drop_nulls().unique(), frame.schema[columns[0]])
        return pl.col(columns[0]).is_not_null() & ~pl.col(columns[0]).is_in(known.implode())
    keys = reference.select(pl.col(there).alias(here) for here, there in zip(columns, to, strict=True)).unique()
    found = frame.select(columns).join(
        keys.with_columns(found=pl.lit(value=True)), on=list(columns), how="left", maintain_order="left"
    )["found"]
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in columns)
    return complete & pl.lit(found.is_null())
