"""Outputs of several parts: which parts a return annotation names, taking a value apart and putting it together.

A step that returns ``tuple[pl.DataFrame, Model]``, a named tuple, or a dataclass with a table in it has one artifact
for each part, so that a later step which uses one part depends on, and loads, only that part. A dataclass inside a
dataclass is taken apart too; its parts are then named ``outer.inner``.
"""

from __future__ import annotations

import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tidemill.core.errors import MaterialiserError, PipelineError
from tidemill.engine.materialisers.registry import has_own, is_plain_type


def parts(annotation: Any) -> dict[str, Any] | None:
    """The parts of an annotation by name, in order; None if its value is one artifact.

    Raises
    ------
    PipelineError
        The annotations of a dataclass or named tuple cannot be evaluated.

    Examples
    --------
    >>> parts(tuple[int, str])
    {'0': <class 'int'>, '1': <class 'str'>}
    >>> parts(list[int]) is None
    True
    """
    try:
        found = _parts(annotation)
    except TypeError:  # not hashable, therefore no type
        return None
    return None if found is None else dict(found)


def split(annotation: Any, value: Any) -> dict[str, Any]:
    """The parts of a value by name.

    Raises
    ------
    MaterialiserError
        The value is not what the annotation says.
    """
    names = parts(annotation)
    if names is None:
        raise MaterialiserError("an annotation has no parts", value=annotation, hint="Save the value as one artifact.")
    return dict(_split(_bare(annotation), value, ""))


def assemble(annotation: Any, values: Mapping[str, Any]) -> Any:
    """The value of its parts: what `split` took apart.

    Raises
    ------
    MaterialiserError
        A part is missing, or the class has changed since the parts were stored.
    """
    return _assemble(_bare(annotation), values, "")


@lru_cache(maxsize=1024)
def _parts(annotation: Any) -> tuple[tuple[str, Any], ...] | None:
    bare = _bare(annotation)
    members = _members(bare)
    if members is None:
        return None
    out: list[tuple[str, Any]] = []
    for name, member in members.items():
        inner = None if _is_tuple(bare) else _nested(member)
        out += [(name, member)] if inner is None else [(f"{name}.{part}", kind) for part, kind in inner]
    return tuple(out)


def _nested(annotation: Any) -> tuple[tuple[str, Any], ...] | None:
    """The parts of a member, where it is a dataclass with parts of its own."""
    return _parts(annotation) if is_dataclass(_class(_bare(annotation))) else None


def _members(bare: Any) -> dict[str, Any] | None:
    """What an annotation is directly made of; None if it is one artifact."""
    if get_origin(bare) is tuple:
        arguments = get_args(bare)
        if not arguments or Ellipsis in arguments:
            return None
        return {str(index): argument for index, argument in enumerate(arguments)}
    kind = _class(bare)
    if kind is None:
        return None
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = _hints(kind)
        return {name: hints.get(name, Any) for name in kind._fields}
    if _is_record(kind) and not has_own(kind):
        hints = _hints(kind)
        members = {field.name: hints.get(field.name, Any) for field in fields(kind)}
        if not all(_is_plain(member, frozenset({kind})) for member in members.values()):
            return members
    return None


def _split(bare: Any, value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    members = _members(bare) or {}
    if get_origin(bare) is tuple:
        if not isinstance(value, tuple) or len(value) != len(members):
            raise _mismatch(bare, value)
        yield from zip(members, value, strict=True)
        return
    if not isinstance(value, _class(bare) or object):
        raise _mismatch(bare, value)
    for name, member in members.items():
        item = getattr(value, name)
        if not _is_tuple(bare) and _nested(member) is not None:
            yield from _split(_bare(member), item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item


def _assemble(bare: Any, values: Mapping[str, Any], prefix: str) -> Any:
    out: dict[str, Any] = {}
    for name, member in (_members(bare) or {}).items():
        if not _is_tuple(bare) and _nested(member) is not None:
            out[name] = _assemble(_bare(member), values, f"{prefix}{name}.")
        elif prefix + name in values:
            out[name] = values[prefix + name]
        else:
            raise MaterialiserError(
                f"the part {prefix + name!r} of {_shown(bare)} is missing",
                value=sorted(values),
                hint="The class has changed since it was stored; run the step again.",
            )
    if get_origin(bare) is tuple:
        return tuple(out.values())
    kind: Any = _class(bare)
    if issubclass(kind, tuple):
        return kind(**out)
    return _rebuild(kind, out)


def _rebuild(kind: Any, values: dict[str, Any]) -> Any:
    try:
        record = kind(**{field.name: values[field.name] for field in fields(kind) if field.init})
    except TypeError as error:
        raise MaterialiserError(
            f"{_shown(kind)} cannot be put together from its fields: {error}",
            hint="Let its constructor take exactly its fields.",
        ) from error
    for name, item in values.items():  # exactly what was stored, whatever __post_init__ made of it
        object.__setattr__(record, name, item)
    return record


def _bare(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and without the name of a type alias."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            return annotation


def _class(bare: Any) -> Any:
    """The class of an annotation such as ``Splits`` or ``Splits[int]``; None for unions and the like."""
    origin = get_origin(bare) or bare
    return origin if isinstance(origin, type) else None


def _is_record(kind: type) -> bool:
    return is_dataclass(kind)


def _is_tuple(bare: Any) -> bool:
    kind = _class(bare)
    return kind is not None and issubclass(kind, tuple)


def _hints(kind: type) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except NameError as error:
        raise PipelineError(
            f"the annotations of {_shown(kind)} cannot be evaluated: {error}",
            hint="Import what they name at run time, not only under TYPE_CHECKING.",
        ) from error


def _is_plain(annotation: Any, seen: frozenset[type]) -> bool:
    """Whether values of an annotation are plain as far as it says; ``Any`` is taken to be."""
    bare = _bare(annotation)
    origin = get_origin(bare)
    if bare in (Any, None, Ellipsis) or isinstance(bare, TypeVar | str) or origin is Literal:
        return True
    if origin in (Union, types.UnionType):
        return all(_is_plain(argument, seen) for argument in get_args(bare))
    kind = _class(bare)
    if kind is None or kind is object or kind in seen:
        return True
    if _is_record(kind):
        hints = _hints(kind)
        return not has_own(kind) and all(_is_plain(hints.get(field.name, Any), seen | {kind}) for field in fields(kind))
    if not (is_plain_type(kind) or kind is bytes or issubclass(kind, Mapping | Collection)):
        return False
    return kind is bytes or (not has_own(kind) and all(_is_plain(argument, seen) for argument in get_args(bare)))


def _mismatch(bare: Any, value: Any) -> MaterialiserError:
    kind = type(value)
    return MaterialiserError(
        f"the return annotation says {_shown(bare)}, but the value is a {kind.__module__}.{kind.__qualname__}",
        value=value,
        hint="Correct the annotation or the value.",
    )


def _shown(annotation: Any) -> str:
    return f"{annotation.__module__}.{annotation.__qualname__}" if isinstance(annotation, type) else str(annotation)
