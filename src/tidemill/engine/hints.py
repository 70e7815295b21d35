"""What annotations say: the type hints of a function, the declared fields of a class, the elements of a container."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Union, get_args, get_origin, get_type_hints


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of a function with their names resolved; hints that cannot be resolved are left out.

    >>> def fit(data: "list[int]", trials: "Missing") -> "int": ...
    >>> hints_of(fit)
    {'data': list[int], 'return': <class 'int'>}
    """
    try:
        return get_type_hints(function)
    except Exception:  # a name that exists for type checkers only, or not yet
        return _one_by_one(function)


def _one_by_one(function: Callable[..., Any]) -> dict[str, Any]:
    hints = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        single = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints.update(get_type_hints(single, globalns=getattr(function, "__globals__", {})))
        except Exception:  # noqa: S112 — this one hint stays unknown
            continue
    return hints


def declared_fields(annotation: Any) -> Mapping[str, Any]:
    """The fields that a dataclass or NamedTuple declares, with their annotations; empty for anything else.

    >>> from tidemill.core.records import Lease
    >>> sorted(declared_fields(Lease))
    ['epoch', 'expires_at', 'owner', 'resource']
    """
    kind = without_none(annotation)
    return _fields_of(kind) if isinstance(kind, type) else {}


@lru_cache(maxsize=512)
def _fields_of(kind: type) -> Mapping[str, Any]:
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        names = list(kind._fields)
    else:
        return {}
    hints = hints_of(kind)
    return {name: hints.get(name, Any) for name in names}


def without_none(annotation: Any) -> Any:
    """The annotation without ``| None``.

    >>> without_none(int | None)
    <class 'int'>
    """
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return annotation


def element_of(annotation: Any, key: object) -> Any:
    """The annotation of one element of a list, tuple or dict annotation; None where it says nothing.

    >>> element_of(list[int], 0), element_of(tuple[int, str], 1), element_of(dict[str, float], "a")
    (<class 'int'>, <class 'str'>, <class 'float'>)
    """
    annotation = without_none(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None or not args:
        return None
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return args[0]
        return args[key] if isinstance(key, int) and key < len(args) else None
    if len(args) == 2:
        return args[1]
    return args[0] if len(args) == 1 else None


def says_nothing(annotation: Any) -> bool:
    """Whether an annotation leaves the type open."""
    return annotation is None or annotation is Any or annotation is object
