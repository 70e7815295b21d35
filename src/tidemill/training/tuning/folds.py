"""Folds of the training and validation rows, drawn the way the split itself was: by time, by group, by stratum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist, fmean, variance

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import DataError, UsageError
from tidemill.data.moments import duration
from tidemill.data.split import TrainingParts
from tidemill.data.types import require_columns
from tidemill.measures.intervals import Estimate

_IN_TIME = ("by_time", "rolling_origin")


def folds_of(
    data: TrainingParts, count: int, *, repeats: int = 1, seed: int = 0, stratify: bool = False, group: str = ""
) -> list[TrainingParts]:
    """The training and validation rows, divided again and again: each fold trains on some and validates on others.

    Rows that were split by time stay in time: each fold trains on what came before its validation rows, with the
    embargo of the split between them. Rows that were split by group keep groups together.

    Parameters
    ----------
    data
        The split; its test part stays as it is, and unread.
    count, repeats
        How many folds, and how many times they are drawn.
    seed
        For the drawing.
    stratify
        Whether each fold holds every value of the target in the same share.
    group
        A column whose groups no fold parts, such as the queries of a ranking; of rows in time, a group that began
        before the validation rows and had not ended is left out.

    Raises
    ------
    UsageError
        For fewer than two folds, or repeated ones of rows in time.
    DataError
        When there are too few rows, groups or moments.
    """
    _check(data, count, repeats)
    pool = pl.concat([data.train, data.validation])
    if group:
        require_columns(pool, [group], purpose="folds of whole queries")
    if data.spec.method.get("method") in _IN_TIME:
        pairs = _in_time(pool, data, count, group)
    else:
        columns = list(data.spec.method.get("columns", ())) or ([group] if group else [])
        turns = (
            _drawn(pool, data.spec.target, columns, count, seed + turn, stratify=stratify) for turn in range(repeats)
        )
        pairs = [pair for turn in turns for pair in turn]
    return [replace(data, train=pool[train], validation=pool[held]) for train, held in pairs]


def outer_estimate(values: Sequence[float], held: int, trained: int, *, level: float = 0.95) -> Estimate:
    """The mean over folds, with an interval that knows that the folds share training rows.

    The variance is that of Nadeau and Bengio (2003): one fold's, times 1/folds + held/trained rows; the quantile is
    Student's.

    >>> found = outer_estimate([0.80, 0.82, 0.84], held=100, trained=200)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.82, 0.741, 0.899)
    """
    centre, count = fmean(values), len(values)
    spread = math.sqrt(variance(values) * (1 / count + held / trained)) * student(count - 1, (1 + level) / 2)
    return Estimate(centre, centre - spread, centre + spread, rows=held * count, level=level)


def student(freedom: int, share: float) -> float:
    """The quantile of Student's distribution: exact for one and two degrees of freedom, else by Cornish and Fisher.

    >>> [round(student(freedom, 0.975), 2) for freedom in (1, 2, 3, 9)]
    [12.71, 4.3, 3.18, 2.26]
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
    z: float = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def _check(data: TrainingParts, count: int, repeats: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise UsageError("there are at least two folds", value=count, hint="Use folds=5.")
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise UsageError("folds are drawn at least once", value=repeats, hint="Use repeats=1.")
    if repeats > 1 and data.spec.method.get("method") in _IN_TIME:
        raise UsageError("rows in time have one order: folds of them cannot be drawn again", value=repeats)
    if data.train.height + data.validation.height < 2 * count:
        raise DataError(
            f"{data.train.height + data.validation.height} rows are too few for {count} folds", hint="Use fewer folds."
        )


Pair = tuple[NDArray[np.int64], NDArray[np.int64]]


def _drawn(pool: pl.DataFrame, target: str, columns: list[str], count: int, seed: int, *, stratify: bool) -> list[Pair]:
    """Every row is held once; rows of a group together, and values of the target in the same share in each fold."""
    rng = np.random.default_rng(seed)
    if columns:
        groups = pool.select(pl.struct(columns).rank("dense") - 1).to_series().to_numpy().astype(np.int64)
        named = int(groups.max()) + 1
        if named < count:
            raise DataError(f"{named} groups of {columns} are too few for {count} folds", hint="Use fewer folds.")
        of_group = np.empty(named, dtype=np.int64)
        of_group[rng.permutation(named)] = np.arange(named) % count
        fold = of_group[groups]
    else:
        order = rng.permutation(pool.height)
        if stratify:
            values = pool.select(pl.col(target).rank("dense")).to_series().fill_null(0).to_numpy()
            order = order[np.argsort(values[order], kind="stable")]
        fold = np.empty(pool.height, dtype=np.int64)
        fold[order] = np.arange(pool.height) % count
    return [(np.flatnonzero(fold != place), np.flatnonzero(fold == place)) for place in range(count)]


def _in_time(pool: pl.DataFrame, data: TrainingParts, count: int, group: str) -> list[Pair]:
    """Blocks of rows in the order of time, never cut within a moment: each is held once but the first."""
    time = str(data.spec.time)
    moments = pool[time].sort()
    places = [round(len(moments) * place / (count + 1)) for place in range(1, count + 1)]
    starts = list(dict.fromkeys(moments[place] for place in places))
    if len(starts) < count or starts[0] == moments[0]:
        raise DataError(
            f"{moments.n_unique()} moments of {time!r} are too few for {count} folds in time", hint="Use fewer folds."
        )
    gap = data.spec.method.get("embargo")
    first, last = (
        (pl.col(time).min().over(group), pl.col(time).max().over(group)) if group else (pl.col(time), pl.col(time))
    )
    pairs = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        before = last < (start if gap is None else pl.lit(start) - duration(str(gap)))
        held = (first >= start) & (pl.lit(value=True) if end is None else first < end)
        known, asked = _true(pool, before), _true(pool, held)
        asked = _unseen(pool, list(data.spec.method.get("disjoint", ())), known, asked)
        if not len(known) or not len(asked):
            raise DataError("a fold in time has no rows on one side", value=start, hint="Use fewer folds.")
        pairs.append((known, asked))
    return pairs


def _true(pool: pl.DataFrame, condition: pl.Expr) -> NDArray[np.int64]:
    """The rows that meet a condition."""
    return pool.select(condition.fill_null(value=False)).to_series().arg_true().to_numpy().astype(np.int64)


def _unseen(
    pool: pl.DataFrame, columns: list[str], known: NDArray[np.int64], asked: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The rows that are asked about whose entity, if the split is disjoint in one, is in no row that is known."""
    if not columns:
        return asked
    seen = pool[known].select(columns).unique()
    numbered = pool[asked].select(columns).with_columns(place=pl.Series(asked))
    return numbered.join(seen, on=columns, how="anti")["place"].sort().to_numpy()
