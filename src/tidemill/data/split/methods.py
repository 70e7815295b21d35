"""How a table can be divided: records that say it, and the functions that make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

from tidemill.core.errors import UsageError
from tidemill.data.expected import COUNT, MOMENT, NAMES, NUMBER, TEXT, require, require_set
from tidemill.data.moments import duration


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
    disjoint
        Columns that name an entity: rows of a later part whose entity is in an earlier part are left out, so that the
        later parts hold entities that were never seen.
    """

    validation_from: str
    test_from: str
    time: str | None = None
    embargo: str | None = None
    disjoint: tuple[str, ...] = ()
    method: Literal["by_time"] = "by_time"


@dataclass(frozen=True, slots=True)
class ByShare:
    """Rows are drawn at random: `train` and `validation` are shares, the test part is the rest.

    With `stratify`, the shares hold (to the row) within the rows of equal values in these columns.
    """

    train: float
    validation: float
    seed: int = 0
    stratify: tuple[str, ...] = ()
    method: Literal["by_share"] = "by_share"


@dataclass(frozen=True, slots=True)
class ByGroup:
    """Groups (all rows with equal values in `columns`) are drawn at random, so that no group is in two parts."""

    columns: tuple[str, ...]
    train: float
    validation: float
    seed: int = 0
    method: Literal["by_group"] = "by_group"


@dataclass(frozen=True, slots=True)
class ByOrigin:
    """One fold of a rolling origin: train before `origin`, validate until `until`, test from `test_from` on.

    With `window`, only rows of this long before the origin train; `embargo` is left out before the origin and before
    `test_from`. Rows between `until` and `test_from` belong to later folds and are left out.
    """

    fold: int
    origin: str
    until: str
    test_from: str
    time: str | None = None
    window: str | None = None
    embargo: str | None = None
    method: Literal["rolling_origin"] = "rolling_origin"


SplitMethod: TypeAlias = ByTime | ByShare | ByGroup | ByOrigin


def by_time(
    validation_from: str | date,
    test_from: str | date,
    *,
    time: str | None = None,
    embargo: str | None = None,
    disjoint: str | Sequence[str] = (),
) -> ByTime:
    """Split at two moments: train < `validation_from` <= validation < `test_from` <= test; see `ByTime`."""
    if embargo is not None:
        duration(embargo)
    require_set("by_time", time=(time, TEXT))
    first, second = _iso("validation_from", validation_from), _iso("test_from", test_from)
    return ByTime(first, second, time, embargo, _names(disjoint))


def by_share(
    train: float = 0.7, validation: float = 0.15, *, seed: int = 0, stratify: str | Sequence[str] = ()
) -> ByShare:
    """Split at random; the test part is what the two shares leave; with `stratify`, within each of its values."""
    require("by_share", seed=(seed, COUNT))
    return ByShare(*_shares(train, validation), seed, _names(stratify))


def by_group(columns: str | Sequence[str], train: float = 0.7, validation: float = 0.15, *, seed: int = 0) -> ByGroup:
    """Split so that all rows of a group are in one part; the shares are of groups."""
    require("by_group", seed=(seed, COUNT))
    return ByGroup(_names(columns), *_shares(train, validation), seed)


def rolling_origin(
    first: str,
    *,
    every: str,
    folds: int,
    horizon: str | None = None,
    window: str | None = None,
    embargo: str | None = None,
    test_from: str | None = None,
    time: str | None = None,
) -> tuple[ByOrigin, ...]:
    """The folds of a rolling origin: each is a split method of its own, all hold out the same test rows.

    Parameters
    ----------
    first
        The first origin: rows before it train, rows from it on validate.
    every
        How far the origin moves from fold to fold (``"30d"``).
    folds
        How many.
    horizon
        How long each fold validates; as long as `every` if left out.
    window
        How far back the training rows reach; to the beginning if left out.
    embargo
        Leave out this long before each origin and before `test_from`: rows whose labels were not known yet.
    test_from
        Where the test rows begin; where the last fold ends if left out.
    time
        The time column; None for the prediction time of the training set.

    Examples
    --------
    >>> for fold in rolling_origin("2013-03-01", every="30d", folds=2, time="day"):
    ...     print(fold.origin, fold.until, fold.test_from)
    2013-03-01T00:00:00 2013-03-31T00:00:00 2013-04-30T00:00:00
    2013-03-31T00:00:00 2013-04-30T00:00:00 2013-04-30T00:00:00
    """
    require("rolling_origin", first=(first, TEXT), folds=(folds, COUNT))
    require_set("rolling_origin", test_from=(test_from, TEXT), time=(time, TEXT))
    if folds < 1:
        raise UsageError("a rolling origin needs at least one fold", value=folds, hint="Write folds=4.")
    try:
        start, end = datetime.fromisoformat(first), None if test_from is None else datetime.fromisoformat(test_from)
    except ValueError as error:
        raise UsageError(f"an origin is not an ISO date or time: {error}", hint='Write "2013-03-01".') from None
    step, length = duration(every), duration(every if horizon is None else horizon)
    for text in (window, embargo):
        if text is not None:
            duration(text)
    if not step or not length:
        raise UsageError("the origins of a rolling origin must move", value=every, hint='Write every="30d".')
    last = start + (folds - 1) * step + length
    end = end or last
    if (start.tzinfo is None) != (end.tzinfo is None) or end < last:
        raise UsageError(
            "the test rows of a rolling origin begin before its last fold ends",
            value=(test_from, last.isoformat()),
            hint="Give fewer folds, or a later test_from.",
        )
    origins = [start + number * step for number in range(folds)]
    return tuple(
        ByOrigin(
            number, origin.isoformat(), (origin + length).isoformat(), end.isoformat(), time, window, embargo
        )
        for number, origin in enumerate(origins)
    )  # fmt: skip


def _iso(name: str, moment: str | date) -> str:
    """A boundary as ISO text."""
    require("by_time", **{name: (moment, MOMENT)})
    if isinstance(moment, date):
        return moment.isoformat()
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        hint = 'Write it as "2013-08-01" or "2013-08-01T06:00".'
        raise UsageError(f"{name} of by_time is not an ISO date or time", value=moment, hint=hint) from None
    return moment


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    require("a split", columns=(columns, NAMES))
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _shares(train: float, validation: float) -> tuple[float, float]:
    require("a split", train=(train, NUMBER), validation=(validation, NUMBER))
    if not (0 < train < 1 and 0 < validation < 1 and train + validation < 1):
        raise UsageError(
            "the shares of a split must lie between 0 and 1 and leave rows for the test part",
            value=(train, validation),
            hint="Try 0.7 and 0.15.",
        )
    return train, validation
