"""The files of one source as one table, or what keeps them from being one, by file and column."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tidemill.core.errors import SchemaError
from tidemill.data.types import physical_type


def together(frames: Sequence[pl.LazyFrame], names: Sequence[str]) -> pl.LazyFrame:
    """The rows of all files, in their order; numbers widen, and a column without any value takes the others' type.

    Parameters
    ----------
    frames
        One for each file.
    names
        Of the files, for messages.

    Raises
    ------
    SchemaError
        If files have different columns, or one column is of different types in two of them.
    """
    if len(frames) == 1:
        return frames[0]
    schemas = [frame.collect_schema() for frame in frames]
    first = schemas[0]
    for schema, name in zip(schemas, names, strict=True):
        _require_same_columns(first, schema, names[0], name)
    if all(schema == first for schema in schemas):
        return pl.concat(frames)
    known: dict[str, tuple[pl.DataType, str]] = {}
    fitting = list(frames)
    for at, (schema, name) in enumerate(zip(schemas, names, strict=True)):
        empty = _empty_columns(frames[at], schema, schemas)
        fitting[at] = frames[at].with_columns(pl.lit(None).alias(column) for column in empty).select(first.names())
        for column, kind in schema.items():
            if column in empty or kind == pl.Null():
                continue
            before, where = known.setdefault(column, (kind, name))
            if not _alike(before, kind):
                raise SchemaError(
                    f"column {column!r} is {physical_type(before)} in {where} and {physical_type(kind)} in {name}",
                    hint=f'Fix its type for all files: schema = {{ {column} = "string" }}.',
                )
    return pl.concat(fitting, how="vertical_relaxed")


def _require_same_columns(first: pl.Schema, schema: pl.Schema, first_name: str, name: str) -> None:
    if schema.keys() == first.keys():
        return
    missing, added = [n for n in first if n not in schema], [n for n in schema if n not in first]
    told = [f"{name} lacks {missing[:5]}" if missing else "", f"{name} has {added[:5]} besides" if added else ""]
    raise SchemaError(
        f"the files of the source have different columns: unlike {first_name}, {', and '.join(filter(None, told))}",
        hint="Read one kind at a time, or name the columns that all have: columns=[…].",
    )


def _empty_columns(frame: pl.LazyFrame, schema: pl.Schema, schemas: Sequence[pl.Schema]) -> set[str]:
    """Text columns without any value, where another file has another type."""
    doubtful = [
        name for name, kind in schema.items() if kind == pl.String() and any(other[name] != kind for other in schemas)
    ]
    if not doubtful:
        return set()
    counts = frame.select(pl.col(doubtful).count()).collect().row(0)
    return {name for name, count in zip(doubtful, counts, strict=True) if count == 0}


def _alike(one: pl.DataType, other: pl.DataType) -> bool:
    return one == other or (one.is_numeric() and other.is_numeric()) or (
        one.base_type() == other.base_type() and not one.is_temporal()
    )  # fmt: skip
