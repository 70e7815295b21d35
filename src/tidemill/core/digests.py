"""Digests of bytes and of plain values: equal values have equal digests, on every machine and in every process."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from tidemill.core.errors import UsageError


def digest_bytes(*parts: bytes) -> str:
    """SHA-256 of the parts, one after another, as 64 hexadecimal digits.

    >>> digest_bytes(b"tide", b"mill") == digest_bytes(b"tidemill")
    True
    """
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.hexdigest()


def digest_value(value: object) -> str:
    """SHA-256 of a plain value: scalars, dates, containers, enums, paths and dataclasses of these.

    Every type has its own tag, so ``1``, ``1.0``, ``True`` and ``"1"`` differ, and so do a list and a tuple;
    mappings and sets do not depend on order; ``-0.0`` differs from ``0.0`` and every NaN is one NaN.

    Raises
    ------
    UsageError
        For a value that has no canonical form; it names the value and where it was found.

    Examples
    --------
    >>> digest_value({"a": 1, "b": [2.5, None]}) == digest_value({"b": [2.5, None], "a": 1})
    True
    >>> digest_value(1) == digest_value(True)
    False
    """
    hasher = hashlib.sha256()
    for piece in _pieces(value, "value"):
        hasher.update(piece)
    return hasher.hexdigest()


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces; equal values give equal text. NaN and infinities are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _tagged(tag: bytes, body: bytes) -> bytes:
    return tag + struct.pack("<Q", len(body)) + body


def _pieces(value: object, path: str) -> Iterable[bytes]:
    scalar = _scalar(value)
    if scalar is not None:
        yield scalar
    elif isinstance(value, list | tuple):
        yield (b"L" if isinstance(value, list) else b"T") + struct.pack("<Q", len(value))
        for index, item in enumerate(value):
            yield from _pieces(item, f"{path}[{index}]")
    elif isinstance(value, set | frozenset):
        yield b"S" + struct.pack("<Q", len(value))
        yield from sorted(b"".join(_pieces(item, f"{path}{{…}}")) for item in value)
    elif isinstance(value, dict):
        yield b"M" + struct.pack("<Q", len(value))
        yield from sorted(
            b"".join(_pieces(key, f"{path} key")) + b"".join(_pieces(item, f"{path}[{key!r}]"))
            for key, item in value.items()
        )
    elif is_dataclass(value) and not isinstance(value, type):
        yield _tagged(b"R", f"{type(value).__module__}.{type(value).__qualname__}".encode())
        for field in fields(value):
            if not field.compare:  # equal values have equal digests
                continue
            yield _tagged(b"k", field.name.encode())
            yield from _pieces(getattr(value, field.name), f"{path}.{field.name}")
    else:
        raise UsageError(
            f"{path} of type {type(value).__module__}.{type(value).__qualname__} has no canonical form to digest",
            value=value,
            hint="Pass plain values, tables, arrays, files or registered types, or return it from a step.",
        )


def _scalar(value: object) -> bytes | None:
    """The canonical bytes of a scalar, or None for anything else."""
    if value is None:
        return b"N"
    kind = type(value)
    encode = _SCALARS.get(kind)
    if encode is not None:
        return encode(value)
    if isinstance(value, Enum):
        return _tagged(b"E", f"{kind.__module__}.{kind.__qualname__}.{value.name}".encode())
    if isinstance(value, PurePath):
        return _tagged(b"P", str(value).encode())
    return None


def _float(value: float) -> bytes:
    return b"f" + struct.pack("<d", math.nan if math.isnan(value) else value)


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda v: b"B\x01" if v else b"B\x00",
    int: lambda v: _tagged(b"i", f"{v:x}".encode()),  # hexadecimal: Python limits the digits of decimal text
    float: _float,
    complex: lambda v: b"c" + _float(v.real) + _float(v.imag),
    str: lambda v: _tagged(b"s", v.encode("utf-8", "surrogatepass")),
    bytes: lambda v: _tagged(b"b", v),
    datetime: lambda v: _tagged(b"t", f"{v.isoformat()} {v.fold} {getattr(v.tzinfo, 'key', '')}".encode()),
    date: lambda v: _tagged(b"d", v.isoformat().encode()),
    time: lambda v: _tagged(b"h", v.isoformat().encode()),
    timedelta: lambda v: _tagged(b"D", f"{v.days} {v.seconds} {v.microseconds}".encode()),
    Decimal: lambda v: _tagged(b"n", str(v).encode()),
    UUID: lambda v: _tagged(b"u", v.bytes),
}
