"""How the text of a CSV file is to be read: separators, quotes, signs in numbers; what is left open is looked at."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import ConfigError, DataError, SchemaError
from tidemill.data.sources.encodings import not_utf8

#: Separators that are tried when none is given and the first line has no comma.
_OTHERS = (";", "\t", "|")
_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """The signs of one file: each is one character; `comment` may be longer, and None is none."""

    separator: str = ","
    quote: str = '"'
    comment: str | None = None
    decimal: str = "."
    thousands: str = ""
    null_values: tuple[str, ...] = ()
    is_lossy: bool = False

    @property
    def has_plain_numbers(self) -> bool:
        """Whether numbers are written as Polars parses them."""
        return self.decimal == "." and not self.thousands


@dataclass(frozen=True, slots=True)
class Header:
    """The names of the columns, and where the first row begins: its byte and its line from 1."""

    names: tuple[str, ...]
    start: int
    line: int


def dialect_of(head: bytes, options: Mapping[str, Any]) -> Dialect:
    r"""The dialect of a file that begins with `head`.

    A separator that is not given is the comma; where the first line has none, a semicolon, tab or bar that splits all
    the first lines alike.

    Examples
    --------
    >>> dialect_of(b"town;seats\nBonn;12\n", {}).separator
    ';'

    Raises
    ------
    ConfigError
        If two signs are one.
    """
    found = Dialect(
        separator=options.get("separator", ","),
        quote=options.get("quote", '"'),
        comment=options.get("comment"),
        decimal=options.get("decimal", "."),
        thousands=options.get("thousands", ""),
        null_values=tuple(options.get("null_values", ())),
        is_lossy=str(options.get("encoding", "")).lower() == "utf8-lossy",
    )
    if "separator" not in options:
        found = Dialect(
            _seen_separator(head, found), found.quote, found.comment, found.decimal, found.thousands,
            found.null_values, found.is_lossy,
        )  # fmt: skip
    signs = {"separator": found.separator, "quote": found.quote, "decimal": found.decimal, "thousands": found.thousands}
    for name, sign in signs.items():
        if len(sign.encode()) > 1 or (not sign and name in ("separator", "decimal")):
            raise ConfigError(f"the option {name} is not one ASCII character", value=sign, hint='Such as ";".')
    if len({sign for sign in signs.values() if sign}) < sum(bool(sign) for sign in signs.values()):
        raise ConfigError("two signs of the CSV file are the same", value=signs, hint="Set separator and decimal.")
    return found


def header_of(head: bytes, dialect: Dialect, file: str, *, has_names: bool) -> Header:
    """The names in the first line that is neither empty nor a comment; ``column_1`` and so on where there are none.

    Raises
    ------
    DataError
        If the file is empty, of another encoding, or ends its lines in another way.
    SchemaError
        If a name occurs twice.
    """
    start, line = (3 if head.startswith(b"\xef\xbb\xbf") else 0), 1
    while True:
        end = _end_of_record(head, start, dialect.quote)
        record = head[start:end]
        if not record:
            raise DataError("the file is empty", value=file, hint="It needs at least a header.")
        if record.strip() and not (dialect.comment and record.startswith(dialect.comment.encode())):
            break
        start, line = end, line + 1
    if not dialect.is_lossy:
        not_utf8(record, file, first_line=line)
    text = record.decode("utf-8", "replace").rstrip("\r\n")
    if "\r" in text and "\n" not in text:
        raise DataError(
            f"{file} ends its lines with a carriage return alone, as old Macs did", hint="Convert it to line feeds."
        )
    fields = next(_parsed([text], dialect))
    if not has_names:
        return Header(tuple(f"column_{number}" for number in range(1, len(fields) + 1)), start, line)
    _refuse_twins(fields, file)
    return Header(tuple(fields), end, line + record.count(b"\n"))


def _parsed(lines: list[str], dialect: Dialect) -> Any:
    if not dialect.quote:
        return csv.reader(lines, delimiter=dialect.separator, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=dialect.separator, quotechar=dialect.quote)


def _end_of_record(head: bytes, start: int, quote: str) -> int:
    end, quotes = start, 0
    while True:
        following = head.find(b"\n", end)
        following = len(head) if following < 0 else following + 1
        quotes += head.count(quote.encode(), end, following) if quote else 0
        end = following
        if quotes % 2 == 0 or end == len(head):
            return end


def _seen_separator(head: bytes, dialect: Dialect) -> str:
    text = head[:65536].decode("utf-8-sig", "replace")
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and not (dialect.comment and line.startswith(dialect.comment))
    ]
    lines = lines[: min(_LOOKED_AT, max(1, len(lines) - 1))]  # the last one may be cut
    if not lines or ("," in lines[0] and dialect.decimal != "," and dialect.thousands != ","):
        return ","
    for sign in _OTHERS:
        if sign in (dialect.decimal, dialect.thousands, dialect.quote):
            continue
        trial = Dialect(sign, dialect.quote)
        widths = {len(fields) for fields in _parsed(lines, trial)}
        if len(widths) == 1 and widths != {1}:
            return sign
    return ","


def _refuse_twins(fields: list[str], file: str) -> None:
    places: dict[str, list[int]] = {}
    for number, name in enumerate(fields, start=1):
        places.setdefault(name, []).append(number)
    twins = {name: found for name, found in places.items() if len(found) > 1}
    if twins:
        told = "; ".join(f"{name!r} in {' and '.join(map(str, found))}" for name, found in list(twins.items())[:3])
        raise SchemaError(
            f"{file} names columns twice: columns {told}",
            hint="Rename them in the header, or set header = false to have them numbered.",
        )
