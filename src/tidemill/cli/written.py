"""Tables that a command writes to a file: the ending of its name says how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import polars as pl

from tidemill.core.errors import DataError, UsageError

_WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": lambda frame, out: frame.write_csv(out),
    ".parquet": lambda frame, out: frame.write_parquet(out),
    ".ndjson": lambda frame, out: frame.write_ndjson(out),
    ".jsonl": lambda frame, out: frame.write_ndjson(out),
}


def writer_of(out: Path) -> Callable[[pl.DataFrame, Path], object]:
    """How a file of this name is written; an error that lists the endings that are known."""
    if out.suffix.lower() not in _WRITERS:
        hint = f"Give one of {', '.join(_WRITERS)}."
        raise UsageError("this kind of file cannot be written", value=out.name, hint=hint)
    return _WRITERS[out.suffix.lower()]


def write_whole(frame: pl.DataFrame, out: Path) -> None:
    """Write the table, or leave what was there: a reader never sees half a file."""
    writer = writer_of(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.stem}-{uuid4().hex}{out.suffix}")
    try:
        writer(frame, draft)
        draft.replace(out)
    except pl.exceptions.PolarsError as error:
        hint = "Parquet holds every type: write to a file that ends in .parquet."
        raise DataError(
            f"the table cannot be written: {str(error).splitlines()[0]}", value=out.name, hint=hint
        ) from error
    finally:
        draft.unlink(missing_ok=True)
