"""The value that a step call will have: an edge when it is given to another step, the value itself in any other use."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from tidemill.engine.active import Scheduler
from tidemill.engine.graph import Node
from tidemill.engine.hints import declared_fields
from tidemill.engine.materialisers import inside, members

_UNSET: Any = object()


class Handle:
    """What a step call in a pipeline's body returns.

    Given to another step (also inside a list, tuple or dict) it is an edge. An attribute that the step's return
    annotation declares is a handle to that part, and a step that returns a tuple can be unpacked. In any other use
    (``if``, iteration, arithmetic, comparison, printing, `value`) it waits for the step and behaves as the value.
    """

    __slots__ = ("__weakref__", "_annotation", "_field", "_node", "_part", "_scheduler", "_value")

    def __init__(
        self, scheduler: Scheduler, node: Node, annotation: Any, part: str | None = None, field: str | None = None
    ) -> None:
        self._scheduler = scheduler
        self._node = node
        self._annotation = annotation
        self._part = part
        self._field = field
        self._value = _UNSET

    def value(self) -> Any:
        """Wait for the step and return its value.

        Raises
        ------
        RunError
            When the step failed, timed out, died or was skipped.
        """
        if self._value is _UNSET:
            self._value = self._scheduler.load(self)
        return self._value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # probes of copy, pickle, numpy and notebooks must not wait for a step
            raise AttributeError(f"a handle has no attribute {name!r}; use .value() to get at the value of {self!r}")
        node, parts = self._node, self._members()
        if name in parts:
            return self._member(name, parts[name])
        if self._field is None and not parts:
            declared = declared_fields(self._annotation)
            if name in declared:
                return Handle(self._scheduler, node, declared[name], part=self._part, field=name)
        value = self.value()
        try:
            return getattr(value, name)
        except AttributeError:
            known = sorted(parts or declared_fields(self._annotation))
            raise AttributeError(
                f"the result of step {node.step.name!r} ({type(value).__name__}) has no attribute {name!r}"
                + (f"; declared: {', '.join(known)}" if known else "")
            ) from None

    def _members(self) -> Mapping[str, Any]:
        """What it is directly made of, as far as each member is an artifact or several."""
        if self._field is not None or inside(self._node.parts, self._part) is None:
            return {}
        return members(self._annotation)

    def _member(self, name: str, annotation: Any) -> Handle:
        part = name if self._part is None else f"{self._part}.{name}"
        return Handle(self._scheduler, self._node, annotation, part=part)

    def __iter__(self) -> Iterator[Any]:
        parts = self._tuple_parts()
        if parts is None:
            return iter(self.value())
        return iter([self._member(name, annotation) for name, annotation in parts.items()])

    def __getitem__(self, key: Any) -> Any:
        parts = self._tuple_parts()
        if parts is not None and type(key) is int:
            name = list(parts)[key]
            return self._member(name, parts[name])
        return self.value()[_plain(key)]

    def _tuple_parts(self) -> Any:
        """The members, if it is a tuple of any kind, so that unpacking need not wait."""
        parts = self._members()
        declared = declared_fields(self._annotation)
        is_tuple = all(name.isdigit() for name in parts) or (declared and issubclass(self._annotation, tuple))
        return parts if parts and is_tuple else None

    def __repr__(self) -> str:
        path = "".join(f".{name}" for name in (self._part, self._field) if name is not None)
        return f"<handle {self._node.name}{path}: {self._node.state}>"

    def __str__(self) -> str:
        return str(self.value())

    def __format__(self, spec: str) -> str:
        return format(self.value(), spec)

    def __hash__(self) -> int:
        return hash(self.value())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for the value and call it."""
        return self.value()(*args, **kwargs)

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled; pass handle.value() on instead")


@dataclass(frozen=True, slots=True)
class Edge:
    """What a handle stands for: a node, one of its parts (or all), a field of that (or the whole)."""

    node: Node
    annotation: Any
    part: str | None
    field: str | None


def edge_of(handle: Handle) -> Edge:
    """What a handle stands for, without waiting."""
    return Edge(handle._node, handle._annotation, handle._part, handle._field)  # noqa: SLF001 — the same module


class MapHandle(Sequence[Any]):
    """What ``step.map(items)`` returns in a pipeline's body: one handle per item, in the order of the items.

    Its length is known; iterating gives handles without waiting; given to a step it is a list of their values.
    """

    __slots__ = ("_handles",)

    def __init__(self, handles: Sequence[Handle]) -> None:
        self._handles = tuple(handles)

    def value(self) -> list[Any]:
        """Wait for all items and return the list of their values; the first failed one raises."""
        return [handle.value() for handle in self._handles]

    def __len__(self) -> int:
        return len(self._handles)

    @overload
    def __getitem__(self, key: int) -> Handle: ...

    @overload
    def __getitem__(self, key: slice) -> MapHandle: ...

    def __getitem__(self, key: int | slice) -> Handle | MapHandle:
        """One handle, or some of them."""
        return MapHandle(self._handles[key]) if isinstance(key, slice) else self._handles[key]

    def __iter__(self) -> Iterator[Handle]:
        return iter(self._handles)

    def __add__(self, other: Any) -> Any:
        return [*self._handles, *other]

    def __radd__(self, other: Any) -> Any:
        return [*other, *self._handles]

    def __eq__(self, other: object) -> bool:
        return bool(self.value() == _plain(other))

    def __hash__(self) -> int:
        raise TypeError("the result of .map() is a list and cannot be hashed; use .value()")

    def __str__(self) -> str:
        return str(self.value())

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._handles))}]"


def _plain(value: Any) -> Any:
    return value.value() if isinstance(value, Handle | MapHandle) else value


def values_of(structure: Any) -> Any:
    """The structure with every handle in its lists, tuples and dicts replaced by the value, waiting where needed."""
    if isinstance(structure, Handle | MapHandle):
        return structure.value()
    if isinstance(structure, list):
        return [values_of(item) for item in structure]
    if isinstance(structure, tuple):
        items = [values_of(item) for item in structure]
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    if isinstance(structure, dict):
        return {key: values_of(item) for key, item in structure.items()}
    return structure


def handles_in(structure: Any) -> Iterator[Handle]:
    """Every handle in a structure of lists, tuples and dicts."""
    if isinstance(structure, Handle):
        yield structure
    elif isinstance(structure, list | tuple | MapHandle):
        for item in structure:
            yield from handles_in(item)
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from handles_in(item)


def _unary(function: Callable[[Any], Any]) -> Callable[[Handle], Any]:
    return lambda self: function(self.value())


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Handle, Any], Any]:
    return lambda self, other: function(self.value(), _plain(other))


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Handle, Any], Any]:
    return lambda self, other: function(_plain(other), self.value())


def _forward_operators() -> None:
    """Give `Handle` the operators, each of which waits for the value.

    The list is closed on purpose: ``is`` and ``isinstance`` cannot be forwarded and are refused where a pipeline is
    defined; assignments into a handle are not forwarded, since artifacts do not change.
    """
    for name in ("add sub mul truediv floordiv mod pow matmul lshift rshift and_ or_ xor").split():
        function = getattr(operator, name)
        special = name.rstrip("_")
        setattr(Handle, f"__{special}__", _binary(function))
        setattr(Handle, f"__r{special}__", _reflected(function))
    for name in ("lt le eq ne gt ge contains").split():
        setattr(Handle, f"__{name}__", _binary(getattr(operator, name)))
    setattr(Handle, "__divmod__", _binary(divmod))  # noqa: B010 — a literal attribute would be mistyped
    for name in ("neg pos abs invert index").split():
        setattr(Handle, f"__{name}__", _unary(getattr(operator, name)))
    conversions: dict[str, Callable[[Any], Any]] = {
        "bool": bool,
        "int": int,
        "float": float,
        "complex": complex,
        "len": len,
    }
    for name, kind in conversions.items():
        setattr(Handle, f"__{name}__", _unary(kind))
    setattr(Handle, "__round__", lambda self, digits=None: round(self.value(), digits))  # noqa: B010
    setattr(Handle, "__reversed__", _unary(reversed))  # noqa: B010


_forward_operators()
