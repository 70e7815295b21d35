"""Lines that cannot be read go aside with their number and the reason; the lines around them survive."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tidemill.data.sources.csv_types import as_type
from tidemill.data.sources.dialect import dialect_of
from tidemill.data.types import polars_type

#: A record of more lines than this is taken for a quote that was never closed.
_LONGEST_RECORD = 50
#: Lines from which the separator is seen where none is given.
_SEEN = 200
#: How the reason of a line begins whose bytes are no text.
UNDECODED = "not of the declared encoding"
_UNDECODED = re.compile("[\udc80-\udcff]")
_SCHEMA = {"file": pl.String, "line": pl.Int64, "reason": pl.String, "text": pl.String}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was left out: its file, its number from 1, why, and what it says."""

    file: str
    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    text: str


def bad_table(bad: Iterable[BadLine]) -> pl.DataFrame:
    """The quarantine table: ``file``, ``line``, ``reason`` and ``text``."""
    return pl.DataFrame([(item.file, item.line, item.reason, item.text) for item in bad], schema=_SCHEMA, orient="row")


def good_csv(data: bytes, options: Mapping[str, Any], file: str) -> tuple[bytes, list[BadLine]]:
    r"""The lines of a CSV text that can be read, in UTF-8, and those that cannot.

    A line is bad when it has more or fewer fields than the header, a quote that is not closed, bytes of another
    encoding, or a value that is not of the type that the option ``schema`` fixes.

    Examples
    --------
    >>> good, bad = good_csv(b"dest,miles\nIAH,1400\nMIA\n", {}, "flights.csv")
    >>> good, bad[0].line, bad[0].reason
    (b'dest,miles\nIAH,1400\n', 3, '1 field, not 2')
    """
    lines = _decoded(data, options).splitlines(keepends=True)
    if "separator" not in options:
        head = "".join(lines[:_SEEN]).encode(errors="replace")
        options = {**options, "separator": dialect_of(head, options).separator}
    quote, comment = options.get("quote", '"'), options.get("comment")
    records, bad = _records(lines, quote, comment, file)
    parsed = csv.reader(
        (record.text for record in records), delimiter=options["separator"], quotechar=quote, strict=False
    )
    good: list[_Record] = []
    width = 0
    for record, fields in zip(records, parsed, strict=True):
        width = width or len(fields)
        reason = _csv_reason(record.text, len(fields), width)
        if reason is None:
            good.append(record)
        elif record.text.strip():
            bad.append(_bad(file, record, reason))
    good, mistyped = _typed(good, options, file)
    ordered = sorted([*bad, *mistyped], key=lambda item: item.line)
    return _joined(good), ordered


def good_ndjson(data: bytes, options: Mapping[str, Any], file: str) -> tuple[bytes, list[BadLine]]:
    r"""The lines that are JSON objects, and those that are not.

    >>> good_ndjson(b'{"a": 1}\n{"a":\n[2]\n', {}, "f.ndjson")[1][1].reason
    'not an object but list'
    """
    good: list[_Record] = []
    bad: list[BadLine] = []
    for number, text in enumerate(_decoded(data, options).split("\n"), start=1):
        record = _Record(number, text + "\n")
        if not text.strip():
            continue
        reason = _json_reason(text)
        if reason is None:
            good.append(record)
        else:
            bad.append(_bad(file, record, reason))
    return _joined(good), bad


def _decoded(data: bytes, options: Mapping[str, Any]) -> str:
    encoding = str(options.get("encoding", "utf8"))
    if encoding.lower() in ("utf8", "utf-8", "utf8-lossy"):
        encoding = "utf-8-sig"
    errors = "replace" if "16" in encoding or "32" in encoding else "surrogateescape"
    return data.decode(encoding, errors)


def _joined(records: Sequence[_Record]) -> bytes:
    return "".join(record.text if record.text.endswith("\n") else f"{record.text}\n" for record in records).encode()


def _bad(file: str, record: _Record, reason: str) -> BadLine:
    return BadLine(file, record.line, reason, _UNDECODED.sub("\ufffd", record.text.rstrip("\r\n")))


def _records(lines: Sequence[str], quote: str, comment: str | None, file: str) -> tuple[list[_Record], list[BadLine]]:
    """Lines put together while a quote is open; one that never closes costs its own line only."""
    records: list[_Record] = []
    bad: list[BadLine] = []
    at = 0
    while at < len(lines):
        if comment and lines[at].startswith(comment):
            at += 1
            continue
        end, quotes = at + 1, lines[at].count(quote) if quote else 0
        while quotes % 2 and end < min(len(lines), at + _LONGEST_RECORD):
            quotes += lines[end].count(quote)
            end += 1
        if quotes % 2:
            bad.append(_bad(file, _Record(at + 1, lines[at]), "a quote is not closed"))
            end = at + 1
        else:
            records.append(_Record(at + 1, "".join(lines[at:end])))
        at = end
    return records, bad


def _csv_reason(text: str, fields: int, width: int) -> str | None:
    if fields != width:
        return f"{fields} field{'' if fields == 1 else 's'}, not {width}"
    return _undecoded(text)


def _undecoded(text: str) -> str | None:
    found = _UNDECODED.search(text)
    return None if found is None else f"{UNDECODED}: byte 0x{ord(found[0]) - 0xDC00:02x}"


def _json_reason(text: str) -> str | None:
    undecoded = _undecoded(text)
    if undecoded is not None:
        return undecoded
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"not JSON: {error}"
    return None if isinstance(value, dict) else f"not an object but {type(value).__name__}"


def _typed(records: list[_Record], options: Mapping[str, Any], file: str) -> tuple[list[_Record], list[BadLine]]:
    """Set rows aside whose values are not of the types that were fixed."""
    fixed = {name: polars_type(kind) for name, kind in options.get("schema", {}).items()}
    if not fixed or len(records) < 2:
        return records, []
    frame = pl.read_csv(
        _joined(records),
        separator=options.get("separator", ","),
        quote_char=options.get("quote", '"'),
        null_values=list(options.get("null_values", ())),
        infer_schema=False,
    )
    reasons: dict[int, str] = {}
    for name, kind in fixed.items():
        if name in frame.columns and kind != pl.String:
            for row in _misfits(frame[name], kind, options):
                reasons.setdefault(row + 1, f"{name} is {frame[name][row]!r}, not {options['schema'][name]}")
    good = [record for index, record in enumerate(records) if index not in reasons]
    return good, [_bad(file, records[index], reason) for index, reason in sorted(reasons.items())]


def _misfits(column: pl.Series, kind: pl.DataType, options: Mapping[str, Any]) -> list[int]:
    values = as_type(column, kind, options.get("decimal", "."), options.get("thousands", ""))
    return (values.is_null() & column.is_not_null()).arg_true().to_list()
