"""Records in a file that may break off anywhere: each has its length and checksum; what follows a bad one is torn."""

from __future__ import annotations

import fcntl
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"TMLOG\x01\n\x00"
_HEADER = struct.Struct("<II")


def frame(payload: bytes) -> bytes:
    """A record: length, CRC-32, payload."""
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def is_finished(path: Path) -> bool:
    """Whether a segment has no living writer any more: whoever writes one holds its lock until the end of its life."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):  # it is written, or sealed and gone
        return False
    return True


class Records:
    """The whole records of a segment; after iterating, `torn` says how many bytes at its end are no whole record.

    >>> data = MAGIC + frame(b"one") + frame(b"two")[:-1]
    >>> records = Records(data)
    >>> list(records), records.torn
    ([b'one'], 10)
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.torn = 0

    def __iter__(self) -> Iterator[bytes]:
        data = self._data
        if not data.startswith(MAGIC):
            self.torn = len(data)
            return
        at = len(MAGIC)
        while at + _HEADER.size <= len(data):
            length, checksum = _HEADER.unpack_from(data, at)
            payload = data[at + _HEADER.size : at + _HEADER.size + length]
            if len(payload) < length or zlib.crc32(payload) != checksum:
                break
            yield payload
            at += _HEADER.size + length
        self.torn = len(data) - at
