"""Which part each row of a table belongs to."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import UsageError
from tidemill.data.moments import duration
from tidemill.data.split.methods import ByGroup, ByOrigin, ByShare, ByTime, SplitMethod
from tidemill.data.types import as_time_literal, require_columns

#: For each row the index of its part; a negative number for none.
Assigned: TypeAlias = NDArray[np.int8]

#: Why a row is in no part, by its number.
REASONS = {-1: "embargo", -2: "entity of an earlier part", -3: "before the window", -4: "of a later fold"}


def assign(frame: pl.DataFrame, method: SplitMethod, time: str | None) -> Assigned:
    """For each row the index of its part, or a number of `REASONS`."""
    if isinstance(method, ByTime):
        return _by_time(frame, method, str(time))
    if isinstance(method, ByOrigin):
        return _by_origin(frame, method, str(time))
    rng = np.random.default_rng(method.seed)
    if isinstance(method, ByShare):
        return _stratified(frame, method, rng) if method.stratify else _drawn(frame.height, method, rng)
    require_columns(frame, method.columns, purpose="the split by group")
    codes = _codes(frame, method.columns)
    drawn: Assigned = _drawn(int(codes.max(initial=-1)) + 1, method, rng)[codes]
    return drawn


def _codes(frame: pl.DataFrame, columns: tuple[str, ...]) -> NDArray[np.int64]:
    """The number of each row's group; rows without a name in `columns` are one group."""
    groups = frame.select(pl.struct(columns).rank("dense").alias("group") - 1)["group"]
    return groups.cast(pl.Int64).to_numpy()


def _drawn(count: int, method: ByShare | ByGroup, rng: np.random.Generator) -> Assigned:
    part = np.full(count, 2, dtype=np.int8)
    order = rng.permutation(count)
    first, second = round(count * method.train), round(count * (method.train + method.validation))
    part[order[:first]] = 0
    part[order[first:second]] = 1
    return part


def _stratified(frame: pl.DataFrame, method: ByShare, rng: np.random.Generator) -> Assigned:
    """Draw within each stratum; what rounding leaves over goes where it is most lacking, so that the shares hold."""
    require_columns(frame, method.stratify, purpose="the stratified split")
    codes = _codes(frame, method.stratify)
    part = np.full(frame.height, 2, dtype=np.int8)
    shares = np.array([method.train, method.validation, 1 - method.train - method.validation])
    lacking = np.zeros(3)
    # Shuffled first, sorted by stratum after: every stratum is drawn with one permutation of all rows.
    order = rng.permutation(frame.height)
    order = order[np.argsort(codes[order], kind="stable")]
    _, starts = np.unique(codes[order], return_index=True)
    for rows in np.split(order, starts[1:]):
        wanted = len(rows) * shares + lacking
        counts = np.maximum(np.floor(wanted), 0).astype(np.int64)
        rest = len(rows) - int(counts.sum())
        counts[np.argsort(counts - wanted, kind="stable")[: max(rest, 0)]] += 1
        counts[2] = len(rows) - counts[0] - counts[1]
        lacking = wanted - counts
        part[rows[: counts[0]]] = 0
        part[rows[counts[0] : counts[0] + counts[1]]] = 1
    return part


def _by_time(frame: pl.DataFrame, method: ByTime, time: str) -> Assigned:
    dtype = frame.schema[time]
    first = as_time_literal(method.validation_from, dtype, purpose="validation_from")
    second = as_time_literal(method.test_from, dtype, purpose="test_from")
    if not frame.select((first < second).alias("ordered")).item(0, 0):
        raise UsageError(
            "the test part must begin after the validation part",
            value=(method.validation_from, method.test_from),
            hint="Give the earlier moment first.",
        )
    column = pl.col(time)
    part = pl.when(column < first).then(0).when(column < second).then(1).otherwise(2)
    part = pl.when(_held(column, (first, second), method.embargo)).then(-1).otherwise(part)
    assigned = _evaluated(frame, part)
    return _disjoint(frame, method, assigned) if method.disjoint else assigned


def _by_origin(frame: pl.DataFrame, method: ByOrigin, time: str) -> Assigned:
    dtype, column = frame.schema[time], pl.col(time)
    origin, until, test_from = (
        as_time_literal(moment, dtype, purpose="a moment of the rolling origin")
        for moment in (method.origin, method.until, method.test_from)
    )
    part = pl.when(column < origin).then(0).when(column < until).then(1).when(column < test_from).then(-4).otherwise(2)
    if method.window is not None:
        part = pl.when(column < origin - duration(method.window)).then(-3).otherwise(part)
    part = pl.when(_held(column, (origin, test_from), method.embargo)).then(-1).otherwise(part)
    return _evaluated(frame, part)


def _held(column: pl.Expr, boundaries: tuple[pl.Expr, pl.Expr], embargo: str | None) -> pl.Expr:
    """Whether a row lies within the embargo before a boundary."""
    if embargo is None:
        return pl.lit(value=False)
    gap = duration(embargo)
    one, other = ((column >= boundary - gap) & (column < boundary) for boundary in boundaries)
    return one | other


def _disjoint(frame: pl.DataFrame, method: ByTime, assigned: Assigned) -> Assigned:
    """Leave out rows of a later part whose entity is in an earlier one; a row without an entity is left where it is."""
    require_columns(frame, method.disjoint, purpose="the split by time")
    codes = _codes(frame, method.disjoint)
    named = frame.select(pl.any_horizontal(pl.col(name).is_not_null() for name in method.disjoint)).to_series()
    known = named.to_numpy()
    out = assigned.copy()
    seen = np.unique(codes[(assigned == 0) & known])
    for later in (1, 2):
        rows = (assigned == later) & known
        out[rows & np.isin(codes, seen)] = -2
        seen = np.union1d(seen, codes[rows])
    return out


def _evaluated(frame: pl.DataFrame, part: pl.Expr) -> Assigned:
    assigned: Assigned = frame.select(part.cast(pl.Int8).alias("part"))["part"].to_numpy()
    return assigned
