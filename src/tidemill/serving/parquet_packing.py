"""What a Parquet file unpacks to, told by its metadata before a page of it is unpacked."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Pages and bytes of metadata that are looked at; a file of honest size has far fewer.
_MOST_PAGES, _MOST_METADATA = 200_000, 16 << 20
_DEEPEST = 16
#: Fields of the format's structures (parquet.thrift) that are read; a list is given as its elements.
_COLUMN = {6: None, 7: None, 9: None, 11: None}  # unpacked and packed bytes, first data page, dictionary page
_FILE = {3: None, 4: {1: {3: _COLUMN}, 3: None}}  # rows, row groups: columns, rows
_PAGE = {2: None, 3: None, 5: {1: None}, 8: {1: None}}  # unpacked and packed bytes, values
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 1, 2, 3, 7, 8, 9, 10, 11, 12, 13


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a file unpacks to.

    Parameters
    ----------
    rows
        As the file says.
    values
        Of all columns, those in lists counted one by one: a list of a million may be a few packed bytes.
    size
        Bytes of the pages, as the file or as each page says, whichever is more.
    """

    rows: int
    values: int
    size: int


def unpacked(data: bytes) -> Unpacked:
    """What a Parquet file unpacks to; its pages' headers are read, and none of their bytes.

    Raises
    ------
    ValueError
        When it is no Parquet file, or its metadata is broken.
    """
    if len(data) < 12 or data[:4] != b"PAR1" or data[-4:] != b"PAR1":
        raise ValueError("it is no Parquet file")
    length = int.from_bytes(data[-8:-4], "little")
    if length > min(_MOST_METADATA, len(data) - 12):
        raise ValueError(f"{length:,} bytes of metadata")
    try:
        told, _ = _structure(data, len(data) - 8 - length, _FILE)
        groups = told.get(4, [])
        rows = max(told.get(3, 0), sum(group.get(3, 0) for group in groups))
        values = size = pages = 0
        for column in (column.get(3, {}) for group in groups for column in group.get(1, [])):
            start = min(place for place in (column.get(9, 0), column.get(11, 0) or column.get(9, 0)) if place > 0)
            found = _pages(data, start, column[7], _MOST_PAGES - pages)
            pages, values, size = pages + found[0], values + found[1], size + max(found[2], column.get(6, 0))
    except (IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError("its metadata is broken") from error
    return Unpacked(rows, values, size)


def _pages(data: bytes, at: int, length: int, most: int) -> tuple[int, int, int]:
    """How many pages a column has here, with how many values, of how many bytes unpacked."""
    end, pages, values, size = at + length, 0, 0, 0
    while at < end:
        header, at = _structure(data, at, _PAGE)
        pages += 1
        if pages > most or header[3] < 0 or header[2] < 0:
            raise ValueError(f"more than {_MOST_PAGES:,} pages, or one of a negative length")
        at += header[3]
        size += header[2]
        values += next((header[kind].get(1, 0) for kind in (5, 8) if kind in header), 0)
    return pages, values, size


def _structure(data: bytes, at: int, wanted: Mapping[int, Any], depth: int = 0) -> tuple[dict[int, Any], int]:
    """The wanted fields of a structure in Thrift's compact protocol, and where it ends."""
    found: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _number(data, at)
        value, at = _value(data, at, head & 15, wanted.get(number), depth + 1)
        if number in wanted:
            found[number] = value
    return found, at + 1


def _value(data: bytes, at: int, kind: int, wanted: Any, depth: int) -> tuple[Any, int]:
    """A value and where it ends; of a structure the wanted fields only."""
    if depth > _DEEPEST:
        raise ValueError("its metadata is nested too deeply")
    inner = wanted if isinstance(wanted, dict) else {}
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind == _STRUCT:
        return _structure(data, at, inner, depth)
    if kind in (_LIST, _SET):
        return _items(data, at, inner, depth)
    if kind == _BINARY:
        length, at = _varint(data, at)
        return None, at + length
    if kind in (_BYTE, _DOUBLE, _UUID):
        return None, at + {_BYTE: 1, _DOUBLE: 8, _UUID: 16}[kind]
    if kind == _MAP:
        raise ValueError("its metadata has a map, which the format has not")
    return _number(data, at)


def _items(data: bytes, at: int, wanted: Mapping[int, Any], depth: int) -> tuple[list[Any], int]:
    kind, count, at = data[at] & 15, data[at] >> 4, at + 1
    if count == 15:
        count, at = _varint(data, at)
    if kind in (_TRUE, _FALSE):
        return [], at + count
    kept = []
    for _ in range(count):  # each is a byte or more
        item, at = _value(data, at, kind, wanted, depth + 1)
        if wanted:
            kept.append(item)
    return kept, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) & 0x80:
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("a number of its metadata has no end")
    return value | byte << shift, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A whole number with its sign in the last bit."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
