"""Files in, lazy tables out: one small reader per format."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeAlias

import polars as pl

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError, DataError, TidemillError
from tidemill.data.sources.bad_lines import BadLine, good_csv, good_ndjson
from tidemill.data.sources.csv import read_csv
from tidemill.data.sources.opening import COMPRESSED, content, opened, stream, unpacked_size

_SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet",
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json", ".arrow": "ipc", ".feather": "ipc", ".ipc": "ipc",
    ".xlsx": "excel", ".xls": "excel", ".xlsb": "excel", ".xlsm": "excel", ".ods": "excel",
}  # fmt: skip
#: Bytes of files that are read into memory; the tables of larger CSV files are kept on disk, as Arrow.
IN_MEMORY = 512 << 20
#: Of the way in which they are kept.
_KEPT = 1
_SPLITTERS = {"csv": good_csv, "ndjson": good_ndjson}


def format_of(path: str) -> str:
    """The format that a file's name tells, looking behind ``.gz``, ``.zip`` and ``.zst``.

    >>> format_of("flights.csv.zip")
    'csv'
    """
    suffixes = _suffixes(path)
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    raise ConfigError(
        "the file's name does not tell its format",
        value=PurePath(path).name,
        hint=f"Set format to one of {', '.join(sorted(set(_SUFFIXES.values())))}.",
    )


def is_data(path: Path) -> bool:
    """Whether a file of a folder is one to read: of a known format, and not a hidden one or a marker."""
    suffixes = _suffixes(path.name)
    return bool(suffixes) and suffixes[-1] in _SUFFIXES and not path.name.startswith(("_", "."))


def scan(
    files: Sequence[tuple[Path, Sequence[str] | None]],
    kind: str | None,
    options: Mapping[str, Any],
    bad: list[BadLine] | None = None,
    kept: Sequence[Path] = (),
) -> list[pl.LazyFrame]:
    """A lazy table of each file.

    Parameters
    ----------
    files
        Each with the columns that are wanted of it; None for all.
    kind
        The format; None reads it off each file's name.
    options
        How they are read; see `tidemill.data.sources.source.OPTIONS`.
    bad
        Takes the lines that are left out when the option ``bad_lines`` is ``"quarantine"``.
    kept
        For each file a folder in which its table may be kept where memory would not do; see `IN_MEMORY`.

    Raises
    ------
    DataError
        If a file cannot be parsed; the message names it.
    ConfigError
        If the format is unknown.
    """
    left_out: list[BadLine] = [] if bad is None else bad
    is_large = bool(kept) and sum(unpacked_size(path, options) for path, _ in files) > IN_MEMORY
    return [
        _scan_file(path, kind or format_of(path.name), options, columns, left_out, kept[at] if is_large else None)
        for at, (path, columns) in enumerate(files)
    ]


def _suffixes(path: str) -> list[str]:
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes]
    while suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes


def _scan_file(
    path: Path,
    kind: str,
    options: Mapping[str, Any],
    columns: Sequence[str] | None,
    bad: list[BadLine],
    kept: Path | None,
) -> pl.LazyFrame:
    reader = _READERS.get(kind)
    if reader is None:
        raise ConfigError("no reader for this format", value=kind, hint=f"Use one of {', '.join(sorted(_READERS))}.")
    if _suffixes(path.name)[-1:] in ([".tsv"], [".tab"]):
        options = {"separator": "\t", **options}
    try:
        data: Path | bytes
        if options.get("bad_lines") == "quarantine" and kind in _SPLITTERS:
            data, found = _SPLITTERS[kind](content(path, options), options, path.name)
            bad.extend(found)
            options = {**options, "encoding": "utf8"}
        else:
            data = opened(path, kind, options, kept)
            options = {**options, "encoding": _plain(options)}
        if kind == "csv":
            frame = read_csv(data, options, columns, file=path.name, folder=_folder(kept, options, columns))
        else:
            frame = _with_nulls(reader(data, options, columns), options)
        frame.collect_schema()  # a file that is not of its format shows here, and not in a later step
        return frame if columns is None else frame.select(columns)
    except TidemillError:
        raise
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        where = (
            _first_bad_line(path, options) if kind == "ndjson" and isinstance(error, pl.exceptions.PolarsError) else ""
        )
        raise DataError(
            f"{path.name} cannot be read as {kind}: {where or str(error).splitlines()[0]}",
            hint="Check the source's format and options.",
        ) from error


def _with_nulls(frame: pl.LazyFrame, options: Mapping[str, Any]) -> pl.LazyFrame:
    """The table without the text that stands for missing values."""
    nulls, text = list(options.get("null_values", ())), pl.col(pl.String)
    return frame.with_columns(pl.when(~text.is_in(nulls)).then(text).name.keep()) if nulls else frame


def _first_bad_line(path: Path, options: Mapping[str, Any]) -> str:
    """What is wrong with the first line of JSON that is none; the parser tells only the character."""
    bad = good_ndjson(content(path, options), options, path.name)[1]
    return f"line {bad[0].line:,}: {bad[0].reason}" if bad else ""


def _folder(kept: Path | None, options: Mapping[str, Any], columns: Sequence[str] | None) -> Path | None:
    """Where the table of a file is kept: of what it is depends on how it is read."""
    return None if kept is None else kept / f"table-{digest_value([_KEPT, dict(options), columns])[:32]}"


def _plain(options: Mapping[str, Any]) -> str:
    """The encoding of what `opened` gives."""
    return "utf8-lossy" if options.get("encoding") == "utf8-lossy" else "utf8"


def _parquet(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.scan_parquet(stream(data), hive_partitioning=False)


def _ndjson(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.read_ndjson(stream(data), infer_schema_length=None).lazy()


def _json(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.read_json(stream(data), infer_schema_length=None).lazy()


def _ipc(data: Path | bytes, _options: Mapping[str, Any], _columns: Sequence[str] | None) -> pl.LazyFrame:
    return pl.scan_ipc(stream(data), hive_partitioning=False)


def _excel(data: Path | bytes, options: Mapping[str, Any], columns: Sequence[str] | None) -> pl.LazyFrame:
    frame: pl.DataFrame = importlib.import_module("tidemill.integrations.excel").read_excel(data, options, columns)
    return frame.lazy()


_Reader: TypeAlias = Callable[[Path | bytes, Mapping[str, Any], Sequence[str] | None], pl.LazyFrame]
_READERS: dict[str, _Reader] = {
    "csv": read_csv,
    "parquet": _parquet,
    "ndjson": _ndjson,
    "json": _json,
    "ipc": _ipc,
    "excel": _excel,
}
