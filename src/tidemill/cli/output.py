"""How commands speak: JSON lines for machines, short aligned tables for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from tidemill.core.clock import from_us


def jsonable(value: Any) -> Any:
    """Turn records, dates, paths and non-finite numbers into what JSON can say (NaN becomes null)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | bool | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def as_line(payload: Any) -> str:
    """One JSON object on one line."""
    return json.dumps(jsonable(payload), ensure_ascii=False, separators=(", ", ": "))


def as_error_line(kind: str, message: str, *, exit_code: int, **details: Any) -> str:
    """The last line of a failed command under ``--json``."""
    return as_line({"status": "error", "error": {"type": kind, "message": message, **details}, "exit_code": exit_code})


def emit(payload: Any) -> None:
    """Print one JSON line and flush it, so that a reader sees progress."""
    click.echo(as_line(payload))
    sys.stdout.flush()


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> str:
    """Align columns of text; the columns named in `right` are flushed right.

    >>> print(table(["step", "rows"], [["clean", 12], ["fit", 3]], right=["rows"]))
    step   rows
    clean    12
    fit       3
    """
    cells = [[str(header) for header in headers], *[["" if c is None else str(c) for c in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    flush_right = [header in set(right) for header in headers]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, flush_right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def moment(us: int | None) -> str:
    """A UTC time for people, to the second."""
    return "" if us is None else from_us(us).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """Seconds for people.

    >>> [duration(s) for s in (0.0031, 2.345, 75.2, 4000)]
    ['3 ms', '2.3 s', '1 min 15 s', '1 h 06 min']
    """
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def size(count: float) -> str:
    """Bytes for people, in powers of 1024.

    >>> [size(n) for n in (12, 2048, 5_000_000)]
    ['12 B', '2.0 KiB', '4.8 MiB']
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def relative(path: Path) -> str:
    """A path as the reader would type it from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
