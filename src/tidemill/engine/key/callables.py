"""Functions, methods, classes and modules as values: each becomes the label under which the walk knows it."""

from __future__ import annotations

import inspect
import random
from functools import cached_property, partial, partialmethod, singledispatchmethod
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from tidemill.engine.key.bytecode import code_digest
from tidemill.engine.key.encoder import Encoder, tagged, type_name

_BUILT_IN = (
    BuiltinFunctionType,
    MethodDescriptorType,
    WrapperDescriptorType,
    ClassMethodDescriptorType,
    MethodWrapperType,
    GetSetDescriptorType,
    MemberDescriptorType,
)
_MISSING = object()
_GENERATORS = ("numpy.random.mtrand.RandomState", "numpy.random._generator.Generator")


def encode_callable(encoder: Encoder, value: Any, path: str) -> bytes | None:
    """The canonical bytes of code and of what binds or wraps it; None for anything else."""
    label = encoder.reached.code(value)
    if label is not None:
        return tagged("code", label.encode())
    inner = _parts(value)
    if inner is not None:
        kind = type_name(type(value)).encode()
        return tagged("callable", kind, *(encoder.encode(part, path) for part in inner))
    if isinstance(value, _BUILT_IN):
        return _built_in(encoder, value, path)
    if isinstance(value, CodeType):
        return tagged("bytecode", code_digest(value).encode())
    wrapped = wrapped_by(value)
    if wrapped is not None:
        return tagged("wrapper", encoder.encode(type(value), path), encoder.encode(wrapped, path))
    return None


def wrapped_by(value: object) -> object | None:
    """What an object wraps by its own account (``__wrapped__``), asked without waking a dynamic attribute."""
    found = inspect.getattr_static(value, "__wrapped__", _MISSING)
    if found is _MISSING or found is None:
        return None
    return getattr(value, "__wrapped__", None) if hasattr(type(found), "__get__") else found


def _parts(value: Any) -> tuple[object, ...] | None:
    """What a standard wrapper is made of."""
    if isinstance(value, MethodType):
        return (value.__func__, _owner(value.__self__))
    if isinstance(value, partial | partialmethod):
        return (value.func, tuple(value.args), dict(value.keywords))
    if isinstance(value, property):
        return (value.fget, value.fset, value.fdel)
    if isinstance(value, staticmethod | classmethod):
        return (value.__func__,)
    if isinstance(value, cached_property):
        return (value.func,)
    if isinstance(value, singledispatchmethod):
        return (value.dispatcher,)
    return None


def _owner(bound: object) -> object:
    """What a method is bound to; the position of a random generator is not part of what `random.shuffle` is."""
    is_generator = isinstance(bound, random.Random) or type_name(type(bound)) in _GENERATORS
    return type(bound) if is_generator else bound


def _built_in(encoder: Encoder, value: Any, path: str) -> bytes:
    owner = getattr(value, "__self__", None)
    name = getattr(value, "__qualname__", value.__name__)
    module = getattr(value, "__module__", None) or getattr(getattr(value, "__objclass__", None), "__module__", None)
    if module:
        encoder.reached.package(module)
    bound = b"" if owner is None or isinstance(owner, ModuleType) else encoder.lenient(_owner(owner), path)
    return tagged("built-in", f"{module}.{name}".encode(), bound)
