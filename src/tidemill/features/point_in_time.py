"""The point-in-time join: what was known about an entity at the moment of each row, and nothing that came later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import SchemaError, UsageError
from tidemill.data.moments import duration, moment
from tidemill.data.types import Tabular, collected, physical_type, require_columns, time_zone_of
from tidemill.engine.step import step
from tidemill.features.aggregations import Aggregation
from tidemill.features.view import FeatureView, ViewDefinition
from tidemill.features.windows import Ints, Moments, counts, largest, sums, until

_UNITS = {"us": 1_000_000, "ns": 1_000_000_000}


@step(stage="features")
def point_in_time(
    labels: Tabular,
    views: Sequence[tuple[FeatureView | ViewDefinition, Tabular]],
    at: str,
    *,
    ttl: str | None = None,
    allow_exact: bool = True,
) -> pl.DataFrame:
    """Add the features of each view as they were known at the moment of each row.

    An event counts for a row when its entity is the row's, it is known by then (``available_at <= at``) and it happened
    within the window (``event_time > at - over``). Neither table need be sorted; every row of `labels` comes back once,
    in its place. A row without an entity or a time gets missing features.

    Parameters
    ----------
    labels
        The rows to predict.
    views
        Feature views, each with the table of its events.
    at
        When each row is predicted: a time column, as it is or shifted (``"sched_dep - 2h"``).
    ttl
        The window of aggregations that have none.
    allow_exact
        Whether an event that becomes known at the very moment counts.

    Returns
    -------
    polars.DataFrame
        `labels` with one column per feature, ``VIEW__FEATURE``: counts as int64; sums, means and shares as float64;
        minimum, maximum and last with the type of their column.

    Raises
    ------
    SchemaError
        If a column is missing or types do not fit, such as a time with a zone against one without.

    Notes
    -----
    O((rows + events) log(rows)) time per window, O(rows + events) memory.

    Examples
    --------
    >>> from tidemill.features.aggregations import count, mean
    >>> view = FeatureView(
    ...     "route", "landings", "dest", "landed", {"n": count(over="3h"), "delay": mean("delay", over="3h")}
    ... )
    >>> landings = pl.DataFrame({"dest": ["IAH"] * 3, "landed": [1, 4, 9], "delay": [5.0, 15.0, 99.0]})
    >>> landings = landings.with_columns(pl.datetime(2013, 1, 1, pl.col("landed")).alias("landed"))
    >>> trips = pl.DataFrame({"dest": ["IAH", "MIA"], "hour": [5, 5]})
    >>> trips = trips.with_columns(pl.datetime(2013, 1, 1, pl.col("hour")).alias("at"))
    >>> point_in_time(trips, [(view, landings)], "at").select("route__n", "route__delay").rows()
    [(1, 15.0), (0, None)]
    """
    frame = collected(labels)
    when = moment(at)
    require_columns(frame, [str(when.column)], purpose="the point-in-time join")
    times = frame.select(when.expression().alias("at"))["at"]
    added: list[pl.Series] = []
    ordered: dict[tuple[str, ...], tuple[pl.DataFrame, Moments]] = {}
    for view, events in views:
        definition = view.definition if isinstance(view, FeatureView) else view
        _refuse_repeats(definition, [*frame.columns, *(series.name for series in added)])
        table = _events(definition, collected(events), times)
        unit = "ns" if "ns" in (_unit(times), _unit(table["happened"]), _unit(table["known"])) else "us"
        where = (*definition.keys, unit)
        if where not in ordered:
            ordered[where] = _ordered_moments(frame, definition, times, unit)
        entities, moments = ordered[where]
        added += _features(definition, table, entities, moments, unit, ttl, allow_exact=allow_exact)
    return frame.with_columns(added)


def _refuse_repeats(definition: ViewDefinition, present: Sequence[str]) -> None:
    repeated = [name for feature in definition.features if (name := f"{definition.name}__{feature}") in present]
    if repeated:
        raise UsageError("columns of these names exist already", value=repeated, hint="Give the view another name.")


def _events(definition: ViewDefinition, events: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
    """The columns that the view needs, with ``happened`` and ``known``; events that can never count are left out."""
    happened = moment(definition.event_time)
    known = moment(definition.available_at) if definition.available_at else happened
    used = {name for name in (item.column for item in definition.features.values()) if name is not None}
    needed = [*definition.keys, str(happened.column), str(known.column), *used]
    require_columns(events, dict.fromkeys(needed), purpose=f"feature view {definition.name!r}")
    table = events.select(
        *[pl.col(name).alias(f"key:{name}") for name in definition.keys],
        *[pl.col(name).alias(f"value:{name}") for name in sorted(used)],
        happened.expression().alias("happened"),
        known.expression().alias("known"),
    )
    for name in ("happened", "known"):
        _same_kind_of_time(times, table[name], definition.name)
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in ("happened", "known"))
    return table.filter(complete)


def _same_kind_of_time(times: pl.Series, other: pl.Series, view: str) -> None:
    for series in (times, other):
        if series.dtype.base_type() not in (pl.Datetime, pl.Date):
            raise SchemaError(
                f"column {series.name!r} is {physical_type(series.dtype)} and not a time (feature view {view!r})",
                hint="Parse it into a date or a time.",
            )
    if (time_zone_of(times.dtype) is None) != (time_zone_of(other.dtype) is None):
        raise SchemaError(
            f"times with and without a zone cannot be compared (feature view {view!r})",
            value=(physical_type(times.dtype), physical_type(other.dtype)),
            hint="Localise the one without.",
        )


def _unit(times: pl.Series) -> str:
    return times.dtype.time_unit if isinstance(times.dtype, pl.Datetime) else "us"


def _numbers(times: pl.Series, unit: str) -> Ints:
    """Times as whole units since the epoch; missing ones as 0."""
    dtype = pl.Datetime("ns" if unit == "ns" else "us", time_zone_of(times.dtype))
    numbers: Ints = times.cast(dtype).to_physical().fill_null(0).to_numpy()
    return numbers


def _ordered_moments(
    frame: pl.DataFrame, definition: ViewDefinition, times: pl.Series, unit: str
) -> tuple[pl.DataFrame, Moments]:
    """The entities of the rows with their codes, and the moments in order."""
    keys = list(definition.keys)
    require_columns(frame, keys, purpose=f"feature view {definition.name!r}")
    if not keys:
        entities = pl.DataFrame({"code": [0]}, schema={"code": pl.Int64})
        codes = pl.repeat(0, frame.height, dtype=pl.Int64, eager=True)
    else:
        rows = frame.select(pl.col(name).alias(f"key:{name}") for name in keys)
        entities = rows.unique().drop_nulls().with_row_index("code").with_columns(pl.col("code").cast(pl.Int64))
        codes = rows.join(entities, on=rows.columns, how="left", maintain_order="left")["code"]
    codes = pl.select(pl.when(times.is_null()).then(None).otherwise(codes)).to_series()
    return entities, Moments(codes.fill_null(-1).to_numpy(), _numbers(times, unit))


def _features(
    definition: ViewDefinition,
    table: pl.DataFrame,
    entities: pl.DataFrame,
    moments: Moments,
    unit: str,
    ttl: str | None,
    *,
    allow_exact: bool,
) -> list[pl.Series]:
    """One column per feature, in the order of the rows."""
    keys = [name for name in entities.columns if name != "code"]
    if keys:
        _same_key_types(table, entities, definition.name)
        table = table.join(entities, on=keys, how="inner", maintain_order="left")
    else:
        table = table.with_columns(code=pl.lit(0, pl.Int64))
    # In this order the latest event of an entity is its last one (ties: the order of the rows), and the binary
    # searches below walk through memory instead of jumping.
    table = table.sort("code", "happened", "known", maintain_order=True)
    codes: Ints = table["code"].to_numpy()
    happened, known = _numbers(table["happened"], unit), _numbers(table["known"], unit)
    begin = moments.positions(codes, known if allow_exact else known + 1)
    ends: dict[str | None, Ints] = {}
    unknown = pl.Series(moments.codes < 0)
    out = []
    for feature, aggregation in definition.features.items():
        over = aggregation.over or ttl
        if over not in ends:
            window = None if over is None else duration(over) // timedelta(microseconds=1) * (_UNITS[unit] // 1_000_000)
            ends[over] = np.maximum(moments.positions(codes, until(happened, known, window)), begin)
        values = None if aggregation.column is None else _values(table[f"value:{aggregation.column}"])
        series = _aggregate(aggregation, begin, ends[over], values, moments)
        masked = pl.select(pl.when(unknown).then(None).otherwise(series)).to_series()
        out.append(masked.alias(f"{definition.name}__{feature}"))
    return out


def _same_key_types(table: pl.DataFrame, entities: pl.DataFrame, view: str) -> None:
    for name, kind in entities.schema.items():
        if name != "code" and table.schema[name] != kind:
            raise SchemaError(
                f"entity column {name.removeprefix('key:')!r} differs in type between the rows and view {view!r}",
                value=(physical_type(kind), physical_type(table.schema[name])),
                hint="Cast one of them.",
            )


def _values(column: pl.Series) -> pl.Series:
    """The column with NaN as missing."""
    return column.fill_nan(None) if column.dtype.is_float() else column


def _aggregate(
    aggregation: Aggregation,
    begin: Ints,
    end: Ints,
    values: pl.Series | None,
    moments: Moments,
) -> pl.Series:
    """One feature for each row; the events come in the order of entity and time."""
    size = len(moments)
    if values is None:
        return pl.Series(moments.unsorted(counts(begin, end, size)))
    present = values.is_not_null().to_numpy()
    begin, end, values = begin[present], end[present], values.drop_nulls()
    if aggregation.kind in ("min", "max", "last"):
        position = np.arange(values.len(), dtype=np.int64)
        if aggregation.kind != "last":
            order: Ints = values.arg_sort(descending=aggregation.kind == "min").cast(pl.Int64).to_numpy()
            values = values.gather(order)
            position[order] = np.arange(len(order))
        best = pl.Series(moments.unsorted(largest(begin, end, position, size, -1)))
        return values.gather(pl.select(pl.when(best >= 0).then(best)).to_series())
    number = counts(begin, end, size)
    if aggregation.kind == "count":
        return pl.Series(moments.unsorted(number))
    total = sums(begin, end, _as_floats(values, aggregation), size)
    if aggregation.kind == "sum":
        return pl.Series(moments.unsorted(total))
    averages = np.divide(total, number, out=np.full(size, np.nan), where=number > 0)
    return pl.Series(moments.unsorted(averages)).fill_nan(None)


def _as_floats(values: pl.Series, aggregation: Aggregation) -> np.ndarray[Any, np.dtype[np.float64]]:
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        raise SchemaError(
            f"{aggregation.kind} needs numbers or flags and {aggregation.column!r} is {physical_type(values.dtype)}",
            hint="Cast it, or aggregate another column.",
        )
    if aggregation.kind == "share" and values.dtype != pl.Boolean and not values.is_in([0, 1]).all():
        raise SchemaError(
            f"share needs a flag; column {aggregation.column!r} holds other values than 0 and 1", hint="Use mean."
        )
    floats: np.ndarray[Any, np.dtype[np.float64]] = values.cast(pl.Float64).to_numpy()
    return floats
