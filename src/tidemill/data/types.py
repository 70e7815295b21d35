"""Polars types in the words of `tidemill.core.schema`, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
from polars.datatypes import DataTypeClass

from tidemill.core.errors import SchemaError, UsageError
from tidemill.core.schema import Column, TableSchema
from tidemill.data.evaluating import collected_lazily, schema_of
from tidemill.engine.materialisers.frames import converter, frame_kind

#: A table of Polars.
Frame: TypeAlias = pl.DataFrame | pl.LazyFrame

#: What the verbs take: a frame, or the result of an earlier verb, whose table is meant (`Validated`, `Cleaned`, …).
Tabular: TypeAlias = Any

_NAMES: dict[type[pl.DataType], str] = {
    pl.Boolean: "bool", pl.Int8: "int8", pl.Int16: "int16", pl.Int32: "int32", pl.Int64: "int64",
    pl.UInt8: "uint8", pl.UInt16: "uint16", pl.UInt32: "uint32", pl.UInt64: "uint64",
    pl.Float32: "float32", pl.Float64: "float64", pl.String: "string", pl.Binary: "binary",
    pl.Date: "date", pl.Time: "time", pl.Null: "null", pl.Object: "object",
}  # fmt: skip
_TYPES = {name: kind for kind, name in _NAMES.items()} | {
    "categorical": pl.Categorical, "int": pl.Int64, "float": pl.Float64, "str": pl.String,
}  # fmt: skip
#: So many columns are named in a message.
_NAMED = 30
_SPARK = "pyspark.sql.dataframe:DataFrame"


def physical_type(dtype: pl.DataType | DataTypeClass) -> str:
    """The name of a Polars type as the schema writes it.

    >>> physical_type(pl.Datetime("us", "UTC"))
    'timestamp[us, UTC]'
    >>> physical_type(pl.List(pl.Int64))
    'list[int64]'
    """
    base = dtype.base_type()
    if base in _NAMES:
        return _NAMES[base]
    if isinstance(dtype, pl.Datetime):
        return f"timestamp[{dtype.time_unit}{f', {dtype.time_zone}' if dtype.time_zone else ''}]"
    if isinstance(dtype, pl.Duration):
        return f"duration[{dtype.time_unit}]"
    if isinstance(dtype, pl.Decimal):
        return f"decimal[{dtype.precision}, {dtype.scale}]"
    if isinstance(dtype, pl.List):
        return f"list[{physical_type(dtype.inner)}]"
    if isinstance(dtype, pl.Struct):
        return f"struct[{', '.join(f'{f.name}: {physical_type(f.dtype)}' for f in dtype.fields)}]"
    return "categorical" if base in (pl.Categorical, pl.Enum) else f"object[{dtype}]"


def polars_type(name: str) -> pl.DataType:
    """The Polars type of a scalar type's name; ``timestamp`` may carry a unit and a zone.

    >>> polars_type("timestamp[us, UTC]")
    Datetime(time_unit='us', time_zone='UTC')
    """
    if name in _TYPES:
        return _TYPES[name]()
    if name.startswith("timestamp"):
        unit, _, zone = name.removeprefix("timestamp").strip("[]").partition(",")
        if unit in ("ms", "us", "ns", ""):
            return pl.Datetime(unit or "us", zone.strip() or None)  # type: ignore[arg-type]
    raise SchemaError(
        "not the name of a column type", value=name, hint=f"Use one of {', '.join(sorted(_TYPES))}, timestamp[us, UTC]."
    )


def table_schema(table: Frame) -> TableSchema:
    """The schema of a table: names and physical types, in order.

    >>> table_schema(pl.DataFrame({"dest": ["IAH"], "distance": [1400]}))["distance"].type
    'int64'
    """
    return TableSchema(tuple(Column(name, physical_type(dtype)) for name, dtype in schema_of(table).items()))


def collected(table: Tabular) -> pl.DataFrame:
    """The table in memory; of a verb's result, its table of good rows.

    Raises
    ------
    UsageError
        If it is not a table.
    DataError
        If it is lazy and cannot be computed.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return collected_lazily(table)
    for part in ("table", "valid"):
        inner = getattr(table, part, None)
        if isinstance(inner, pl.DataFrame | pl.LazyFrame):
            return collected(inner)
    if frame_kind(type(table)) == _SPARK:  # its own stream goes row by row through other processes of Python
        return collected(converter(_SPARK).to_polars(table))
    if hasattr(table, "__arrow_c_stream__"):
        try:
            frame = pl.from_arrow(table)
            if isinstance(frame, pl.Series) and isinstance(frame.dtype, pl.Struct):
                frame = frame.struct.unnest()  # a stream of rows, as pandas gives it
        except pl.exceptions.DuplicateError as error:
            raise SchemaError(f"column names repeat: {error}", hint="Rename all but one of each.") from None
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()
    if isinstance(table, str | Path):
        raise UsageError("not a table", value=str(table), hint=f"Read it first: tm.read({str(table)!r}).")
    raise UsageError("not a table", value=type(table).__name__, hint=_hint_for(table))


def _hint_for(table: object) -> str:
    """What to give instead of something that is no table."""
    if hasattr(table, "train") and hasattr(table, "validation"):
        return "Give one of its parts, such as data.validation."
    if hasattr(table, "__array__"):
        return "Its columns have no names: give pl.DataFrame(array, schema=[…])."
    return "Give a Polars frame or anything that speaks Arrow."


def listed(names: Iterable[str]) -> tuple[str, ...]:
    """The names of columns; UsageError for a single text, whose letters would pass for names, and what is no names."""
    if isinstance(names, str):
        raise UsageError("columns are given as a list of names", value=names, hint=f"Write [{names!r}].")
    found = tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) for name in found):
        raise UsageError("columns are given as a list of names", value=names, hint='Write ["column", …].')
    return found


def require_columns(table: Frame, names: Iterable[str], *, purpose: str) -> None:
    """Raise `SchemaError` when the table lacks one of the columns."""
    names = listed(names)
    schema = schema_of(table)
    missing = [name for name in names if name not in schema]
    if missing:
        raise SchemaError(
            f"{purpose} needs columns that the table does not have", value=missing, hint=_hint_among(missing, schema)
        )


def _hint_among(missing: Sequence[str], names: Iterable[str]) -> str:
    """The names that are nearest to those that are missing; all of them if none is near."""
    known = list(names)
    near = [close[0] for name in missing if (close := get_close_matches(name, known, n=1, cutoff=0.75))]
    if len(near) == len(missing):
        return f"Did you mean {' and '.join(repr(name) for name in near)}?"
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return f"Columns are: {', '.join(known[:_NAMED])}{more}."


def time_zone_of(dtype: pl.DataType) -> str | None:
    """The zone of a time column's type; None for a date or a time without zone."""
    return dtype.time_zone if isinstance(dtype, pl.Datetime) else None


def as_time_literal(text: str | datetime, dtype: pl.DataType, *, purpose: str) -> pl.Expr:
    """An ISO date or time as a literal that compares with a column of type `dtype`.

    A text without a zone is read in the zone of the column.
    """
    if not dtype.is_temporal():
        raise SchemaError(
            f"{purpose} needs a time column, not {physical_type(dtype)}", value=str(text), hint="Parse it first."
        )
    try:
        value = datetime.fromisoformat(text) if isinstance(text, str) else text
    except ValueError:
        raise UsageError(
            f"{purpose} is not an ISO date or time", value=text, hint='Write it as "2013-08-01" or "2013-08-01T06:00".'
        ) from None
    zone = time_zone_of(dtype)
    if dtype == pl.Date:
        return pl.lit(value.date())
    if value.tzinfo is None:
        literal = pl.lit(value, dtype=pl.Datetime("us"))
        return literal.dt.replace_time_zone(zone) if zone else literal
    if zone is None:
        raise UsageError(
            f"{purpose} has a time zone but the column has none", value=str(text), hint="Leave the zone out."
        )
    return pl.lit(value).dt.convert_time_zone(zone)


def plain(value: Any) -> Any:
    """A value of a cell as JSON has it: times as ISO text, everything unknown as text.

    >>> plain(datetime(2013, 1, 1))
    '2013-01-01T00:00:00'
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)
