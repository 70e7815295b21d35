"""Outputs of several parts: which parts a return annotation names, taking a value apart and putting it together.

A step that returns ``tuple[pl.DataFrame, Model]``, a named tuple, or a dataclass with a table in it has one artifact
for each part, so that a later step which uses one part depends on, and loads, only that part. What has parts inside
such a value is taken apart too; its parts are then named ``outer.inner``.
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


def members(annotation: Any) -> dict[str, Any]:
    """What an annotation with parts is directly made of: each member is a part, or has parts of its own.

    >>> members(tuple[int, str])
    {'0': <class 'int'>, '1': <class 'str'>}
    """
    return _members(_bare(annotation)) or {}


def inside(parts: Mapping[str, Any] | None, part: str | None) -> dict[str, str] | None:
    """The names of the parts that a member of a value stands for (None: the whole), by their names inside it.

    None if that is one artifact.

    >>> inside({"0.train": int, "0.test": int, "1": str}, "0"), inside({"a": int}, "a"), inside(None, None)
    ({'train': '0.train', 'test': '0.test'}, None, None)
    """
    if parts is None or part in parts:
        return None
    prefix = "" if part is None else f"{part}."
    return {name.removeprefix(prefix): name for name in parts if name.startswith(prefix)}


def narrowed(wanted: Any, produced: Any) -> Any:
    """The class in whose place a value of a subclass is given, without the parts that only the subclass has.

    None unless the wanted class says so itself, by ``takes_its_own_parts_only = True``, and has parts: where any other
    base class is wanted, the value is given as it is.
    """
    kind, made = _class(_bare(wanted)), _class(_bare(produced))
    if kind is None or made is None or kind is made or not issubclass(made, kind):
        return None
    return kind if vars(kind).get("takes_its_own_parts_only") is True and parts(kind) else None


def unstorable(annotation: Any) -> Any:
    """What in an annotation no artifact can hold, such as the tables of a list of tables; None if nothing is known.

    >>> import polars as pl
    >>> unstorable(list[pl.DataFrame])
    list[polars.dataframe.frame.DataFrame]
    >>> unstorable(pl.DataFrame | None) is None
    True
    """
    try:
        found = _parts(annotation)
    except TypeError:
        return None
    if found is not None:
        return next((wrong for _, part in found if (wrong := unstorable(part)) is not None), None)
    bare = _bare(annotation)
    arguments = get_args(bare)
    if get_origin(bare) in (Union, types.UnionType):  # in one artifact, whichever it is
        has_parts = any(_parts(argument) is not None for argument in arguments)
        if has_parts and _needs_own(bare, frozenset()):
            return bare
        return next((wrong for argument in arguments if (wrong := unstorable(argument)) is not None), None)
    kind = _class(bare)
    is_container = kind is not None and bool(arguments) and not has_own(kind)
    return bare if is_container and _needs_own(bare, frozenset()) else None


def _needs_own(annotation: Any, seen: frozenset[type]) -> bool:
    """Whether an annotation names, at any depth, a type that only a materialiser of its own can store."""
    bare = _bare(annotation)
    kind = _class(bare)
    if kind is not None and kind is not bytes and has_own(kind):
        return True
    inner = list(get_args(bare)) if get_origin(bare) is not Literal else []
    if kind is not None and _is_record(kind) and kind not in seen:
        hints = _hints(kind)
        inner += [hints.get(field.name, Any) for field in fields(kind)]
    return any(_needs_own(item, seen | {kind} if kind else seen) for item in inner)


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
        inner = _nested(member)
        out += [(name, member)] if inner is None else [(f"{name}.{part}", kind) for part, kind in inner]
    return tuple(out)


def _nested(annotation: Any) -> tuple[tuple[str, Any], ...] | None:
    """The parts of a member, where it is a dataclass or a tuple that one artifact cannot hold."""
    bare = _bare(annotation)
    if is_dataclass(_class(bare)) or (_is_tuple(bare) and not _is_plain(annotation, frozenset())):
        return _parts(annotation)
    return None


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
    if not isinstance(value, _class(bare) or object):
        raise _mismatch(bare, value)
    items: list[Any] = list(value) if isinstance(value, tuple) else [getattr(value, name) for name in members]
    if len(items) != len(members):
        raise _mismatch(bare, value)
    for (name, member), item in zip(members.items(), items, strict=True):
        if _nested(member) is not None:
            yield from _split(_bare(member), item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item


def _assemble(bare: Any, values: Mapping[str, Any], prefix: str) -> Any:
    out: dict[str, Any] = {}
    for name, member in (_members(bare) or {}).items():
        if _nested(member) is not None:
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
