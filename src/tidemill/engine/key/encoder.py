"""The frame of an encoding: plain values and cycles; everything else is a matter of rules (see `values`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from tidemill.core.digests import digest_bytes, digest_value
from tidemill.core.errors import UsageError
from tidemill.engine.key.guards import Guards

#: Types whose values are digested as they are.
PLAIN = frozenset(
    {type(None), bool, int, float, complex, bytes, date, datetime, time, timedelta, Decimal, UUID, range, slice}
)


class Reached(Protocol):
    """What the encoding of values needs of the walk through the code."""

    guards: Guards

    def code(self, value: object) -> str | None:
        """The label of a function, class or module, which is walked later; None for anything else."""
        ...

    def is_project(self, cls: type) -> bool:
        """Whether a class is the project's own."""
        ...

    def package(self, module: str) -> None:
        """Count the distribution of an installed module."""
        ...

    def relative(self, text: str) -> str:
        """Text without the place of the project."""
        ...

    def whole_module(self) -> str | None:
        """The label of the module that the value being encoded belongs to, walked as a whole; None if unknown."""
        ...


class Encoder:
    """One encoding; it knows the objects that it is inside of, so that cycles end."""

    def __init__(self, reached: Reached, rules: tuple[Rule, ...]) -> None:
        self.reached = reached
        self._rules = rules
        self._active: dict[int, int] = {}
        self._kept: list[object] = []

    def encode(self, value: object, path: str) -> bytes:
        """The canonical bytes of one value."""
        if type(value) in PLAIN:
            return _plain(value)
        if isinstance(value, str) and type(value) is str:
            return _plain(self.reached.relative(value))
        if id(value) in self._active:
            return tagged("cycle", b"%d" % self._active[id(value)])
        self._active[id(value)] = len(self._active)
        self._kept.append(value)  # a temporary must not give its id to another
        try:
            for rule in self._rules:
                encoded = rule(self, value, path)
                if encoded is not None:
                    return encoded
        finally:
            del self._active[id(value)]
        raise undigestable(value, path)

    def lenient(self, value: object, path: str) -> bytes:
        """The canonical bytes, or the type alone where there are none."""
        try:
            return self.encode(value, path)
        except UsageError:
            return tagged("opaque", type_name(type(value)).encode())

    def items(self, tag: str, values: Mapping[Any, object], path: str) -> bytes:
        """Named parts in their order."""
        pairs = [self.encode(key, path) + self.encode(item, f"{path}[{key!r}]") for key, item in values.items()]
        return tagged(tag, *pairs)

    def attributes(self, tag: str, values: Mapping[str, object], path: str) -> bytes:
        """Named parts in the order of their names."""
        pairs = [name.encode() + b"=" + self.encode(values[name], f"{path}.{name}") for name in sorted(values)]
        return tagged(tag, *pairs)


def tagged(tag: str, *parts: bytes) -> bytes:
    """Parts that cannot be confused with others, short enough to be nested."""
    framed = [tag.encode(), *(b"%d:" % len(part) + part for part in parts)]
    return digest_bytes(*framed).encode() if sum(map(len, framed)) > 256 else b"(" + b"".join(framed) + b")"


def type_name(cls: type) -> str:
    """Module and qualified name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def undigestable(value: object, path: str) -> UsageError:
    """The error for a value without a canonical form."""
    return UsageError(
        f"{path} is of type {type_name(type(value))}, which has no canonical form, so a change of it could not be seen",
        value=value,
        hint="Make it inside the function, pass it as a parameter, or declare the step with cache=False.",
    )


def _plain(value: object) -> bytes:
    return b"v" + (repr(value).encode() if isinstance(value, range | slice) else digest_value(value).encode())


#: Recognises a kind of value and gives its canonical bytes; None for any other.
Rule = Callable[[Encoder, Any, str], bytes | None]
