"""How commands speak: JSON lines for machines, short aligned tables for people."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click

from tidemill.core.clock import from_us
from tidemill.core.errors import TidemillError

#: Longer texts are cut in tables; ids and numbers are shorter.
_CELL = 72
#: Where JSON lines go, once standard output is claimed for them.
_lines: IO[str] | None = None


def claim_stdout() -> None:
    """Keep standard output for JSON lines: whatever else is written to it from now on goes to standard error.

    That holds for what modules print when they are imported, for C libraries and for child processes, since the file
    descriptor itself is turned.
    """
    global _lines
    with contextlib.suppress(OSError):  # a descriptor is closed: then there is nobody to keep lines apart for
        own = os.dup(1)
        os.dup2(2, 1)
        _lines = os.fdopen(own, "w", encoding="utf-8")


def is_read() -> bool:
    """Whether somebody still reads what is printed."""
    try:
        poll = select.poll()
        poll.register((_lines or sys.stdout).fileno(), select.POLLOUT)
        return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def silence() -> None:
    """Write to nowhere from now on: the reader of standard output is gone."""
    global _lines
    _lines = None
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def public(text: str) -> str:
    """The text without the secrets that this process has read; if no project was loaded, it has read none."""
    secrets = sys.modules.get("tidemill.project.secrets")
    return text if secrets is None else str(secrets.redact(text))


def jsonable(value: Any) -> Any:
    """Turn records, dates, paths and non-finite numbers into what JSON can say (NaN becomes null)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return public(value)
    if isinstance(value, int | bool | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return public(str(value))


def as_line(payload: Any) -> str:
    """One JSON object on one line."""
    return json.dumps(jsonable(payload), ensure_ascii=False, separators=(", ", ": "))


def as_error(error: BaseException, exit_code: int, *, shown: str = "") -> dict[str, Any]:
    """The end of a failed command under ``--json``: what happened, the value, what to do, and the exit code.

    >>> from tidemill.core.errors import UsageError
    >>> as_error(UsageError("no such step", value="fti", hint="Did you mean 'fit'?"), 2)["error"]["hint"]
    "Did you mean 'fit'?"
    """
    details: dict[str, Any] = {"type": type(error).__name__, "message": shown or str(error)}
    if isinstance(error, TidemillError):
        details |= {"what": error.what, "value": jsonable(error.value), "hint": error.hint}
        details |= {"details": error.details} if error.details else {}
    return {"status": "error", "error": details, "exit_code": exit_code}


def emit(payload: Any) -> None:
    """Print one JSON line and flush it, so that a reader sees progress."""
    click.echo(as_line(payload), file=_lines)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> str:
    """Align columns of text; the columns named in `right` are flushed right, and one that is empty is left out.

    >>> print(table(["step", "rows", "note"], [["clean", 12, None], ["fit", 3, ""]], right=["rows"]))
    step   rows
    clean    12
    fit       3
    """
    body = [["" if cell is None else _clipped(str(cell)) for cell in row] for row in rows]
    kept = [place for place in range(len(headers)) if not body or any(row[place] for row in body)]
    cells = [[str(headers[place]) for place in kept], *[[row[place] for place in kept] for row in body]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(kept))]
    flush_right = [headers[place] in set(right) for place in kept]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, flush_right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CELL else f"{line[: _CELL - 1]}…"


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


def number(value: object) -> str:
    """A number for people, to six digits; nothing for None.

    >>> [number(n) for n in (0.123456789, 12, None, "yes")]
    ['0.123457', '12', '', 'yes']
    """
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def relative(path: Path) -> str:
    """A path as the reader would type it from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
