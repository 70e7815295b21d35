"""The verb `split`: a table divided into training, validation and test rows, recorded and checked for leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from tidemill.core.errors import SchemaError, UsageError
from tidemill.data.expected import COLUMNS, LIST, NAMES, TEXT, require, require_set
from tidemill.data.request_contract import request_contract
from tidemill.data.split.assigning import REASONS, assign
from tidemill.data.split.checking import Leaking, overlaps, require_no_leak, require_rows, span
from tidemill.data.split.features import unfit_features
from tidemill.data.split.methods import ByOrigin, ByTime, SplitMethod
from tidemill.data.split.record import PARTS, Splits, SplitSpec, sealed
from tidemill.data.types import Tabular, collected, listed, physical_type, require_columns
from tidemill.engine.step import step

#: What is predicted where no column holds it.
UNKNOWN = "anomaly"


@step(stage="split")
def split(
    table: Tabular,
    method: SplitMethod,
    target: str | None,
    *,
    features: Sequence[str] | None = None,
    time: str | None = None,
    entity: str | Sequence[str] = (),
    forbid: Sequence[Leaking] = (),
) -> Splits:
    """Divide a table into training, validation and test rows; rows keep their order.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one.
    method
        Made by `by_time`, `by_share` or `by_group`, or one of the folds of `rolling_origin`.
    target
        The column to predict; rows where it is missing are left out and counted. None where nobody knows it: for
        finding anomalies, which will be called ``"anomaly"``.
    features
        The columns to predict from; by default every column but target, time, entity and other time columns.
    time, entity
        The time column of the rows, and the columns that name what a row is about.
    forbid
        Leaks that are an error and not only counted in ``spec.overlaps``: ``"same_row"``, ``"same_entity"``,
        ``"future_in_train"``.

    Raises
    ------
    DataError
        If a part would be empty.
    LeakError
        If the parts overlap in time or in groups, which a split of this method never does by itself, or in a way that
        is forbidden.

    Examples
    --------
    >>> trips = pl.DataFrame({"day": ["2013-01-01", "2013-01-02", "2013-01-03"], "miles": [1, 2, 3], "late": [0, 1, 0]})
    >>> trips = trips.with_columns(pl.col("day").str.to_date())
    >>> from tidemill.data.split.methods import by_time
    >>> parts = split(trips, by_time("2013-01-02", "2013-01-03", time="day"), "late")
    >>> parts.spec.rows, parts.spec.features
    ({'train': 1, 'validation': 1, 'test': 1}, ('miles',))
    """
    frame = collected(table)
    return split_table(frame, method, target, features=features, time=time, entity=entity, forbid=forbid, origin=table)


def _others(frame: pl.DataFrame, apart: set[str]) -> list[str]:
    return [name for name in frame.columns if name not in apart]


def split_table(
    frame: pl.DataFrame,
    method: SplitMethod,
    target: str | None,
    *,
    features: Sequence[str] | None = None,
    time: str | None = None,
    entity: str | Sequence[str] = (),
    forbid: Sequence[Leaking] = (),
    origin: Any = None,
) -> Splits:
    """`split` of a table in memory, inside another step; `origin` is the result that it came from."""
    if not isinstance(method, SplitMethod):
        raise UsageError("not a split method", value=method, hint="Use by_time(…), by_share(…) or by_group(…).")
    require("split", entity=(entity, NAMES), forbid=(forbid, LIST))
    require_set("split", target=(target, TEXT), time=(time, TEXT), features=(features, COLUMNS))
    keys = (entity,) if isinstance(entity, str) else tuple(entity)
    if isinstance(method, ByTime | ByOrigin) and method.time is not None:
        time = method.time
    known = [] if target is None else [target]
    if target is None and UNKNOWN in frame.columns:
        raise UsageError(f"the table has a column {UNKNOWN!r}", hint="Name it as the target, or rename it.")
    require_columns(frame, [*known, *keys, *([time] if time else [])], purpose="the split")
    apart = {*known, *keys, *([time] if time else [])}
    dropped = {} if features is not None else unfit_features(frame, apart)
    chosen = tuple(listed(features) if features is not None else _others(frame, {*apart, *dropped}))
    require_columns(frame, chosen, purpose="the split")
    left_out: dict[str, int] = {}
    if target is not None:
        frame = _without_nulls(frame, target, "missing target", left_out)
    if isinstance(method, ByTime | ByOrigin):
        frame = _without_nulls(frame, _time_column(frame, time), "missing time", left_out)
    part = assign(frame, method, time)
    left_out |= {reason: rows for code, reason in REASONS.items() if (rows := int((part == code).sum()))}
    tables = {name: frame.filter(pl.Series(part == index)) for index, name in enumerate(PARTS)}
    require_rows(tables, time)
    require_no_leak(tables, method, time)
    spec = SplitSpec(
        target=UNKNOWN if target is None else target,
        features=chosen,
        method=asdict(method),
        time=time,
        entity=keys,
        rows={name: item.height for name, item in tables.items()},
        spans={name: span(item[time]) for name, item in tables.items()} if time else {},
        left_out=left_out,
        dropped=dropped,
        overlaps=overlaps(tables, time=time, entity=keys, forbid=forbid),
        contract=carried_contract(origin, tables["train"], chosen),
    )
    return Splits(**tables, spec=sealed(spec))


def carried_contract(origin: Any, train: pl.DataFrame, features: Sequence[str]) -> dict[str, Any]:
    """What the contract of a validated (and perhaps cleaned) table asks of a single row; empty if there is none."""
    contract = getattr(origin, "contract", None)
    if contract is None:
        return {}
    return request_contract(contract, train, features, changed=getattr(origin, "changed", ()), strict=False)


def _time_column(frame: pl.DataFrame, time: str | None) -> str:
    """The column that a split by time goes by."""
    if time is None:
        raise UsageError("a split by time needs a time column", hint='Write by_time(…, time="COLUMN").')
    if not frame.schema[time].is_temporal():
        kind = physical_type(frame.schema[time])
        raise SchemaError(f"a split by time needs a column of times, not {kind}", value=time, hint="Parse it first.")
    return time


def _without_nulls(frame: pl.DataFrame, column: str, reason: str, left_out: dict[str, int]) -> pl.DataFrame:
    missing = frame[column].null_count()
    if missing:
        left_out[reason] = missing
        return frame.filter(pl.col(column).is_not_null())
    return frame
