"""Whether an Arrow stream holds no more than it is long: compressed inside, or with bytes that stand for many columns.

What such a stream unpacks to is known only once it fills the memory.
"""

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
        When it is no such stream, or its columns share bytes.
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
            size = _field(data, message, 3)
            body = struct.unpack_from("<q", data, message + size)[0] if size else 0
            if body < 0:
                raise ValueError("a message of the stream has a negative length")
            if kind in (_DICTIONARY, _BATCH):
                batch = _batch(data, message, kind)
                if _field(data, batch, 3):
                    return True
                if _claimed(data, batch) > body:
                    raise ValueError("columns of the stream share bytes")
            at += 8 + length + body
    except (struct.error, IndexError) as error:
        raise ValueError("the metadata of a message is broken") from error
    return False


def _batch(data: bytes, message: int, kind: int) -> int:
    """Where the table of a message's batch lies."""
    batch = _followed(data, message + _field(data, message, 2))
    return batch if kind == _BATCH else _followed(data, batch + _field(data, batch, 1))


def _claimed(data: bytes, batch: int) -> int:
    """The bytes of all buffers of a batch, each a pair of offset and length."""
    field = _field(data, batch, 2)
    if not field:
        return 0
    vector = _followed(data, batch + field)
    (count,) = struct.unpack_from("<I", data, vector)
    if vector + 4 + 16 * count > len(data):
        raise ValueError("the metadata of a message is broken")
    return sum(struct.unpack_from("<q", data, vector + 4 + 16 * place + 8)[0] for place in range(count))


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
