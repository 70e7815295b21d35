"""The canonical bytes of a value that code refers to: constants, closure cells, defaults, class attributes.

Plain values as in `tidemill.core.digests`; functions, classes and modules inside them become the labels under which
the walk knows them; objects of the project become their class and their attributes; arrays and frames their content;
other objects what they would hand to `copy`. What has none of this is an error that names it.
"""

from __future__ import annotations

import io
import logging
import os
import random
import re
import threading
import typing
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cached_property, partial
from pathlib import PurePath
from types import MappingProxyType, UnionType
from typing import Any

from tidemill.engine.key.callables import encode_callable
from tidemill.engine.key.encoder import PLAIN, Encoder, Reached, Rule, tagged, type_name, undigestable
from tidemill.engine.key.frames import encode_frame

_MAPPINGS = (dict, OrderedDict, defaultdict, MappingProxyType)
_SEQUENCES = (list, tuple, deque)
#: Objects whose state does not change what a function computes.
_NEUTRAL = (
    logging.Logger,
    logging.LoggerAdapter,
    logging.Handler,
    threading.Thread,
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Barrier,
    threading.local,
    type(threading.Lock()),
    type(threading.RLock()),
    ContextVar,
    io.IOBase,
    weakref.ref,
    type(os.environ),  # what a step reads of it, it declares
)
_NEUTRAL_NAMES = frozenset({"rich.console.Console", "tqdm.std.tqdm", "warnings.catch_warnings"})


def value_bytes(value: object, reached: Reached, path: str) -> bytes:
    """The canonical bytes of a value; `path` names it in errors.

    Raises
    ------
    UsageError
        For a value, or one inside it, that has no canonical form.
    """
    return Encoder(reached, RULES).encode(value, path)


def _container(encoder: Encoder, value: object, path: str) -> bytes | None:
    kind = type(value)
    name = kind.__name__
    if kind in _MAPPINGS and isinstance(value, Mapping):
        encoder.reached.guards.mapping(value)
        factory = encoder.encode(getattr(value, "default_factory", None), path)
        return tagged("mapping", name.encode(), factory, encoder.items(name, value, path))
    if isinstance(value, _SEQUENCES) and kind in _SEQUENCES:
        if kind is not tuple:
            encoder.reached.guards.members(value, value)
        return tagged(name, *(encoder.encode(item, f"{path}[{index}]") for index, item in enumerate(value)))
    if isinstance(value, set | frozenset) and kind in (set, frozenset):
        if isinstance(value, set):
            encoder.reached.guards.unordered(value)
        return tagged(name, *sorted(encoder.encode(item, f"{path}{{…}}") for item in _settled(value)))
    return None


def _settled(members: set[Any] | frozenset[Any]) -> list[Any]:
    """In an order that does not depend on the hash seed, so that labels are given in the same order everywhere."""
    return sorted(members, key=lambda item: (type_name(type(item)), getattr(item, "__qualname__", ""), _quiet(item)))


def _quiet(item: object) -> str:
    return repr(item) if type(item) in PLAIN or isinstance(item, str) else ""


def _member(encoder: Encoder, value: object, path: str) -> bytes | None:
    if isinstance(value, Enum):
        return tagged("enum", encoder.encode(type(value), path), str(value.name).encode())
    if isinstance(value, PurePath):
        return tagged("path", encoder.reached.relative(str(value)).encode())
    if isinstance(value, re.Pattern):
        return tagged("pattern", encoder.encode(value.pattern, path), b"%d" % value.flags)
    return None


def _neutral(_encoder: Encoder, value: object, _path: str) -> bytes | None:
    name = type_name(type(value))
    plain_instance = isinstance(value, _NEUTRAL) or type(value) is random.SystemRandom or name in _NEUTRAL_NAMES
    return tagged("neutral", name.encode()) if plain_instance else None


def _typing(encoder: Encoder, value: object, path: str) -> bytes | None:
    origin = typing.get_origin(value)
    if origin is None and not isinstance(value, UnionType):
        return None
    return tagged("generic", encoder.encode(origin, path), encoder.encode(list(typing.get_args(value)), path))


def _instance(encoder: Encoder, value: object, path: str) -> bytes | None:
    cls = type(value)
    ours = encoder.reached.is_project(cls)
    if not ours and not is_dataclass(value):
        return None
    attributes = {name: getattr(value, name) for name in _slots(cls) if hasattr(value, name)}
    namespace = getattr(value, "__dict__", {})
    if is_dataclass(value):
        attributes |= {field.name: getattr(value, field.name) for field in fields(value) if hasattr(value, field.name)}
    if ours:
        attributes |= {
            name: item
            for name, item in namespace.items()
            if not isinstance(getattr(cls, name, None), cached_property)  # appears when it is first used
        }
    if namespace:
        encoder.reached.guards.mapping(namespace)
    for name, item in attributes.items():
        if name not in namespace:
            encoder.reached.guards.check(partial(_identity, value, name), id(item))
    base = _content(encoder, value, path)
    return tagged("object", encoder.encode(cls, path), base, encoder.attributes("attributes", attributes, path))


#: Built-in types with the way to the plain value inside an extension of them, past its own methods.
_BASES: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (bytes, bytes.__bytes__),
    (int, int.__int__),
    (float, float.__float__),
)


def _identity(value: object, name: str) -> int:
    return id(getattr(value, name, None))


def _content(encoder: Encoder, value: object, path: str) -> bytes:
    """What an object that extends a built-in type holds besides its attributes."""
    if isinstance(value, dict):
        encoder.reached.guards.mapping(value)
        return encoder.items("dict", dict(value), path)
    if isinstance(value, list | tuple | deque):
        encoder.reached.guards.members(value, value)
        return encoder.encode(list(value), path)
    if isinstance(value, set | frozenset):
        return encoder.encode(frozenset(value), path)
    for base, copied in _BASES:
        if isinstance(value, base):
            return encoder.encode(copied(value), path)
    return b""


def _slots(cls: type) -> list[str]:
    stated = [vars(base).get("__slots__", ()) for base in cls.__mro__]
    names = [name for slots in stated for name in ([slots] if isinstance(slots, str) else slots)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _reduced(encoder: Encoder, value: object, path: str) -> bytes | None:
    """Any other object: what it would hand to `copy.copy` to be made again."""
    try:
        reduced = _made(value)
    except Exception as error:  # whatever its author raises
        raise undigestable(value, path) from error
    encoder.reached.package(type(value).__module__)
    if isinstance(reduced, str):
        return tagged("global", type_name(type(value)).encode(), reduced.encode())
    namespace = getattr(value, "__dict__", None)
    if namespace:
        encoder.reached.guards.mapping(namespace)
    if not namespace or not _is_made_by_default(type(value)):
        encoder.reached.guards.check(lambda: _made(value), reduced)
    return tagged("made", *(encoder.encode(part, path) for part in reduced))


def _is_made_by_default(cls: type) -> bool:
    """Whether an object's attributes are all that there is to it."""
    return all(getattr(cls, name) is getattr(object, name) for name in ("__reduce_ex__", "__reduce__", "__getstate__"))


def _made(value: object) -> str | tuple[object, ...]:
    """Maker, arguments, state, members and pairs as `pickle` and `copy` know them."""
    reduced = value.__reduce_ex__(2)
    if isinstance(reduced, str):
        return reduced
    return tuple(list(part) if isinstance(part, Iterator) else part for part in reduced)


RULES: tuple[Rule, ...] = (
    _container,
    _member,
    encode_callable,
    _neutral,
    encode_frame,
    _typing,
    _instance,
    _reduced,
)
