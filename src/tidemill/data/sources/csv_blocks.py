"""A CSV text in blocks that end where records end, so that a file of any size is parsed in bounded memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: What is parsed at once.
BLOCK = 64 << 20
_FEED = b"\n"
_LINE, _LOOK = 1 << 16, 1 << 22


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records: where they begin and end in the text."""

    start: int
    end: int


class Text:
    """The bytes of a CSV file, mapped and not copied where they are a file, whose `path` that is."""

    def __init__(self, data: Path | bytes) -> None:
        self.path = data if isinstance(data, Path) else None
        self._file: BinaryIO | None = None
        self._bytes: bytes | mmap.mmap
        if isinstance(data, bytes):
            self._bytes = data
            return
        self._file = data.open("rb")
        empty = data.stat().st_size == 0
        self._bytes = b"" if empty else mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._bytes)

    def view(self, start: int, end: int) -> memoryview:
        """A part, not copied; it must not outlive the text."""
        return memoryview(self._bytes)[start:end]

    def cut(self, start: int, end: int, before: bytes = b"") -> bytes:
        """A copy of a part, after other bytes."""
        return b"".join((before, self.view(start, end)))

    def line_of(self, position: int) -> int:
        """The line, from 1, that a byte is in."""
        return 1 + sum(
            _count(self.view(start, min(position, start + BLOCK)), _FEED) for start in range(0, position, BLOCK)
        )

    def blocks(self, start: int, quote: str, size: int | None) -> Iterator[Block]:
        """Blocks of about `size` bytes, or all in one; a line end inside quotes ends no record."""
        if size is None:
            size = len(self)
        while start < len(self):
            end = self.record_end(start, min(len(self), start + size), quote)
            yield Block(start, end)
            self._forget(start, end)
            start = end

    def _forget(self, start: int, end: int) -> None:
        """Let the system take back the memory that a part was mapped to."""
        if isinstance(self._bytes, mmap.mmap) and hasattr(self._bytes, "madvise"):
            start -= start % mmap.PAGESIZE
            self._bytes.madvise(mmap.MADV_DONTNEED, start, end - start)

    def record_end(self, start: int, end: int, quote: str) -> int:
        """The first end of a record at or after `end`."""
        if end == len(self):
            return end
        quotes = _count(self.view(start, end), quote.encode()) if quote else 0
        while end < len(self):
            line = self.cut(end, min(len(self), end + _LINE))
            following = end + (line.find(_FEED) + 1 or len(line))
            if quote:
                quotes += line.count(quote.encode(), 0, following - end)
            end = following
            if quotes % 2 == 0 and (end == len(self) or bytes(self.view(end - 1, end)) == _FEED):
                return end
        return end

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()
        if self._file is not None:
            self._file.close()


def is_whole(block: memoryview | bytes, rows: int, width: int, separator: str, quote: str) -> bool:
    """Whether `rows` records of `width` fields make up a block; Polars fills up short ones in silence."""
    found = opened = 0
    for start in range(0, len(block), _LOOK):
        signs = np.frombuffer(block[start : start + _LOOK], np.uint8)
        is_separator = signs == ord(separator)
        if quote:
            is_quote = signs == ord(quote)
            if opened or is_quote.any():
                inside = (np.cumsum(is_quote, dtype=np.uint8) + np.uint8(opened)) & 1  # wraps, and stays odd or even
                is_separator &= inside == 0
                opened = int(inside[-1])
        found += int(np.count_nonzero(is_separator))
    return found == rows * (width - 1)


def _count(block: memoryview, sign: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord(sign)))
