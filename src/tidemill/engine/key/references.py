"""What a code object refers to: globals, closure cells and imports, each with the attributes read from it."""

from __future__ import annotations

import dis
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Literal

ReferenceKind = Literal["global", "free", "import", "touch"]
_LOCAL_LOADS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_GLOBAL_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_ATTRIBUTE_LOADS = ("LOAD_ATTR", "LOAD_METHOD")
_TRANSPARENT = ("EXTENDED_ARG", "CACHE", "PUSH_NULL", "RESUME", "NOP")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that code looks up outside itself.

    Parameters
    ----------
    kind
        ``"global"``, ``"free"`` (a closure cell), ``"import"`` (a name bound by an import inside the function) or
        ``"touch"`` (a module that is imported, whatever is then used of it).
    name
        The global, the cell, or the dotted module.
    attributes
        What is read from it, one after another; for an import the imported names come first.
    level
        Leading dots of a relative import.
    """

    kind: ReferenceKind
    name: str
    attributes: tuple[str, ...] = ()
    level: int = 0

    def __str__(self) -> str:
        return ".".join((f"{self.kind} {'.' * self.level}{self.name}", *self.attributes))


@lru_cache(maxsize=8192)
def references(code: CodeType, *, nested: bool = True) -> tuple[Reference, ...]:
    """All references of `code` in the order of their first appearance.

    Parameters
    ----------
    code
        Of a function, a class body, a module or an expression.
    nested
        Whether to look into the functions and classes that it defines; comprehensions belong to it in any case.

    Examples
    --------
    >>> def area(radius):
    ...     return math.pi * abs(radius) ** 2
    >>> [str(reference) for reference in references(area.__code__)]
    ['global math.pi', 'global abs']
    """
    return tuple(dict.fromkeys(_Scan(code, frozenset(code.co_freevars), {}, nested=nested).found()))


def assigned_globals(code: CodeType) -> frozenset[str]:
    """Names that `code`, or a function in it, assigns with ``global``."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")}
    return frozenset(own.union(*(assigned_globals(inner) for inner in inner_codes(code))))


def inner_codes(code: CodeType) -> list[CodeType]:
    """The code objects that `code` makes functions, classes and comprehensions of."""
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


class _Scan:
    """One pass over the instructions of one code object."""

    def __init__(
        self, code: CodeType, free: frozenset[str], imported: Mapping[str, Reference], *, nested: bool
    ) -> None:
        self.code = code
        self.free = free
        self.imported = dict(imported)
        self.nested = nested
        self.instructions = [i for i in dis.get_instructions(code) if i.opname not in _TRANSPARENT]

    def found(self) -> Iterator[Reference]:
        """Yield the references of this code, then those of the code inside it."""
        chain: Reference | None = None
        stored = {i.argval for i in self.instructions if i.opname == "STORE_NAME"}
        for index, instruction in enumerate(self.instructions):
            if chain is not None:
                if instruction.opname in _ATTRIBUTE_LOADS:
                    chain = Reference(chain.kind, chain.name, (*chain.attributes, instruction.argval), chain.level)
                    continue
                yield chain
                chain = None
            if instruction.opname == "IMPORT_NAME":
                yield self._bind_import(index)
            else:
                chain = self._load(instruction, stored)
        if chain is not None:
            yield chain
        for inner in inner_codes(self.code):
            if self.nested or inner.co_name.startswith("<"):
                free = self.free.intersection(inner.co_freevars)
                yield from _Scan(inner, free, self.imported, nested=self.nested).found()

    def _load(self, instruction: dis.Instruction, stored: set[str]) -> Reference | None:
        operation = instruction.opname
        if operation in _GLOBAL_LOADS:
            if instruction.argval in self.imported:
                return self.imported[instruction.argval]
            known_here = operation != "LOAD_GLOBAL" and instruction.argval in stored
            return None if known_here else Reference("global", instruction.argval)
        if not operation.startswith(_LOCAL_LOADS) and not operation.endswith("LOAD_FAST"):
            return None
        # One instruction of a newer Python can load two names; attributes are read from the last.
        name = instruction.argval[-1] if isinstance(instruction.argval, tuple) else instruction.argval
        if name in self.imported:
            return self.imported[name]
        return Reference("free", name) if name in self.free else None

    def _bind_import(self, index: int) -> Reference:
        """Remember which local names an import binds to what."""
        module = self.instructions[index].argval
        level, names = self.instructions[index - 2].argval, self.instructions[index - 1].argval
        rest = self.instructions[index + 1 :]
        if names:
            for position, instruction in enumerate(rest):
                if instruction.opname == "IMPORT_FROM":
                    target = _stored_name(rest[position + 1])
                    self.imported[target] = Reference("import", module, (instruction.argval,), level)
                elif not instruction.opname.startswith("STORE_"):
                    break
        else:
            top = rest[0].opname.startswith("STORE_")
            target = next(_stored_name(i) for i in rest if i.opname.startswith("STORE_"))
            self.imported[target] = Reference("import", module.partition(".")[0] if top else module, (), level)
        return Reference("touch", module, (), level)


def _stored_name(instruction: dis.Instruction) -> str:
    argument = instruction.argval
    return str(argument[0] if isinstance(argument, tuple) else argument)
