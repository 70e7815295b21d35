"""What a text is encoded in when it is not UTF-8 as was thought: said with the line, and with a likely name."""

from __future__ import annotations

import codecs

from tidemill.core.errors import DataError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
#: Bytes that no printed text has in these places of cp1252.
_UNUSED_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")


def likely_encoding(data: bytes) -> str:
    r"""A guess at what a text that is not UTF-8 is encoded in.

    >>> likely_encoding("Zürich".encode("cp1252")), likely_encoding("Bonn".encode("utf-16"))
    ('cp1252', 'utf-16')
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    head = data[:4096]
    if head.count(0) > len(head) // 4:
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return "latin1" if _UNUSED_1252 & set(data) else "cp1252"


def refuse_wide(head: bytes, file: str) -> None:
    """Raise DataError if a file that is taken for UTF-8 begins like one of UTF-16 or UTF-32, or like none of text."""
    if not head.startswith(tuple(mark for mark, _ in _MARKS)) and b"\0" not in head[:256]:
        return
    name = likely_encoding(head)
    if not name.startswith("utf"):
        raise DataError(
            f"{file} is no text: line 1 begins with {head[:4]!r}", hint="Set format to what it is, or unpack it."
        )
    raise DataError(
        f"{file} is not encoded as UTF-8: line 1 begins with {head[:4]!r}", hint=f'Probably encoding = "{name}".'
    )


def not_utf8(data: bytes, file: str, *, first_line: int) -> None:
    """Raise DataError, naming the line, if some bytes are not UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        begin = data.rfind(b"\n", 0, error.start) + 1
        end = data.find(b"\n", error.start)
        text = data[begin : len(data) if end < 0 else end]
        name = likely_encoding(text)
        raise DataError(
            f"{file} is not encoded as UTF-8: line {line:,} has the byte 0x{data[error.start]:02x}",
            value=text.decode(name, "replace")[:80],
            hint=f'Probably encoding = "{name}", in which the line reads like this; or bad_lines = "quarantine".',
        ) from None
