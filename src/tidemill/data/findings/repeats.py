"""Findings about whole rows: rows, and batches of rows, that are there twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding, number_of

_MOST_ROWS = 200_000
_BY_CHANCE, _FEW, _FEW_BY_CHANCE = 3.0, 2, 10.0
_BATCH, _DAMAGED, _MOST_LAGS = 10, 5, 5


def find_duplicates(frame: pl.DataFrame) -> Iterator[Finding]:
    """Rows that repeat another row in every column.

    A warning, or a note where chance explains them: so many rows agree in all columns but one that some must agree in
    that one too. A batch of rows that comes again in its order is never chance.
    """
    if frame.height < 2 or not frame.width:
        return
    # Equal rows have equal hashes: only rows whose hash repeats are compared.
    hashes = frame.hash_rows()
    suspects = frame.filter(hashes.is_duplicated())
    count = suspects.height - suspects.unique().height if suspects.height else 0
    if not count:
        return
    batch = _batch(hashes.to_numpy())
    chance = batch is None and _is_chance(frame)
    examples = suspects.filter(suspects.is_duplicated()).head(1).rows()
    again = (
        f" Rows {batch[0] + 1:,} to {batch[0] + batch[2]:,} come again in their order from row {batch[1] + 1:,} on."
        if batch
        else ""
    )
    luck = " So few values are possible that chance explains this." if chance else ""
    yield Finding(
        "duplicate_rows", "*", "note" if chance else "warning", count, count / frame.height,
        tuple(str(row) for row in examples),
        f"{number_of(count, 'row repeats', 'rows repeat')} another row in every column.{again}{luck}",
        "Deduplicate, unless repeats are meant.",
        {} if chance else {"kind": "deduplicate", "columns": list(frame.columns)},
    )  # fmt: skip


def _batch(hashes: np.ndarray[Any, np.dtype[np.uint64]]) -> tuple[int, int, int] | None:
    """First row, first row of the repetition, and length of the longest batch that comes again; None without one."""
    order = np.argsort(hashes, kind="stable")
    same = hashes[order[1:]] == hashes[order[:-1]]
    lags, counts = np.unique((order[1:] - order[:-1])[same], return_counts=True)
    best: tuple[int, int, int] | None = None
    for lag in lags[np.argsort(-counts, kind="stable")][:_MOST_LAGS].tolist():
        # A batch may have been damaged since: a few of its rows differ.
        places = np.flatnonzero(hashes[lag:] == hashes[:-lag])
        pieces = np.split(places, np.flatnonzero(np.diff(places) > _DAMAGED) + 1)
        piece = max(pieces, key=len)
        start, length = int(piece[0]), min(int(piece[-1] - piece[0]) + 1, lag)
        if min(length, len(np.unique(hashes[piece]))) >= _BATCH and (best is None or length > best[2]):
            best = start, start + lag, length
    return best


def _is_chance(frame: pl.DataFrame) -> bool:
    """Whether pairs that agree in all columns but one are so many that pairs of equal rows are to be expected."""
    part = frame.head(_MOST_ROWS)
    columns = [part[name].hash(place + 1).to_numpy() for place, name in enumerate(part.columns)]
    total = np.zeros(part.height, dtype=np.uint64)
    for column in columns:
        total += column
    equal = _pairs(total)
    if not equal:
        return False
    every, expected = part.height * (part.height - 1) / 2, 0.0
    for column in columns:
        agree = _pairs(column) / every
        expected += (_pairs(total - column) - equal) * agree / (1 - agree) if agree < 1 else 0.0
    return equal <= (_FEW_BY_CHANCE if equal <= _FEW else _BY_CHANCE) * expected


def _pairs(values: np.ndarray[Any, np.dtype[np.uint64]]) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / 2)
