"""Records with many rows: values by column, and numbers as bytes behind the JSON, which digits cost ten times.

A record is JSON. One that has bytes as well begins with a zero, which no JSON does, and the length of its JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

_NUMBERS = np.dtype("<f8")
_HEAD = struct.Struct("<BI")


def payload_of(record: Sequence[Any], numbers: bytes) -> bytes:
    """A record as it is written; plain JSON if it has no numbers."""
    text = orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS)
    return b"".join((_HEAD.pack(0, len(text)), text, numbers)) if numbers else text


def record_of(payload: bytes) -> tuple[list[Any], bytes]:
    """What `payload_of` was given."""
    if payload[0]:
        return orjson.loads(payload), b""
    start, length = _HEAD.size, _HEAD.unpack_from(payload)[1]
    return orjson.loads(payload[start : start + length]), payload[start + length :]


def packed(columns: Sequence[Any], rows: Sequence[Any]) -> tuple[dict[str, Any], bytes]:
    """What stands for rows in a record, and its numbers.

    Parameters
    ----------
    columns
        Of the values of those rows that have any: arrays of float64, where NaN stands for None, or lists.
    rows
        The rows themselves: None for one that was refused, which has no values.

    Returns
    -------
    dict
        ``columns``: lists, or None for those whose little-endian float64 are in the bytes, one after the other; and
        where not every row has values, the ``places`` of those that have.
    bytes
        The numbers.

    Examples
    --------
    >>> told, numbers = packed([np.array([0.5, np.nan]), ["IAH", "MIA"]], [(0.5, "IAH"), None, (None, "MIA")])
    >>> told, len(numbers), unpacked(told, numbers, 3)
    ({'columns': [None, ['IAH', 'MIA']], 'places': [0, 2]}, 16, [[0.5, 'IAH'], None, [None, 'MIA']])
    """
    arrays: list[Any] = [np.ascontiguousarray(one, _NUMBERS) for one in columns if isinstance(one, np.ndarray)]
    told: dict[str, Any] = {"columns": [None if isinstance(one, np.ndarray) else one for one in columns]}
    if columns and len(columns[0]) < len(rows):
        told["places"] = [place for place, row in enumerate(rows) if row is not None]
    return told, b"".join(arrays)


def unpacked(told: Mapping[str, Any], numbers: bytes, count: int) -> list[list[Any] | None]:
    """So many rows that `packed` has told; each a list of its values, or None."""
    places = told.get("places", range(count))
    arrays = iter(np.frombuffer(numbers, _NUMBERS).reshape(-1, len(places)))
    columns = [_listed(next(arrays)) if one is None else one for one in told["columns"]]
    out: list[list[Any] | None] = [None] * count
    for place, row in zip(places, zip(*columns, strict=True), strict=True):
        out[place] = [*row]
    return out


def _listed(numbers: np.ndarray[Any, Any]) -> list[Any]:
    return [None if number != number else number for number in numbers.tolist()]
