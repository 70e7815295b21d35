"""CSV whose types hold for the whole file, at about the cost of one parse."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import DataError, SchemaError
from tidemill.data.types import polars_type

_INFER_ROWS = 10_000
_SAMPLE = 200
_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$"
_ZONED = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$"


def read_csv(data: Path | bytes, options: Mapping[str, Any], columns: Sequence[str] | None) -> pl.DataFrame:
    r"""Read a CSV file or its bytes.

    Types are inferred from the first rows and corrected by the whole file: a column that turns out to hold decimals or
    text further down is read again as such, one that was all missing at the start becomes what its values are, and ISO
    dates and times are parsed (times with an offset become UTC) unless the option ``dates`` is false. The option
    ``schema`` fixes the type of a column.

    Raises
    ------
    DataError
        If the file is empty or ragged.
    SchemaError
        If a column that was asked for, or whose type was fixed, is not there.

    Examples
    --------
    >>> read_csv(b"dest,at\nIAH,2013-01-01T10:00:00Z\nNA,NA\n", {"null_values": ["NA"]}, None).schema["at"]
    Datetime(time_unit='us', time_zone='UTC')
    """
    fixed = {name: polars_type(kind) for name, kind in options.get("schema", {}).items()}
    # Times and dates are parsed below, with a message of ours when they do not fit.
    overrides = {name: (pl.String() if kind.is_temporal() else kind) for name, kind in fixed.items()}
    frame = _parse(data, options, overrides, columns if options.get("header", True) else None)
    _refuse_twins(frame)
    _require(frame, [*(columns or ()), *(name for name in fixed if columns is None or name in columns)])
    for name, kind in fixed.items():
        if kind.is_temporal() and name in frame.columns:
            frame = frame.with_columns(_as_fixed_time(frame[name], kind))
    loose = [name for name, kind in frame.schema.items() if kind == pl.String and name not in fixed]
    repaired = [narrowed(frame[name], dates=bool(options.get("dates", True))) for name in loose]
    return frame.with_columns(repaired)


def _parse(
    data: Path | bytes,
    options: Mapping[str, Any],
    overrides: Mapping[str, pl.DataType],
    columns: Sequence[str] | None,
) -> pl.DataFrame:
    def parse(rows: int | None) -> pl.DataFrame:
        return pl.read_csv(
            io.BytesIO(data) if isinstance(data, bytes) else data,
            separator=options.get("separator", ","),
            quote_char=options.get("quote", '"'),
            has_header=options.get("header", True),
            comment_prefix=options.get("comment"),
            encoding=options.get("encoding", "utf8"),
            null_values=list(options.get("null_values", ())),
            schema_overrides=dict(overrides),
            infer_schema_length=rows,
            columns=None if columns is None else list(columns),
        )

    try:
        return parse(options.get("infer_rows", _INFER_ROWS))
    except pl.exceptions.ColumnNotFoundError:
        raise SchemaError(
            "the file does not have all columns that were asked for",
            value=list(columns or ()),
            hint="Check the header.",
        ) from None
    except pl.exceptions.NoDataError:
        raise DataError("the file is empty", value=_name(data), hint="It needs at least a header.") from None
    except pl.exceptions.ComputeError:
        return parse(None)  # a value further down does not fit: infer from every row


def _name(data: Path | bytes) -> str:
    return data.name if isinstance(data, Path) else f"{len(data)} bytes"


def _require(frame: pl.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise SchemaError("the file lacks columns", value=missing, hint=f"It has: {', '.join(frame.columns)}.")


def _refuse_twins(frame: pl.DataFrame) -> None:
    names = set(frame.columns)
    twins = sorted(name for name in names if f"{name}_duplicated_0" in names)
    if twins:
        raise SchemaError("the file names columns twice", value=twins, hint="Rename them in the header.")


def narrowed(column: pl.Series, *, dates: bool, numbers: bool = True) -> pl.Series:
    """The column as numbers or times if every value in it is one; otherwise as it is."""
    sample = column.drop_nulls().head(_SAMPLE)
    if sample.is_empty():
        return column
    if numbers and sample.str.contains(_NUMBER).all():
        for kind in (pl.Int64, pl.Float64):
            cast = column.str.strip_chars().cast(kind, strict=False)
            if cast.null_count() == column.null_count():
                return cast
    if dates:
        for pattern, parse in ((_DATE, _to_date), (_TIME, _to_time), (_ZONED, _to_utc)):
            if sample.str.contains(pattern).all() and column.drop_nulls().str.contains(pattern).all():
                parsed = parse(column)
                return parsed if parsed.null_count() == column.null_count() else column
    return column


def _to_date(column: pl.Series) -> pl.Series:
    return column.str.to_date("%Y-%m-%d", strict=False)


def _to_time(column: pl.Series) -> pl.Series:
    return column.str.replace(" ", "T", literal=True).str.to_datetime(time_unit="us", strict=False)


def _to_utc(column: pl.Series) -> pl.Series:
    """Times with an offset, in UTC; the few distinct texts of a typical column are parsed once each."""
    text = column.str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    seconds = text.str.replace(r"T(\d{2}:\d{2})([+-])", "T$1:00$2")
    return seconds.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)


def _as_fixed_time(column: pl.Series, kind: pl.DataType) -> pl.Series:
    try:
        if isinstance(kind, pl.Datetime) and kind.time_zone:
            return _to_utc(column).dt.convert_time_zone(kind.time_zone)
        return column.str.strptime(kind)  # type: ignore[arg-type]  # a time type: the caller checked
    except pl.exceptions.PolarsError as error:
        raise SchemaError(
            f"column {column.name!r} does not hold values of its declared type: {str(error).splitlines()[0]}",
            hint="Correct the source's schema option, or leave the column out of it.",
        ) from error
