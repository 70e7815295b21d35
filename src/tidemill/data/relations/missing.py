"""Which values are missing together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

_MOST_COLUMNS = 62
_MOST_PATTERNS = 10


@dataclass(frozen=True, slots=True)
class MissingPattern:
    """Rows in which exactly these columns are missing."""

    columns: tuple[str, ...]
    rows: int
    share: float


def missing_patterns(columns: Sequence[pl.Series]) -> tuple[MissingPattern, ...]:
    """The most frequent combinations of columns that are missing in the same row, at most ten.

    Of more than 62 columns with missing values, the first 62 are looked at.

    >>> table = pl.DataFrame({"dep": [1, None, None, 4], "delay": [0, None, None, None]})
    >>> [(found.columns, found.rows) for found in missing_patterns(table.get_columns())]
    [(('dep', 'delay'), 2), (('delay',), 1)]
    """
    gappy = [column for column in columns if column.null_count()][:_MOST_COLUMNS]
    if not gappy:
        return ()
    code = np.zeros(gappy[0].len(), dtype=np.int64)
    for place, column in enumerate(gappy):
        code |= column.is_null().to_numpy().astype(np.int64) << place
    codes, counts = np.unique(code[code > 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_PATTERNS]
    return tuple(
        MissingPattern(
            tuple(column.name for place, column in enumerate(gappy) if int(codes[index]) >> place & 1),
            int(counts[index]),
            int(counts[index]) / len(code),
        )
        for index in order
    )
