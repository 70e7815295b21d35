"""What a fingerprint depended on, checked again in microseconds: identities of names, cells, and members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, KeysView, Mapping
from collections.abc import Set as AbstractSet
from operator import is_, itemgetter
from types import CellType, CodeType, FunctionType
from typing import Any

_Names = tuple[Callable[[Mapping[str, object]], tuple[object, ...]], Mapping[str, object], tuple[object, ...]]


class Guards:
    """Everything that was looked at, so that a second look can tell whether it is still the same.

    >>> namespace, limits = {"limit": 3}, [1, 2]
    >>> guards = Guards()
    >>> guards.name(namespace, "limit", 3)
    >>> guards.members(limits, limits)
    >>> guards.seal()
    >>> guards.hold()
    True
    >>> limits.append(3)
    >>> guards.hold()
    False
    """

    def __init__(self) -> None:
        self._spaces: dict[int, tuple[Mapping[str, object], dict[str, object], set[str]]] = {}
        self._functions: list[tuple[FunctionType, CodeType, tuple[object, ...] | None]] = []
        self._cells: list[tuple[CellType, object]] = []
        self._members: list[tuple[Collection[object], tuple[object, ...]]] = []
        self._sets: list[tuple[AbstractSet[object], frozenset[object]]] = []
        self._checks: list[tuple[Callable[[], object], object]] = []
        self._names: list[_Names] = []
        self._absent: list[tuple[KeysView[str], tuple[str, ...]]] = []

    def name(self, namespace: Mapping[str, object], name: str, value: object) -> None:
        """`name` means `value` in a namespace."""
        self._space(namespace)[1][name] = value

    def absent(self, namespace: Mapping[str, object], name: str) -> None:
        """`name` means nothing in a namespace."""
        self._space(namespace)[2].add(name)

    def function(self, function: FunctionType) -> None:
        """A function has its code and its defaults."""
        self._functions.append((function, function.__code__, function.__defaults__))
        if function.__kwdefaults__:
            self.mapping(function.__kwdefaults__)

    def cell(self, cell: CellType, value: object) -> None:
        """A closure cell holds `value`."""
        self._cells.append((cell, value))

    def members(self, view: Collection[object], members: Iterable[object]) -> None:
        """A list, or a live view of a mapping, has these very members in this order."""
        self._members.append((view, tuple(members)))

    def mapping(self, mapping: Mapping[Any, Any]) -> None:
        """A mapping has its keys and values."""
        self.members(mapping.keys(), mapping.keys())
        self.members(mapping.values(), mapping.values())

    def unordered(self, members: AbstractSet[object]) -> None:
        """A mutable set has its members."""
        self._sets.append((members, frozenset(members)))

    def check(self, look: Callable[[], object], seen: object) -> None:
        """Anything else: calling `look` gives something equal to `seen`."""
        self._checks.append((look, seen))

    def seal(self) -> None:
        """Prepare the quick check; nothing is added afterwards."""
        for namespace, names, absent in self._spaces.values():
            if names:
                # A name twice: with a single one `itemgetter` would not return a tuple.
                keys = (*names, next(iter(names)))
                self._names.append((itemgetter(*keys), namespace, tuple(names[key] for key in keys)))
            if absent:
                self._absent.append((namespace.keys(), tuple(absent)))

    def hold(self) -> bool:
        """Whether everything is still as it was. Another thread changing it meanwhile counts as a change."""
        try:
            return self._same()
        except (KeyError, ValueError, RuntimeError):
            return False

    def _same(self) -> bool:
        for getter, namespace, values in self._names:
            if not all(map(is_, getter(namespace), values)):
                return False
        for function, code, defaults in self._functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
        for view, members in self._members:
            if len(view) != len(members) or not all(map(is_, view, members)):
                return False
        return (
            all(keys.isdisjoint(names) for keys, names in self._absent)
            and all(cell.cell_contents is value for cell, value in self._cells)
            and all(members == seen for members, seen in self._sets)
            and all(look() == seen for look, seen in self._checks)
        )

    def _space(self, namespace: Mapping[str, object]) -> tuple[Mapping[str, object], dict[str, object], set[str]]:
        return self._spaces.setdefault(id(namespace), (namespace, {}, set()))
