"""Whether an Arrow stream is compressed inside: what that unpacks to is known only once it fills the memory."""

from __future__ import annotations

import struct

_CONTINUED, _DICTIONARY, _BATCH = 0xFFFFFFFF, 2, 3


def is_packed(data: bytes) -> bool:
    """Whether any batch of a stream has compressed buffers.

    Only the metadata of the messages is read, as the format lays it out (flatbuffers: ``Message`` has the fields
    version, header type, header, body length; ``RecordBatch`` length, nodes, buffers, compression).

    Raises
    ------
    ValueError
        When it is no such stream.
    """
    at = 0
    try:
        while at + 8 <= len(data):
            mark, length = struct.unpack_from("<Ii", data, at)
            if mark != _CONTINUED or length < 0:
                raise ValueError("it is no stream of Arrow messages")
            if length == 0:
                return False
            message = _followed(data, at + 8)
            kind = data[message + _field(data, message, 1)] if _field(data, message, 1) else 0
            if kind in (_DICTIONARY, _BATCH) and _has_compression(data, message, kind):
                return True
            size = _field(data, message, 3)
            body = struct.unpack_from("<q", data, message + size)[0] if size else 0
            if body < 0:
                raise ValueError("a message of the stream has a negative length")
            at += 8 + length + body
    except (struct.error, IndexError) as error:
        raise ValueError("the metadata of a message is broken") from error
    return False


def _has_compression(data: bytes, message: int, kind: int) -> bool:
    batch = _followed(data, message + _field(data, message, 2))
    if kind == _DICTIONARY:
        batch = _followed(data, batch + _field(data, batch, 1))
    return _field(data, batch, 3) != 0


def _followed(data: bytes, place: int) -> int:
    """Where the table lies that an offset points to."""
    return int(place + struct.unpack_from("<I", data, place)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """How far behind the start of a table its field lies; 0 when it is left out."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    if fields < 0:
        raise ValueError("a table of the stream lies before its start")
    if 4 + 2 * number >= struct.unpack_from("<H", data, fields)[0]:
        return 0
    return int(struct.unpack_from("<H", data, fields + 4 + 2 * number)[0])
