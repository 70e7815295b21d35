"""The parts of a class: its statement without its methods, and the attributes that it has now."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, EnumType
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

from tidemill.engine.key.normal import class_form
from tidemill.engine.key.references import Reference, references
from tidemill.engine.key.source import class_nodes

_MADE_BY_PYTHON = (GetSetDescriptorType, MemberDescriptorType)


@dataclass(frozen=True, slots=True)
class ClassParts:
    """What a class consists of, apart from its bases.

    Parameters
    ----------
    text
        The normal form of its statement; empty for one that was made without a statement.
    references
        What the statement refers to: in decorators and bases, and in the body outside methods.
    attributes
        Methods, properties and values.
    stated
        Names of attributes that the statement assigns.
    """

    text: str
    references: tuple[Reference, ...]
    attributes: Mapping[str, Any]
    stated: frozenset[str]


def class_parts(cls: type) -> ClassParts:
    """Take a class apart."""
    nodes, bodies = class_nodes(cls)
    text = "\n".join(class_form(node) for node in nodes)
    found = [reference for body in bodies for reference in references(body, nested=False)]
    found += [reference for node in nodes for reference in _outside(node)]
    stated = frozenset(name for body in bodies for name in body.co_names)
    if isinstance(cls, EnumType):
        attributes = {name: value for name, value in vars(cls).items() if _is_code(value) and name in stated}
        attributes["members"] = [(name, member.value) for name, member in _members(cls)]
    else:
        attributes = {
            name: value for name, value in vars(cls).items() if _counts(name, value, stated, has_source=bool(nodes))
        }
    return ClassParts(text, tuple(dict.fromkeys(found)), attributes, stated)


def _members(cls: EnumType) -> list[tuple[str, Enum]]:
    members: dict[str, Enum] = dict(cls.__members__)
    return list(members.items())


def _outside(node: ast.ClassDef) -> tuple[Reference, ...]:
    """References of decorators, bases and keywords, which are evaluated before the body."""
    outside = [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]
    expression = ast.Expression(ast.Tuple(outside, ast.Load()))
    ast.fix_missing_locations(expression)
    return references(compile(expression, "<class>", "eval", dont_inherit=True))


def _counts(name: str, value: object, stated: frozenset[str], *, has_source: bool) -> bool:
    """Whether an attribute says what the class does; what Python or a decorator generates follows from the rest."""
    if isinstance(value, _MADE_BY_PYTHON) or name in _GENERATED:
        return False
    if name in stated:
        return True
    if isinstance(value, FunctionType):
        return not (has_source and inspect.unwrap(value).__code__.co_filename.startswith("<"))
    return not name.startswith("_" if has_source else "__")


_GENERATED = frozenset(
    "__dict__ __weakref__ __doc__ __module__ __qualname__ __annotations__ __slots__ __firstlineno__ "
    "__static_attributes__ __orig_bases__ __parameters__ __annotate__ __annotate_func__ __classcell__".split()
)


def _is_code(value: object) -> bool:
    return isinstance(value, FunctionType | property | staticmethod | classmethod)
