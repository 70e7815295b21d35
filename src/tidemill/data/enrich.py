"""Join a table with what is known about its rows elsewhere; every row stays, once, in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import polars as pl

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.expected import FLAG, KEYS, TEXT, require, require_set
from tidemill.data.faces import as_html, as_text
from tidemill.data.moments import duration, moment
from tidemill.data.types import Tabular, collected, listed, physical_type, plain, require_columns, time_zone_of
from tidemill.engine.step import step

_EXAMPLES = 5

JoinKind: TypeAlias = Literal["key", "asof", "lookup", "fuzzy"]


@dataclass(frozen=True, slots=True, repr=False)
class JoinReport:
    """How well two tables fitted.

    Parameters
    ----------
    kind
        ``"key"``, ``"asof"``, ``"lookup"`` or ``"fuzzy"``.
    on
        The key columns of the left table.
    rows, matched
        Rows of the left table, and how many found a partner.
    missing_keys
        Rows whose own key (or time) is missing, so that they could not match.
    unmatched
        Keys without a partner that are most frequent, with their rows.
    added
        The columns that were added.
    median_age
        As-of joins: the median age of the partner in seconds.
    availability
        For each added column the column that says since when its value is known, if that is known.
    asked, remembered
        Lookups in an API: for how many keys it was asked now, and how many it had answered before.
    failures, failed
        Lookups that go on after errors: how many keys have no answer for that reason, and some of them with it.
    """

    kind: JoinKind
    on: tuple[str, ...]
    rows: int
    matched: int
    missing_keys: int
    unmatched: tuple[tuple[Any, int], ...]
    added: tuple[str, ...]
    median_age: float | None = None
    availability: Mapping[str, str] = field(default_factory=dict)
    asked: int = 0
    remembered: int = 0
    failures: int = 0
    failed: tuple[tuple[Any, str], ...] = ()

    @property
    def match_rate(self) -> float:
        """Matched rows as a share of all."""
        return self.matched / self.rows if self.rows else 1.0

    def __repr__(self) -> str:
        return f"JoinReport(kind={self.kind!r}, on={self.on!r}, rows={self.rows}, matched={self.matched})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Enriched:
    """The left table with the columns of the right one, and how well they fitted."""

    table: pl.DataFrame
    report: JoinReport

    def __repr__(self) -> str:
        return f"Enriched(rows={self.table.height}, columns={self.table.width}, report={self.report!r})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@step(stage="enrich")
def key_join(
    left: Tabular,
    right: Tabular,
    on: str | Sequence[str] | Mapping[str, str],
    *,
    columns: Sequence[str] | None = None,
    prefix: str = "",
) -> Enriched:
    """Look up each row's key in another table.

    Parameters
    ----------
    left, right
        The rows, and the table to look them up in, whose keys must not repeat.
    on
        The key columns; a mapping where their names differ: ``{"dest": "faa"}``.
    columns
        The columns to add; by default all but the key.
    prefix
        Put before the names of the added columns.

    Raises
    ------
    DataError
        If a key repeats in `right`: rows would multiply.
    SchemaError
        If columns are missing, differ in type, or would replace others.

    Examples
    --------
    >>> flights = pl.DataFrame({"tailnum": ["N1", "N9"]})
    >>> planes = pl.DataFrame({"tailnum": ["N1"], "seats": [55]})
    >>> out = key_join(flights, planes, "tailnum")
    >>> out.table["seats"].to_list(), out.report.match_rate, out.report.unmatched
    ([55, None], 0.5, (('N9', 1),))
    """
    frame, other = collected(left), collected(right)
    pairs = key_pairs(on)
    if not pairs:
        raise UsageError("a join needs a key", value=on, hint="Name the columns that both tables have.")
    require_columns(frame, pairs, purpose="the left side of the join")
    require_columns(other, pairs.values(), purpose="the right side of the join")
    require_same_types(frame, other, pairs)
    there = list(pairs.values())
    keyed = other.drop_nulls(there)
    require_unique(keyed, there)
    added = added_columns(frame, other, there, columns, prefix)
    partner = keyed.select(*renamed_keys(pairs), *[pl.col(a).alias(b) for a, b in added.items()], _FOUND)
    joined = frame.join(partner, on=list(pairs), how="left", maintain_order="left")
    matched = joined["found:"].fill_null(value=False)
    report = join_report("key", frame, pairs, matched, added, None, {})
    return Enriched(joined.drop("found:"), report)


@step(stage="enrich")
def asof_join(
    left: Tabular,
    right: Tabular,
    *,
    left_time: str,
    right_time: str,
    by: str | Sequence[str] | Mapping[str, str] = (),
    tolerance: str | None = None,
    allow_exact: bool = True,
    columns: Sequence[str] | None = None,
    prefix: str = "",
    keep_time: str | None = None,
) -> Enriched:
    """Give each row the latest row of another table that was known at its moment.

    Neither table need be sorted. Of several rows with the same key and time, the last one wins. Rows without a key or a
    time stay, without a partner.

    Parameters
    ----------
    left, right
        The rows, and the table of readings.
    left_time, right_time
        The moment of a row and of a reading: time columns, as they are or shifted (``"sched_dep - 2h"``).
    by
        Key columns that must be equal; a mapping where their names differ.
    tolerance
        The greatest age of a reading (``"3h"``).
    allow_exact
        Whether a reading at the very moment counts.
    columns, prefix
        The columns to add (by default all but keys and time), and what to put before their names.
    keep_time
        Name of a column that gets the time of the reading; the report's `availability` then points to it.

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.DataFrame({"at": [datetime(2013, 1, 1, 12), datetime(2013, 1, 1, 6)]})
    >>> readings = pl.DataFrame({"t": [datetime(2013, 1, 1, 11), datetime(2013, 1, 1, 5)], "temp": [10, 20]})
    >>> asof_join(rows, readings, left_time="at", right_time="t").table["temp"].to_list()
    [10, 20]
    """
    frame, other = collected(left), collected(right)
    require("asof_join", allow_exact=(allow_exact, FLAG))
    require_set("asof_join", keep_time=(keep_time, TEXT))
    pairs = key_pairs(by)
    here, there = moment(left_time), moment(right_time)
    require_columns(frame, [*pairs, str(here.column)], purpose="the left side of the as-of join")
    require_columns(other, [*pairs.values(), str(there.column)], purpose="the right side of the as-of join")
    require_same_types(frame, other, pairs)
    lookup = frame.select(*pairs, here.expression().alias("time:")).with_row_index("row:")
    added = added_columns(
        frame, other, [*pairs.values(), *([str(there.column)] if columns is None else [])], columns, prefix
    )
    if keep_time is not None and keep_time in (*frame.columns, *added.values()):
        raise UsageError("keep_time is the name of another column", value=keep_time, hint="Choose a new name.")
    readings = other.select(
        *renamed_keys(pairs), there.expression().alias("time:"), *[pl.col(a).alias(b) for a, b in added.items()]
    )
    lookup, readings = _comparable(lookup, readings)
    joined = _joined(lookup, readings, list(pairs), tolerance, allow_exact=allow_exact)
    matched = joined["known:"].is_not_null()
    ages = (joined["time:"] - joined["known:"]).drop_nulls().dt.total_seconds()
    age = ages.median()
    extra = (
        joined.select(list(added.values()))
        if keep_time is None
        else joined.select(*added.values(), pl.col("known:").alias(keep_time))
    )
    availability = {} if keep_time is None else dict.fromkeys(added.values(), keep_time)
    report = join_report("asof", frame, pairs, matched, added, age if isinstance(age, float) else None, availability)
    return Enriched(pl.concat([frame, extra], how="horizontal"), report)


#: The columns that a join adds for itself while it works.
_RESERVED = frozenset({"found:", "time:", "known:", "row:"})
_FOUND = pl.lit(value=True).alias("found:")


def _joined(
    lookup: pl.DataFrame, readings: pl.DataFrame, keys: list[str], tolerance: str | None, *, allow_exact: bool
) -> pl.DataFrame:
    """The as-of join proper, in the order of the rows; sorted here because the engine does not check."""
    complete = ["time:", *keys]
    ordered = (
        readings.drop_nulls(complete).with_columns(pl.col("time:").alias("known:")).sort("time:", maintain_order=True)
    )
    found = (
        lookup.drop_nulls(complete)
        .sort("time:", maintain_order=True)
        .join_asof(
            ordered,
            on="time:",
            by=keys or None,
            strategy="backward",
            tolerance=None if tolerance is None else duration(tolerance),
            allow_exact_matches=allow_exact,
            check_sortedness=False,
        )
    )
    rest = found.drop("time:", *keys)
    return lookup.join(rest, on="row:", how="left", maintain_order="left")


def _comparable(lookup: pl.DataFrame, readings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both tables with times of the same type."""
    kinds = [table.schema["time:"] for table in (lookup, readings)]
    for kind in kinds:
        if kind.base_type() not in (pl.Datetime, pl.Date):
            raise SchemaError(f"an as-of join needs times, not {physical_type(kind)}", hint="Parse the column first.")
    zones = [time_zone_of(kind) for kind in kinds]
    if (zones[0] is None) != (zones[1] is None):
        raise SchemaError(
            "times with and without a zone cannot be compared",
            value=tuple(physical_type(kind) for kind in kinds),
            hint="Localise the one without.",
        )
    unit: Literal["ns", "us"] = "ns" if any(getattr(kind, "time_unit", "us") == "ns" for kind in kinds) else "us"
    common = pl.Datetime(unit, None if zones[0] is None else "UTC")
    cast = pl.col("time:").cast(common)
    if zones[0] is not None:
        cast = pl.col("time:").dt.convert_time_zone("UTC").cast(common)
    return lookup.with_columns(cast), readings.with_columns(cast)


def key_pairs(on: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """The key columns: name in the left table to name in the right one."""
    require("a join", keys=(on, KEYS))
    if isinstance(on, Mapping):
        return dict(on)
    return {on: on} if isinstance(on, str) else {name: name for name in on}


def renamed_keys(pairs: Mapping[str, str]) -> list[pl.Expr]:
    """The keys of the right table under the names of the left one."""
    return [pl.col(there).alias(here) for here, there in pairs.items()]


def require_same_types(frame: pl.DataFrame, other: pl.DataFrame, pairs: Mapping[str, str]) -> None:
    """SchemaError if keys that are compared differ in type."""
    for here, there in pairs.items():
        if frame.schema[here] != other.schema[there]:
            raise SchemaError(
                f"key columns {here!r} and {there!r} differ in type",
                value=(physical_type(frame.schema[here]), physical_type(other.schema[there])),
                hint="Cast one of them.",
            )


def added_columns(
    frame: pl.DataFrame, other: pl.DataFrame, without: Sequence[str], columns: Sequence[str] | None, prefix: str
) -> dict[str, str]:
    """The columns to add: name in the right table to name in the result."""
    require("a join", prefix=(prefix, TEXT))
    chosen = [name for name in other.columns if name not in without] if columns is None else list(listed(columns))
    require_columns(other, chosen, purpose="the right side of the join")
    added = {name: f"{prefix}{name}" for name in chosen}
    taken = [name for name in added.values() if name in frame.columns]
    reserved = sorted(_RESERVED & {*frame.columns, *other.columns})
    if reserved:
        raise SchemaError("columns are named like those that a join works with", value=reserved, hint="Rename them.")
    if taken:
        raise SchemaError(
            "the join would replace columns", value=taken, hint='Choose with columns=[…], or give a prefix="plane_".'
        )
    return added


def require_unique(keyed: pl.DataFrame, keys: Sequence[str]) -> None:
    """DataError if a key repeats in the table that is looked up in."""
    repeated = keyed.filter(pl.struct(list(keys)).is_duplicated())
    if repeated.height:
        raise DataError(
            "keys repeat in the table to look up in, so that rows would multiply",
            value=[plain(row) for row in repeated.select(keys).unique(maintain_order=True).head(_EXAMPLES).rows()],
            hint="Deduplicate or aggregate it first, or use an as-of join.",
        )


def join_report(
    kind: JoinKind,
    frame: pl.DataFrame,
    pairs: Mapping[str, str],
    matched: pl.Series,
    added: Mapping[str, str],
    age: float | None,
    availability: Mapping[str, str],
) -> JoinReport:
    """How well the tables fitted, with the keys that were lost most often."""
    keys = list(pairs)
    missing = int(frame.select(pl.any_horizontal(pl.col(keys).is_null())).to_series().sum()) if keys else 0
    unmatched: tuple[tuple[Any, int], ...] = ()
    if keys and not matched.all():
        lost = frame.select(keys).filter(~matched).drop_nulls()
        top = (
            lost.group_by(keys, maintain_order=True)
            .len()
            .sort("len", descending=True, maintain_order=True)
            .head(_EXAMPLES)
        )
        unmatched = tuple((plain(row[0] if len(keys) == 1 else row[:-1]), row[-1]) for row in top.rows())
    return JoinReport(
        kind,
        tuple(keys),
        frame.height,
        int(matched.sum()),
        missing,
        unmatched,
        tuple(added.values()),
        age,
        availability,
    )
