"""Universal Binary JSON as XGBoost writes it, read within the bounds of the bytes: nothing is believed of a length."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from tidemill.core.errors import UnsafeModelError

_DEEPEST = 32
_LENGTH = struct.Struct(">q")
_NUMBERS = {
    b"i": struct.Struct(">b"),
    b"U": struct.Struct(">B"),
    b"I": struct.Struct(">h"),
    b"l": struct.Struct(">i"),
    b"L": struct.Struct(">q"),
    b"d": struct.Struct(">f"),
    b"D": struct.Struct(">d"),
}
_ARRAYS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_WORDS = {b"T": True, b"F": False, b"Z": None}


def parsed(data: bytes) -> Any:
    r"""The value: mappings, lists, text, numbers, and arrays for lists of one kind of number.

    Raises
    ------
    UnsafeModelError
        For bytes that end early or go on, names that are there twice, and kinds that XGBoost does not write.

    Examples
    --------
    >>> parsed(b"{L" + bytes(7) + b"\x01ai\x05}")
    {'a': 5}
    """
    try:
        reader = _Reader(data)
        value = reader.value(reader.take(1), 0)
    except (struct.error, UnicodeDecodeError) as error:
        raise UnsafeModelError(f"these bytes are not UBJSON: {error}", hint="Package the model again.") from error
    if reader.place != len(data):
        raise UnsafeModelError("bytes follow the UBJSON", value=len(data) - reader.place)
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        """The next bytes, all of which must be there."""
        if not 0 <= count <= len(self.data) - self.place:
            raise UnsafeModelError("UBJSON tells of more bytes than there are", value=count, hint="Fetch it again.")
        self.place += count
        return self.data[self.place - count : self.place]

    def value(self, kind: bytes, depth: int) -> Any:
        """The value of a kind whose letter was read."""
        if depth > _DEEPEST:
            raise UnsafeModelError("UBJSON is nested deeper than a model is", value=depth)
        if kind in _NUMBERS:
            return _NUMBERS[kind].unpack(self.take(_NUMBERS[kind].size))[0]
        if kind in _WORDS:
            return _WORDS[kind]
        if kind == b"S":
            return self.text()
        if kind == b"{":
            return self.mapping(depth + 1)
        if kind == b"[":
            return self.array(depth + 1)
        raise UnsafeModelError("UBJSON holds a kind that no model has", value=kind)

    def length(self) -> int:
        """A length, which XGBoost writes in eight bytes."""
        if (kind := self.take(1)) != b"L":
            raise UnsafeModelError("UBJSON has a length of another kind", value=kind)
        return int(_LENGTH.unpack(self.take(8))[0])

    def text(self) -> str:
        """Text after its length."""
        return self.take(self.length()).decode()

    def mapping(self, depth: int) -> dict[str, Any]:
        """Names and values, to the closing brace."""
        found: dict[str, Any] = {}
        while self.data[self.place : self.place + 1] != b"}":
            name = self.text()
            if name in found:
                raise UnsafeModelError("a name is there twice in UBJSON", value=name)
            found[name] = self.value(self.take(1), depth)
        self.place += 1
        return found

    def array(self, depth: int) -> Any:
        """As many values as are told first; an array if all are of one kind of number."""
        mark = self.take(1)
        if mark == b"$":
            kind = self.take(1)
            if kind not in _ARRAYS or self.take(1) != b"#":
                raise UnsafeModelError("UBJSON has an array of a strange kind", value=kind)
            dtype = np.dtype(_ARRAYS[kind])
            return np.frombuffer(self.take(self.length() * dtype.itemsize), dtype)
        if mark != b"#":
            raise UnsafeModelError("UBJSON has a list without a length", value=mark)
        count = self.length()
        if not 0 <= count <= len(self.data) - self.place:
            raise UnsafeModelError("UBJSON tells of more values than there are bytes", value=count)
        return [self.value(self.take(1), depth) for _ in range(count)]
