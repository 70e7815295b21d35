"""Tables that come in parts, written to one Parquet file in bounded memory; types are those that hold for all parts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from tidemill.core.errors import SchemaError
from tidemill.data.sources.csv_types import Kind, fitted, likely_kind

_GROUP_ROWS = 1 << 17


def write_snapshot(parts: Iterable[pl.DataFrame], target: Path, *, text_times: bool) -> None:
    """Write parts as one table; at least one comes, if only for its columns.

    Parameters
    ----------
    parts
        Of one table; a column may be `Null` in some, and of wider numbers in others.
    target
        The Parquet file.
    text_times
        Whether text columns that hold nothing but dates or times become such.

    Raises
    ------
    SchemaError
        If a column is of different types in two parts.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="tmp-parts-") as folder:
        kept = _Parts(Path(folder), text_times=text_times)
        for part in parts:
            kept.add(part)
        kept.table().sink_parquet(target, row_group_size=_GROUP_ROWS, maintain_order=True)


class _Parts:
    """Parts on disk, and what is known of their text columns."""

    def __init__(self, folder: Path, *, text_times: bool) -> None:
        self._folder = folder
        self._text_times = text_times
        self._schemas: list[pl.Schema] = []
        self._types: dict[str, pl.DataType] = {}
        self._kinds: dict[str, Kind] = {}

    def add(self, part: pl.DataFrame) -> None:
        self._schemas.append(part.schema)
        for name, kind in part.schema.items():
            known = self._types.get(name, pl.Null())
            _require_alike(name, known, kind)
            self._types[name] = kind if known == pl.Null() else known
        if self._text_times:
            for column in part.get_columns():
                if column.dtype == pl.String:
                    self._kinds[column.name] = _common(self._kinds.get(column.name, "nothing"), column)
        part.write_ipc(self._path(len(self._schemas)), compression="lz4")

    def table(self) -> pl.LazyFrame:
        times = {name: kind for name, kind in self._kinds.items() if kind not in ("nothing", "text")}
        if times:
            for number in range(1, len(self._schemas) + 1):
                part = pl.read_ipc(self._path(number).read_bytes())
                found = [_as_kind(part[name], kind) for name, kind in times.items()]
                part.with_columns(found).write_ipc(self._path(number), compression="lz4")
        paths = [self._path(number) for number in range(1, len(self._schemas) + 1)]
        if all(schema == self._schemas[0] for schema in self._schemas):
            return pl.scan_ipc(paths, hive_partitioning=False)
        return pl.concat([pl.scan_ipc(path, hive_partitioning=False) for path in paths], how="vertical_relaxed")

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}.arrow"


def _common(known: Kind, column: pl.Series) -> Kind:
    """The time that all values are so far; text if they are not."""
    if known == "text":
        return known
    kind = likely_kind(column, dates=True, numbers=False) if known == "nothing" else known
    return kind if fitted(column, kind).null_count() == column.null_count() else "text"


def _as_kind(column: pl.Series, kind: Kind) -> pl.Series:
    return fitted(column.cast(pl.String), kind) if column.dtype in (pl.String, pl.Null) else column


def _require_alike(name: str, known: pl.DataType, kind: pl.DataType) -> None:
    if pl.Null() in (known, kind) or (known.is_numeric() and kind.is_numeric()):
        return
    if known.base_type() != kind.base_type():
        raise mixed(name, sorted({str(known), str(kind)}))


def mixed(name: str, kinds: Sequence[str]) -> SchemaError:
    """A column of several types."""
    return SchemaError(
        f"column {name!r} holds values of several types", value=list(kinds), hint="Convert it with CAST in a query."
    )
