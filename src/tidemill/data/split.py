"""Train, validation and test: three tables and the record of how they were made, checked each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from tidemill.core.digests import digest_value
from tidemill.core.errors import DataError, LeakError, UsageError
from tidemill.data.moments import duration
from tidemill.data.types import Tabular, as_time_literal, collected, physical_type, plain, require_columns
from tidemill.engine.step import step

PARTS = ("train", "validation", "test")
#: From this many rows on, text that is different in each of them is a name, from which nothing can be learned.
_NAMES = 50


@dataclass(frozen=True, slots=True)
class ByTime:
    """Rows before the first boundary train, rows from the second boundary on test.

    Parameters
    ----------
    validation_from, test_from
        ISO dates or times; without a zone they are read in the zone of the time column.
    time
        The time column; None for the prediction time of the training set.
    embargo
        Leave out this long before each boundary (``"6h"``): rows whose labels were not known yet.
    """

    validation_from: str
    test_from: str
    time: str | None = None
    embargo: str | None = None
    method: Literal["by_time"] = "by_time"


@dataclass(frozen=True, slots=True)
class ByShare:
    """Rows are drawn at random: `train` and `validation` are shares, the test part is the rest."""

    train: float
    validation: float
    seed: int = 0
    method: Literal["by_share"] = "by_share"


@dataclass(frozen=True, slots=True)
class ByGroup:
    """Groups (all rows with equal values in `columns`) are drawn at random, so that no group is in two parts."""

    columns: tuple[str, ...]
    train: float
    validation: float
    seed: int = 0
    method: Literal["by_group"] = "by_group"


SplitMethod = ByTime | ByShare | ByGroup


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How a split was made, and what its columns are for.

    Parameters
    ----------
    target
        The column to predict.
    features
        The columns to predict it from, in order.
    method
        The split method as a JSON-able mapping.
    time
        The time column (in a training set: the prediction time), if there is one.
    entity
        The columns that name what a row is about.
    rows
        Rows of each part.
    spans
        First and last time in each part, as ISO text.
    left_out
        Rows in no part, by reason: missing target, missing time, embargo.
    availability
        For each feature whose availability is declared, the moment when it is known.
    undeclared
        The features without such a declaration: taken as known at prediction time.
    dropped
        Columns that were dropped, and why.
    digest
        Of all the above.
    """

    target: str
    features: tuple[str, ...]
    method: Mapping[str, Any]
    time: str | None = None
    entity: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    spans: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    availability: Mapping[str, str] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Three disjoint tables with the same columns, and how they were made."""

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    spec: SplitSpec


def by_time(validation_from: str, test_from: str, *, time: str | None = None, embargo: str | None = None) -> ByTime:
    """Split at two moments: train < `validation_from` <= validation < `test_from` <= test; see `ByTime`."""
    if embargo is not None:
        duration(embargo)
    return ByTime(validation_from, test_from, time, embargo)


def by_share(train: float = 0.7, validation: float = 0.15, *, seed: int = 0) -> ByShare:
    """Split at random; the test part is what the two shares leave."""
    return ByShare(*_shares(train, validation), seed)


def by_group(columns: str | Sequence[str], train: float = 0.7, validation: float = 0.15, *, seed: int = 0) -> ByGroup:
    """Split so that all rows of a group are in one part; the shares are of groups."""
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    return ByGroup(names, *_shares(train, validation), seed)


def _shares(train: float, validation: float) -> tuple[float, float]:
    if not (0 < train < 1 and 0 < validation < 1 and train + validation < 1):
        raise UsageError(
            "the shares of a split must lie between 0 and 1 and leave rows for the test part",
            value=(train, validation),
            hint="Try 0.7 and 0.15.",
        )
    return train, validation


@step(stage="split")
def split(
    table: Tabular,
    method: SplitMethod,
    target: str,
    *,
    features: Sequence[str] | None = None,
    time: str | None = None,
    entity: str | Sequence[str] = (),
) -> Splits:
    """Divide a table into training, validation and test rows; rows keep their order.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one.
    method
        Made by `by_time`, `by_share` or `by_group`.
    target
        The column to predict; rows where it is missing are left out and counted.
    features
        The columns to predict from; by default every column but target, time, entity and other time columns.
    time, entity
        The time column of the rows, and the columns that name what a row is about.

    Raises
    ------
    DataError
        If a part would be empty.
    LeakError
        If the parts overlap in time or in groups, which a split of this method never does by itself.

    Examples
    --------
    >>> trips = pl.DataFrame({"day": ["2013-01-01", "2013-01-02", "2013-01-03"], "miles": [1, 2, 3], "late": [0, 1, 0]})
    >>> trips = trips.with_columns(pl.col("day").str.to_date())
    >>> parts = split(trips, by_time("2013-01-02", "2013-01-03", time="day"), "late")
    >>> parts.spec.rows, parts.spec.features
    ({'train': 1, 'validation': 1, 'test': 1}, ('miles',))
    """
    return split_table(collected(table), method, target, features=features, time=time, entity=entity)


def split_table(
    frame: pl.DataFrame,
    method: SplitMethod,
    target: str,
    *,
    features: Sequence[str] | None = None,
    time: str | None = None,
    entity: str | Sequence[str] = (),
) -> Splits:
    """`split` of a table in memory, inside another step."""
    keys = (entity,) if isinstance(entity, str) else tuple(entity)
    if isinstance(method, ByTime) and method.time is not None:
        time = method.time
    require_columns(frame, [target, *keys, *([time] if time else [])], purpose="the split")
    apart = {target, *keys, *([time] if time else [])}
    dropped = {} if features is not None else unfit_features(frame, apart)
    chosen = tuple(
        features if features is not None else (c for c in frame.columns if c not in apart and c not in dropped)
    )
    require_columns(frame, chosen, purpose="the split")
    left_out: dict[str, int] = {}
    frame = _without_nulls(frame, target, "missing target", left_out)
    if isinstance(method, ByTime):
        if time is None:
            raise UsageError("a split by time needs a time column", hint='Write by_time(…, time="COLUMN").')
        frame = _without_nulls(frame, time, "missing time", left_out)
    part = _assign(frame, method, time)
    if int((part < 0).sum()):
        left_out["embargo"] = int((part < 0).sum())
    tables = {name: frame.filter(pl.Series(part == index)) for index, name in enumerate(PARTS)}
    _check(tables, method, time)
    spec = SplitSpec(
        target=target,
        features=chosen,
        method=asdict(method),
        time=time,
        entity=keys,
        rows={name: item.height for name, item in tables.items()},
        spans={name: _span(item[time]) for name, item in tables.items()} if time else {},
        left_out=left_out,
        dropped=dropped,
    )
    return Splits(**tables, spec=sealed(spec))


def sealed(spec: SplitSpec) -> SplitSpec:
    """The record with its digest."""
    unsealed = replace(spec, digest="")
    return replace(unsealed, digest=digest_value(asdict(unsealed)))


def default_features(frame: pl.DataFrame, without: set[str]) -> tuple[str, ...]:
    """Columns that a model can learn from, except those named: see `unfit_features` for the others."""
    unfit = unfit_features(frame, without)
    return tuple(name for name in frame.columns if name not in without and name not in unfit)


def unfit_features(frame: pl.DataFrame, without: set[str]) -> dict[str, str]:
    """Columns that are no features unless somebody asks for them, and why: moments, nested values, text that names.

    >>> trips = pl.DataFrame({"note": [f"n{i}" for i in range(60)], "miles": range(60)})
    >>> unfit_features(trips, set())
    {'note': 'another text in every row'}
    """
    unfit = {}
    for name, kind in frame.schema.items():
        if name in without:
            continue
        is_text = kind.base_type() in (pl.String, pl.Categorical, pl.Enum)
        if not (is_text or kind.is_numeric() or kind == pl.Boolean):
            unfit[name] = f"{physical_type(kind)} is no feature by itself"
        elif is_text and frame.height >= _NAMES and frame[name].n_unique() == frame.height:
            unfit[name] = "another text in every row"
    return unfit


def _without_nulls(frame: pl.DataFrame, column: str, reason: str, left_out: dict[str, int]) -> pl.DataFrame:
    missing = frame[column].null_count()
    if missing:
        left_out[reason] = missing
        return frame.filter(pl.col(column).is_not_null())
    return frame


def _span(times: pl.Series) -> tuple[Any, Any]:
    return plain(times.min()), plain(times.max())


def _assign(frame: pl.DataFrame, method: SplitMethod, time: str | None) -> np.ndarray[Any, np.dtype[np.int8]]:
    """For each row the index of its part, or -1 for none."""
    if isinstance(method, ByTime):
        return _assign_by_time(frame, method, str(time))
    rng = np.random.default_rng(method.seed)
    if isinstance(method, ByShare):
        return _drawn(frame.height, method, rng)
    require_columns(frame, method.columns, purpose="the split by group")
    groups = frame.select(pl.struct(method.columns).rank("dense").alias("group") - 1)["group"]
    codes = groups.cast(pl.Int64).to_numpy()  # rows without a group are one group
    drawn: np.ndarray[Any, np.dtype[np.int8]] = _drawn(int(codes.max(initial=-1)) + 1, method, rng)[codes]
    return drawn


def _drawn(count: int, method: ByShare | ByGroup, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int8]]:
    part = np.full(count, 2, dtype=np.int8)
    order = rng.permutation(count)
    first, second = round(count * method.train), round(count * (method.train + method.validation))
    part[order[:first]] = 0
    part[order[first:second]] = 1
    return part


def _assign_by_time(frame: pl.DataFrame, method: ByTime, time: str) -> np.ndarray[Any, np.dtype[np.int8]]:
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
    if method.embargo is not None:
        gap = duration(method.embargo)
        held = ((column >= first - gap) & (column < first)) | ((column >= second - gap) & (column < second))
        part = pl.when(held).then(-1).otherwise(part)
    assigned: np.ndarray[Any, np.dtype[np.int8]] = frame.select(part.cast(pl.Int8).alias("part"))["part"].to_numpy()
    return assigned


def _check(tables: Mapping[str, pl.DataFrame], method: SplitMethod, time: str | None) -> None:
    for name, table in tables.items():
        if table.is_empty():
            rows = {part: item.height for part, item in tables.items()}
            spans = {part: _span(item[time]) for part, item in tables.items() if item.height} if time else None
            raise DataError(
                f"the {name} part of the split is empty",
                value=spans or rows,
                hint="Move the boundaries into the data, or give more rows.",
            )
    for earlier, later in (("train", "validation"), ("validation", "test")):
        if isinstance(method, ByTime):
            last, first = tables[earlier][str(time)].max(), tables[later][str(time)].min()
            if last >= first:  # type: ignore[operator]  # both are times
                raise LeakError(f"{earlier} rows are not all before {later} rows", value=(last, first))
    if isinstance(method, ByGroup):
        columns = list(method.columns)
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            shared = (
                tables[one]
                .select(columns)
                .unique()
                .join(tables[other].select(columns).unique(), on=columns, how="inner", nulls_equal=True)
            )
            if shared.height:
                raise LeakError(f"groups are in both {one} and {other}", value=shared.rows()[:5])
