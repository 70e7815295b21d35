"""Plain values as JSON text that reads back exactly: tuples, sets, dates, decimals, bytes, enums, NaN, any keys.

What JSON itself keeps exactly is written as it is. Everything else is an object with the key ``"$"`` that names what it
is; a mapping that has such a key of its own, or keys that are not text, is written as a list of pairs.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tidemill.core.digests import digest_value
from tidemill.core.errors import MaterialiserError, UsageError
from tidemill.core.records import INLINE_LIMIT, Artifact
from tidemill.engine.materialisers.draft import Draft
from tidemill.store.artifacts import ArtifactStore

NAME = "tidemill.engine.materialisers.plain:PlainMaterialiser"
_BIG = 1 << 13000  # Python refuses to read integers of more than 4,300 digits from text


class PlainMaterialiser:
    """Stores plain values and dataclasses of them: inline up to 64 KiB of text, as a blob above."""

    type = "json"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store a plain value; `MaterialiserError` names the first part that is not plain."""
        scalar = scalar_draft(value)
        if scalar is not None:
            return scalar
        encoded = encode(value)
        text = json.dumps(encoded, separators=(",", ":"), allow_nan=False)
        kind = "record" if is_dataclass(value) else "json"
        return stored_text(text, digest_plain(value, encoded), kind, artifacts)

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Any:
        """Read the value back exactly; the annotation makes no difference."""
        text = artifact.inline
        if text is None:
            if artifact.blob is None:
                raise MaterialiserError(
                    "an artifact has neither text nor blob", value=artifact.digest, hint="Run the step again."
                )
            return decode(json.loads(artifacts.read(artifact.blob)))
        return decode(json.loads(text))


def stored_text(text: str, digest: str, kind: str, artifacts: ArtifactStore, name: str = NAME) -> Draft:
    """The draft of a JSON text in ASCII: inline if it is small, else in a blob."""
    if len(text) <= INLINE_LIMIT:
        return Draft(digest, kind, name, len(text), text)
    blob = artifacts.put(text.encode())
    return Draft(digest, kind, name, blob.size, None, blob.digest)


def scalar_draft(value: object) -> Draft | None:
    """The draft of None, a truth value, a number or a text: the hot path. None for anything else."""
    write = _TEXTS.get(type(value))
    if write is None:
        return None
    text = write(value)
    if text is None or len(text) > INLINE_LIMIT:
        return None
    return Draft(digest_value(value), "json", NAME, len(text), text)


def digest_plain(value: object, encoded: object = None) -> str:
    """The digest of a plain value; NumPy numbers count as Python numbers, as they are read back."""
    try:
        return digest_value(value)
    except (UsageError, ValueError):
        return digest_value(decode(encode(value) if encoded is None else encoded))


def encode(value: object, path: str = "value") -> Any:
    """JSON-able form of a plain value.

    Parameters
    ----------
    value
        Scalars, dates, decimals, bytes, enums, UUIDs, dataclasses, and lists, tuples, sets and mappings of these.
    path
        How to name it in an error.

    Raises
    ------
    MaterialiserError
        It names the part that is not plain, its type, and what to do.

    Examples
    --------
    >>> encode({"a": (1, 2.5)})
    {'a': {'$': 'tuple', 'v': [1, 2.5]}}
    """
    kind = type(value)
    if kind in _DIRECT:
        return value
    encoder = _ENCODERS.get(kind)
    if encoder is not None:
        return encoder(value, path)
    if isinstance(value, Enum):
        return {"$": "enum", "c": class_path(kind, path), "v": value.name}
    if is_dataclass(value):
        return _encode_record(value, path)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return {
            "$": "named",
            "c": class_path(kind, path),
            "v": [encode(v, f"{path}[{i}]") for i, v in enumerate(value)],
        }
    if kind.__module__ == "numpy" and hasattr(value, "item") and getattr(value, "shape", None) == ():
        return _encode_numpy(value, path)
    raise not_plain(value, path)


def decode(encoded: Any) -> Any:
    """The value that `encode` was given.

    >>> decode(encode({1: {2, 3}, "when": date(2013, 1, 1)}))
    {1: {2, 3}, 'when': datetime.date(2013, 1, 1)}
    """
    kind = type(encoded)
    if kind is list:
        return [decode(item) for item in encoded]
    if kind is dict:
        tag = encoded.get("$")
        if tag is None:
            return {key: decode(item) for key, item in encoded.items()}
        decoder = _DECODERS.get(tag)
        if decoder is None:
            raise MaterialiserError(
                "a stored value has an unknown tag", value=tag, hint="It was written by a newer Tidemill; upgrade."
            )
        return decoder(encoded)
    return encoded


def not_plain(value: object, path: str) -> MaterialiserError:
    """The error for a part that is not plain."""
    kind = type(value)
    return MaterialiserError(
        f"{path} of type {kind.__module__}.{kind.__qualname__} is not a plain value",
        value=value,
        hint="Return tables, arrays, models and files by themselves or as fields of a dataclass that the step's return "
        "annotation names, so that each is stored in its own way; for a type of your own, "
        "tidemill.engine.materialisers.register one.",
    )


def class_path(kind: type, path: str) -> str:
    """``module:qualname`` of a class that can be found again by that name."""
    if "<locals>" in kind.__qualname__:
        raise MaterialiserError(
            f"{path} is of a class defined inside a function, which nobody can find again",
            value=f"{kind.__module__}.{kind.__qualname__}",
            hint="Define the class at the top level of a module.",
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def find_class(text: str, needed: Callable[[type], bool], what: str) -> Any:
    """The class of a stored ``module:qualname``, if it is of the needed kind: nothing else is ever called."""
    module_name, _, qualname = text.partition(":")
    try:
        found: Any = sys.modules.get(module_name) or importlib.import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise MaterialiserError(
            f"the {what} {text} of a stored value cannot be found: {error}",
            hint="Restore or rename the class back, or run the step again.",
        ) from error
    if not isinstance(found, type) or not needed(found):
        raise MaterialiserError(
            f"a stored value names {text}, which is not a {what}; it is not called",
            hint="The store was written by something else or changed; run the step again.",
        )
    return found


def _encode_record(value: Any, path: str) -> dict[str, Any]:
    kind = type(value)
    body = {field.name: encode(getattr(value, field.name), f"{path}.{field.name}") for field in fields(value)}
    return {"$": "record", "c": class_path(kind, path), "v": body}


def _decode_record(encoded: dict[str, Any]) -> Any:
    kind = find_class(encoded["c"], is_dataclass, "dataclass")
    values = {name: decode(item) for name, item in encoded["v"].items()}
    known = {field.name: field for field in fields(kind)}
    try:
        record = kind(**{name: item for name, item in values.items() if name not in known or known[name].init})
    except TypeError as error:
        raise MaterialiserError(
            f"the dataclass {encoded['c']} has changed since a value of it was stored: {error}",
            hint="Run the step again, or give new fields a default.",
        ) from error
    for name, item in values.items():  # exactly what was stored, whatever __post_init__ made of it
        object.__setattr__(record, name, item)
    return record


def _encode_dict(value: dict[Any, Any], path: str) -> dict[str, Any]:
    if "$" not in value and all(type(key) is str for key in value):
        return {key: encode(item, f"{path}[{key!r}]") for key, item in value.items()}
    pairs = [[encode(key, f"{path} key"), encode(item, f"{path}[{key!r}]")] for key, item in value.items()]
    return {"$": "dict", "v": pairs}


def _encode_set(tag: str) -> Callable[[Any, str], dict[str, Any]]:
    def run(value: Any, path: str) -> dict[str, Any]:
        items = [encode(item, f"{path}{{…}}") for item in value]
        return {"$": tag, "v": sorted(items, key=lambda item: json.dumps(item, sort_keys=True))}

    return run


def _encode_int(value: int, path: str) -> int:
    if -_BIG < value < _BIG:
        return value
    raise MaterialiserError(
        f"{path} is an integer of {value.bit_length()} bits, too large to store",
        hint="Return it as bytes: value.to_bytes(...).",
    )


def _encode_zone(zone: tzinfo | None, path: str) -> Any:
    if zone is None:
        return None
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone.key
    if type(zone) is timezone:
        name = zone.tzname(None)
        offset = zone.utcoffset(None) // timedelta(microseconds=1)
        return [offset] if name == timezone(zone.utcoffset(None)).tzname(None) else [offset, name]
    raise not_plain(zone, f"{path}.tzinfo")


def _decode_zone(encoded: Any) -> tzinfo | None:
    if encoded is None:
        return None
    if isinstance(encoded, str):
        return ZoneInfo(encoded)
    offset = timedelta(microseconds=encoded[0])
    if len(encoded) == 2:
        return timezone(offset, encoded[1])
    return timezone(offset) if offset else UTC


def _encode_moment(tag: str) -> Callable[[Any, str], dict[str, Any]]:
    def run(value: Any, path: str) -> dict[str, Any]:
        out = {"$": tag, "v": value.replace(tzinfo=None, fold=0).isoformat()}
        if value.tzinfo is not None:
            out["z"] = _encode_zone(value.tzinfo, path)
        if value.fold:
            out["f"] = 1
        return out

    return run


def _decode_moment(kind: Any) -> Callable[[dict[str, Any]], Any]:
    def run(encoded: dict[str, Any]) -> Any:
        return kind.fromisoformat(encoded["v"]).replace(tzinfo=_decode_zone(encoded.get("z")), fold=encoded.get("f", 0))

    return run


def _encode_numpy(value: Any, path: str) -> Any:
    if value.dtype.kind in "biufcSU":  # the item of a datetime64[ns] would be a bare integer
        return encode(value.item(), path)
    raise not_plain(value, path)


def _decode_enum(encoded: dict[str, Any]) -> Any:
    kind = find_class(encoded["c"], lambda found: issubclass(found, Enum), "enum")
    try:
        return kind[encoded["v"]]
    except KeyError as error:
        raise MaterialiserError(
            f"the enum {encoded['c']} has no member of a stored value any more",
            value=encoded["v"],
            hint="Restore the member, or run the step again.",
        ) from error


def _decode_named(encoded: dict[str, Any]) -> Any:
    kind = find_class(encoded["c"], lambda found: issubclass(found, tuple) and hasattr(found, "_fields"), "named tuple")
    return kind(*map(decode, encoded["v"]))


def _scalar_int(value: Any) -> str | None:
    return str(value) if -_BIG < value < _BIG else None


def _scalar_float(value: Any) -> str:
    return repr(value) if math.isfinite(value) else f'{{"$":"float","v":"{value!r}"}}'


_DIRECT = frozenset({type(None), bool, str})
_TEXTS: dict[type, Callable[[Any], str | None]] = {
    type(None): lambda _: "null",
    bool: lambda v: "true" if v else "false",
    int: _scalar_int,
    float: _scalar_float,
    str: json.dumps,
}
_ENCODERS: dict[type, Callable[[Any, str], Any]] = {
    int: _encode_int,
    float: lambda v, _: v if math.isfinite(v) else {"$": "float", "v": repr(v)},
    list: lambda v, path: [encode(item, f"{path}[{i}]") for i, item in enumerate(v)],
    dict: _encode_dict,
    tuple: lambda v, path: {"$": "tuple", "v": [encode(item, f"{path}[{i}]") for i, item in enumerate(v)]},
    set: _encode_set("set"),
    frozenset: _encode_set("frozenset"),
    bytes: lambda v, _: {"$": "bytes", "v": b64encode(v).decode()},
    complex: lambda v, _: {"$": "complex", "v": [repr(v.real), repr(v.imag)]},
    datetime: _encode_moment("datetime"),
    time: _encode_moment("time"),
    date: lambda v, _: {"$": "date", "v": v.isoformat()},
    timedelta: lambda v, _: {"$": "timedelta", "v": [v.days, v.seconds, v.microseconds]},
    Decimal: lambda v, _: {"$": "decimal", "v": str(v)},
    UUID: lambda v, _: {"$": "uuid", "v": v.hex},
}
_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "float": lambda e: float(e["v"]),
    "dict": lambda e: {decode(key): decode(item) for key, item in e["v"]},
    "tuple": lambda e: tuple(map(decode, e["v"])),
    "set": lambda e: set(map(decode, e["v"])),
    "frozenset": lambda e: frozenset(map(decode, e["v"])),
    "bytes": lambda e: b64decode(e["v"]),
    "complex": lambda e: complex(float(e["v"][0]), float(e["v"][1])),
    "datetime": _decode_moment(datetime),
    "time": _decode_moment(time),
    "date": lambda e: date.fromisoformat(e["v"]),
    "timedelta": lambda e: timedelta(*e["v"]),
    "decimal": lambda e: Decimal(e["v"]),
    "uuid": lambda e: UUID(hex=e["v"]),
    "enum": _decode_enum,
    "record": _decode_record,
    "named": _decode_named,
}
