"""Files in, lazy tables out: one small reader per format."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, DataError, TidemillError
from tidemill.data.sources.csv import read_csv

_SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet", ".ndjson": "ndjson",
    ".jsonl": "ndjson", ".json": "json", ".arrow": "ipc", ".feather": "ipc", ".ipc": "ipc",
}  # fmt: skip
_COMPRESSED = {".gz", ".zip"}


def format_of(path: str) -> str:
    """The format that a file's name tells, looking behind ``.gz`` and ``.zip``.

    >>> format_of("flights.csv.zip")
    'csv'
    """
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes]
    while suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    raise ConfigError(
        "the file's name does not tell its format",
        value=PurePath(path).name,
        hint=f"Set format to one of {', '.join(sorted(set(_SUFFIXES.values())))}.",
    )


def scan(
    files: Sequence[Path], kind: str | None, options: Mapping[str, Any], columns: Sequence[str] | None
) -> pl.LazyFrame:
    """One lazy table of all files, which must agree in their columns.

    Raises
    ------
    DataError
        If a file cannot be parsed; the message names it.
    ConfigError
        If the format is unknown.
    """
    frames = [_scan_file(path, kind or format_of(path.name), options, columns) for path in files]
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical_relaxed")


def _scan_file(path: Path, kind: str, options: Mapping[str, Any], columns: Sequence[str] | None) -> pl.LazyFrame:
    reader = _READERS.get(kind)
    if reader is None:
        raise ConfigError("no reader for this format", value=kind, hint=f"Use one of {', '.join(sorted(_READERS))}.")
    if path.suffix.lower() == ".tsv" or path.name.lower().endswith((".tsv.gz", ".tsv.zip")):
        options = {"separator": "\t", **options}
    try:
        frame = reader(_opened(path, options), options, columns)
        frame.collect_schema()  # a file that is not of its format shows here, and not in a later step
        return frame if columns is None else frame.select(columns)
    except TidemillError:
        raise
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise DataError(
            f"{path.name} cannot be read as {kind}: {str(error).splitlines()[0]}",
            hint="Check the source's format and options.",
        ) from error


def _opened(path: Path, options: Mapping[str, Any]) -> Path | bytes:
    """The path itself, or the bytes behind a compression that the readers do not see through."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if suffix != ".zip":
        return path
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        member = options.get("member")
        if member is None and len(names) != 1:
            raise ConfigError(
                f"{path.name} holds {len(names)} files", value=names, hint='Choose one with member = "NAME".'
            )
        if member is not None and member not in names:
            raise ConfigError(f"{path.name} has no member of this name", value=member, hint=f"It has: {names}.")
        return archive.read(member or names[0])


def _stream(data: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(data) if isinstance(data, bytes) else data


def _csv(data: Path | bytes, options: Mapping[str, Any], columns: Sequence[str] | None) -> pl.LazyFrame:
    return read_csv(data, options, columns).lazy()


def _parquet(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.scan_parquet(_stream(data))


def _ndjson(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.read_ndjson(_stream(data), infer_schema_length=None).lazy()


def _json(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.read_json(_stream(data), infer_schema_length=None).lazy()


def _ipc(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.scan_ipc(_stream(data))


_READERS: dict[str, Callable[[Path | bytes, Mapping[str, Any], Sequence[str] | None], pl.LazyFrame]] = {
    "csv": _csv,
    "parquet": _parquet,
    "ndjson": _ndjson,
    "json": _json,
    "ipc": _ipc,
}
