"""Hive partitions: folders named ``column=value`` become columns."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

import polars as pl

from tidemill.core.errors import DataError
from tidemill.data.sources.csv_types import narrowed

_NULL = "__HIVE_DEFAULT_PARTITION__"


def partition_of(path: str) -> tuple[tuple[str, str], ...]:
    """The columns that the folders of a file name, outermost first.

    >>> partition_of("flights/year=2013/month=01/part-0.parquet")
    (('year', '2013'), ('month', '01'))
    """
    pairs = [folder.partition("=") for folder in path.replace("\\", "/").split("/")[:-1] if "=" in folder]
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs if name)


def with_partitions(
    frames: Sequence[pl.LazyFrame], partitions: Sequence[tuple[tuple[str, str], ...]], wanted: Sequence[str] | None
) -> list[pl.LazyFrame]:
    """The frames with a column for each folder name, typed by all values together; one that a file has itself stays.

    Raises
    ------
    DataError
        If the files are not partitioned by the same columns.
    """
    names = [tuple(name for name, _ in partition) for partition in partitions]
    if len(set(names)) > 1:
        raise DataError(
            "the files are partitioned by different columns",
            value=sorted({"/".join(item) or "none" for item in names}),
            hint="Read one kind at a time, or set partitions = false.",
        )
    if not names or not names[0]:
        return list(frames)
    texts = {
        name: pl.Series(name, [dict(p)[name] if dict(p)[name] != _NULL else None for p in partitions], pl.String)
        for name in names[0]
    }
    values = {name: narrowed(column, dates=True) for name, column in texts.items()}
    return [_with(frame, index, values, wanted) for index, frame in enumerate(frames)]


def _with(frame: pl.LazyFrame, index: int, values: dict[str, pl.Series], wanted: Sequence[str] | None) -> pl.LazyFrame:
    own = frame.collect_schema().names()
    added = [
        pl.lit(column[index], dtype=column.dtype).alias(name)
        for name, column in values.items()
        if name not in own and (wanted is None or name in wanted)
    ]
    return frame.with_columns(added) if added else frame
