"""How each stateless repair is done with Polars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, SchemaError
from tidemill.data import operations as ops
from tidemill.data.near_duplicates import first_of_similar
from tidemill.data.types import as_time_literal, physical_type, plain, polars_type, require_columns, time_zone_of

_EXAMPLES = 3
_HALF_A_DAY = pl.duration(hours=12)


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """A repaired table, the columns it concerned, how many values changed, and the rows taken out with the reason."""

    table: pl.DataFrame
    columns: tuple[str, ...]
    changed: int
    removed: pl.DataFrame | None = None
    reason: str = ""
    examples: tuple[tuple[Any, Any], ...] = ()


def _replaced(frame: pl.DataFrame, columns: dict[str, pl.Expr], purpose: str) -> Effect:
    """Replace columns by expressions, counting the values that change."""
    require_columns(frame, columns, purpose=purpose)
    table = frame.with_columns(**columns)
    flags = {name: frame[name].ne_missing(table[name]) for name in columns}
    examples = tuple(
        (plain(before), plain(after))
        for name, flag in flags.items()
        for before, after in zip(
            frame[name].filter(flag).head(_EXAMPLES), table[name].filter(flag).head(_EXAMPLES), strict=True
        )
    )
    changed = sum(int(flag.sum()) for flag in flags.values())
    return Effect(table, tuple(columns), changed, examples=examples[:_EXAMPLES])


def _added(frame: pl.DataFrame, into: str, expression: pl.Expr) -> Effect:
    table = frame.with_columns(expression.alias(into))
    return Effect(table, (into,), table[into].count())


def _parse_hhmm(frame: pl.DataFrame, operation: ops.ParseHhmm) -> Effect:
    date = (operation.date,) if isinstance(operation.date, str) else operation.date
    after = () if operation.after is None else (operation.after,)
    require_columns(frame, [operation.column, *date, *after], purpose="parse_hhmm")
    clock = pl.col(operation.column).cast(pl.Int64, strict=False)
    hours, minutes = clock // 100, clock % 100
    midnight = clock == 2400
    is_clock = ((hours < 24) & (minutes < 60) & (clock >= 0)) | midnight
    day = pl.col(date[0]).cast(pl.Date) if len(date) == 1 else pl.date(*(pl.col(name) for name in date))
    # Built from the calendar day and not by adding hours, so that days of 23 and 25 hours come out right.
    next_day = day + pl.duration(days=pl.when(midnight).then(1).otherwise(0))
    local = next_day.cast(pl.Datetime("us")) + pl.duration(hours=hours % 24, minutes=minutes)
    moment = pl.when(is_clock).then(local)
    table = frame.with_columns(_localised(moment, operation.zone).alias(operation.into))
    if operation.after is not None:
        here, other = pl.col(operation.into), pl.col(operation.after)
        tomorrow = _localised(pl.when(is_clock).then(local + pl.duration(days=1)), operation.zone)
        table = table.with_columns(
            pl.when(here < other - _HALF_A_DAY).then(tomorrow).otherwise(here).alias(operation.into)
        )
    return Effect(table, (operation.column, operation.into), table[operation.into].count())


def _localised(local: pl.Expr, zone: str | None, ambiguous: ops.Ambiguous = "earliest") -> pl.Expr:
    """A clock time of a zone as a moment in UTC; without a zone, as it is."""
    if zone is None:
        return local
    return local.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null").dt.convert_time_zone("UTC")


def _parse_time(frame: pl.DataFrame, operation: ops.ParseTime) -> Effect:
    require_columns(frame, [operation.column], purpose="parse_time")
    column = pl.col(operation.column)
    if operation.zone is not None:
        parsed = column.str.to_datetime(operation.format, strict=False, time_unit="us")
        return _retyped(frame, operation.column, _localised(parsed, operation.zone))
    if operation.format is not None and not any(
        code in operation.format for code in ("%H", "%I", "%T", "%+", "%R", "%s")
    ):
        return _retyped(frame, operation.column, column.str.to_date(operation.format, strict=False))
    return _retyped(frame, operation.column, column.str.to_datetime(operation.format, strict=False, time_unit="us"))


def _retyped(frame: pl.DataFrame, column: str, expression: pl.Expr) -> Effect:
    table = frame.with_columns(expression.alias(column))
    return Effect(table, (column,), table[column].count())


def _to_timezone(frame: pl.DataFrame, operation: ops.ToTimezone) -> Effect:
    require_columns(frame, [operation.column], purpose="to_timezone")
    dtype = frame.schema[operation.column]
    if not isinstance(dtype, pl.Datetime):
        raise SchemaError(
            f"to_timezone needs a time; column {operation.column!r} is {physical_type(dtype)}", hint="Parse it first."
        )
    column = pl.col(operation.column)
    if time_zone_of(dtype) is None:
        if operation.assume is None:
            raise SchemaError(
                f"column {operation.column!r} has no time zone", hint='Say which clock wrote it: assume="UTC".'
            )
        column = _localised(column, operation.assume, operation.ambiguous)
    return _retyped_into(frame, operation, column.dt.convert_time_zone(operation.zone))


def _retyped_into(frame: pl.DataFrame, operation: ops.ToTimezone, expression: pl.Expr) -> Effect:
    into = operation.into or operation.column
    table = frame.with_columns(expression.alias(into))
    return Effect(table, tuple(dict.fromkeys((operation.column, into))), table[into].count())


def _drop_columns(frame: pl.DataFrame, operation: ops.DropColumns) -> Effect:
    require_columns(frame, operation.columns, purpose="drop_columns")
    return Effect(frame.drop(operation.columns), operation.columns, len(operation.columns))


def _rename(frame: pl.DataFrame, operation: ops.Rename) -> Effect:
    require_columns(frame, operation.names, purpose="rename")
    return Effect(frame.rename(dict(operation.names)), tuple(operation.names), len(operation.names))


def _cast(frame: pl.DataFrame, operation: ops.Cast) -> Effect:
    require_columns(frame, [operation.column], purpose="cast")
    return _retyped(frame, operation.column, pl.col(operation.column).cast(polars_type(operation.type), strict=False))


def _null_outside(frame: pl.DataFrame, operation: ops.NullOutside) -> Effect:
    _require_range(operation)
    column = pl.col(operation.column)
    inside = pl.lit(value=True)
    if operation.minimum is not None:
        inside &= column >= operation.minimum
    if operation.maximum is not None:
        inside &= column <= operation.maximum
    return _replaced(frame, {operation.column: pl.when(inside).then(column)}, "null_outside")


def _null_values(frame: pl.DataFrame, operation: ops.NullValues) -> Effect:
    require_columns(frame, operation.columns, purpose="null_values")
    changes: dict[str, pl.Expr] = {}
    for name in operation.columns:
        dtype = frame.schema[name]
        if dtype in (pl.Date, pl.Datetime):
            times = [as_time_literal(value, dtype, purpose="null_values") for value in operation.values]
            changes[name] = pl.when(~pl.any_horizontal(pl.col(name) == time for time in times)).then(pl.col(name))
            continue
        values = [value for value in operation.values if isinstance(value, str) == (dtype == pl.String)]
        if values:
            given = pl.any_horizontal(pl.col(name) == value for value in values)
            changes[name] = pl.when(~given).then(pl.col(name))
    return _replaced(frame, changes, "null_values") if changes else Effect(frame, operation.columns, 0)


def _fill_constant(frame: pl.DataFrame, operation: ops.FillConstant) -> Effect:
    require_columns(frame, [operation.column], purpose="fill_constant")
    value = pl.lit(operation.value).cast(frame.schema[operation.column])
    return _replaced(frame, {operation.column: pl.col(operation.column).fill_null(value)}, "fill_constant")


def _normalise_text(frame: pl.DataFrame, operation: ops.NormaliseText) -> Effect:
    changes = {}
    for name in operation.columns:
        text = pl.col(name).str.strip_chars().str.replace_all(r"\s+", " ")
        if operation.case != "keep":
            text = text.str.to_lowercase() if operation.case == "lower" else text.str.to_uppercase()
        changes[name] = text
    return _replaced(frame, changes, "normalise_text")


def _merge_categories(frame: pl.DataFrame, operation: ops.MergeCategories) -> Effect:
    column = pl.col(operation.column).cast(pl.String)
    merged = column.replace(dict(operation.names)) if operation.names else column
    if operation.keep is not None:
        known = [*operation.keep, *operation.names.values()]
        merged = pl.when(merged.is_null() | merged.is_in(known)).then(merged).otherwise(pl.lit(operation.other))
    return _replaced(frame.with_columns(column), {operation.column: merged}, "merge_categories")


def _derive(frame: pl.DataFrame, operation: ops.Derive) -> Effect:
    return _added(frame, operation.into, pl.sql_expr(operation.expression))


def _filter_rows(frame: pl.DataFrame, operation: ops.FilterRows) -> Effect:
    condition = pl.sql_expr(operation.condition)
    used = tuple(dict.fromkeys(condition.meta.root_names()))
    require_columns(frame, used, purpose="filter_rows")
    keep = frame.select(condition.fill_null(value=False).alias("keep"))["keep"]
    return Effect(frame.filter(keep), used, 0, frame.filter(~keep), operation.reason)


def _deduplicate(frame: pl.DataFrame, operation: ops.Deduplicate) -> Effect:
    require_columns(frame, operation.columns, purpose="deduplicate")
    key = pl.struct(operation.columns)
    chosen = key.is_first_distinct() if operation.keep == "first" else key.is_last_distinct()
    keep = frame.select(chosen.alias("keep"))["keep"]
    reason = f"({', '.join(operation.columns)}) repeats"
    return Effect(frame.filter(keep), operation.columns, 0, frame.filter(~keep), reason)


def _missing(name: str, dtype: pl.DataType) -> pl.Expr:
    """Null, and of floats NaN as well."""
    column = pl.col(name)
    return column.is_null() | column.is_nan() if dtype.is_float() else column.is_null()


def _drop_missing(frame: pl.DataFrame, operation: ops.DropMissing) -> Effect:
    require_columns(frame, operation.columns, purpose="drop_missing")
    schema = frame.schema
    flags = [_missing(name, schema[name]) for name in operation.columns]
    gone = pl.any_horizontal(flags) if operation.how == "any" else pl.all_horizontal(flags)
    keep = frame.select((~gone).alias("keep"))["keep"]
    joined = " or " if operation.how == "any" else " and "
    reason = f"{joined.join(operation.columns)} is missing"
    return Effect(frame.filter(keep), operation.columns, 0, frame.filter(~keep), reason)


def _deduplicate_similar(frame: pl.DataFrame, operation: ops.DeduplicateSimilar) -> Effect:
    require_columns(frame, [*operation.columns, *operation.within], purpose="deduplicate_similar")
    texts = frame.select(
        pl.concat_str([pl.col(name).cast(pl.String) for name in operation.columns], separator=" ", ignore_nulls=True)
        .alias("text")
    )["text"]  # fmt: skip
    within = frame.select(operation.within).rows() if operation.within else None
    first = first_of_similar(texts.to_list(), operation.similarity, within)
    keep = pl.Series([place == other for place, other in enumerate(first)], dtype=pl.Boolean)
    reason = f"({', '.join(operation.columns)}) nearly repeats an earlier row"
    return Effect(frame.filter(keep), operation.columns, 0, frame.filter(~keep), reason)


def _forward_fill(frame: pl.DataFrame, operation: ops.ForwardFill) -> Effect:
    order = () if operation.order is None else (operation.order,)
    require_columns(frame, [operation.column, *operation.by, *order], purpose="forward_fill")
    filled = pl.col(operation.column).forward_fill(operation.limit)
    if operation.by or operation.order:
        # A constant group, so that an order alone is a window too.
        filled = filled.over(list(operation.by) or pl.lit(1), order_by=operation.order)
    return _replaced(frame, {operation.column: filled}, "forward_fill")


def _indicator(frame: pl.DataFrame, operation: ops.Indicator) -> Effect:
    require_columns(frame, [operation.column], purpose="indicator")
    return _added(frame, f"{operation.column}__missing", _missing(operation.column, frame.schema[operation.column]))


def _clip(frame: pl.DataFrame, operation: ops.Clip) -> Effect:
    _require_range(operation)
    # A float that is no number stays one.
    clipped = pl.col(operation.column).clip(operation.minimum, operation.maximum)
    return _replaced(frame, {operation.column: clipped}, "clip")


def _require_range(operation: ops.NullOutside | ops.Clip) -> None:
    low, high = operation.minimum, operation.maximum
    if low is not None and high is not None and low > high:
        raise ConfigError(
            f"the minimum of {operation.kind!r} on {operation.column!r} is above its maximum",
            value=(low, high),
            hint="Swap them.",
        )


def _log(frame: pl.DataFrame, operation: ops.Log) -> Effect:
    number = pl.col(operation.column).cast(pl.Float64)
    return _replaced(
        frame.with_columns(number) if operation.column in frame.columns else frame,
        {operation.column: number.sign() * number.abs().log1p()},
        "log",
    )


def _bin(frame: pl.DataFrame, operation: ops.Bin) -> Effect:
    require_columns(frame, [operation.column], purpose="bin")
    number = pl.col(operation.column)
    places: pl.Expr = pl.sum_horizontal((number >= edge).cast(pl.Int64) for edge in operation.edges)
    known = (
        number.is_not_null() & ~number.is_nan() if frame.schema[operation.column].is_float() else number.is_not_null()
    )
    return _added(frame, operation.into or operation.column, pl.when(known).then(places))


def _convert_unit(frame: pl.DataFrame, operation: ops.ConvertUnit) -> Effect:
    require_columns(frame, [operation.column], purpose="convert_unit")
    number = pl.col(operation.column).cast(pl.Float64)
    converted = number * operation.factor + operation.offset
    if operation.where is not None:
        converted = pl.when(pl.sql_expr(operation.where)).then(converted).otherwise(number)
    return _replaced(frame.with_columns(number), {operation.column: converted}, "convert_unit")


def _repair_encoding(frame: pl.DataFrame, operation: ops.RepairEncoding) -> Effect:
    require_columns(frame, operation.columns, purpose="repair_encoding")
    changes = {}
    for name in operation.columns:
        words = frame[name].drop_nulls().unique()
        repaired = {word: better for word in words if (better := _reread(word)) != word}
        changes[name] = pl.col(name).replace(repaired) if repaired else pl.col(name)
    return _replaced(frame, changes, "repair_encoding")


def _reread(word: str) -> str:
    """Text as UTF-8 if its bytes in Latin-1 or Windows-1252 are that, and as it is otherwise."""
    for wrong in ("latin-1", "cp1252"):
        try:
            return word.encode(wrong).decode("utf-8")
        except UnicodeError:
            continue
    return word


STEPS: dict[str, Callable[[pl.DataFrame, Any], Effect]] = {
    "parse_hhmm": _parse_hhmm,
    "parse_time": _parse_time,
    "to_timezone": _to_timezone,
    "drop_columns": _drop_columns,
    "rename": _rename,
    "cast": _cast,
    "null_outside": _null_outside,
    "null_values": _null_values,
    "fill_constant": _fill_constant,
    "normalise_text": _normalise_text,
    "merge_categories": _merge_categories,
    "derive": _derive,
    "filter_rows": _filter_rows,
    "deduplicate": _deduplicate,
    "drop_missing": _drop_missing,
    "deduplicate_similar": _deduplicate_similar,
    "forward_fill": _forward_fill,
    "indicator": _indicator,
    "clip": _clip,
    "log": _log,
    "bin": _bin,
    "convert_unit": _convert_unit,
    "repair_encoding": _repair_encoding,
}
