"""Reads the source of a pipeline's body for what a handle cannot stand in for: ``is``, ``isinstance``, ``type`` ….

Python gives no way to intercept these, so on a handle they would be silently wrong; they are refused where the pipeline
is defined. Names are followed through assignments, in the order of the lines.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FunctionType
from typing import Any

_BLIND_CALLS = frozenset({"isinstance", "type", "id"})


@dataclass(frozen=True, slots=True)
class IdentityTest:
    """One use in a body that looks at the object itself and not at its value.

    `name` is the tested expression, `line` its line in the file, `form` how it is tested.
    """

    name: str
    line: int
    form: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in a body: tests of handles, and tests of parameters (fine unless one is given a handle)."""

    on_handles: tuple[IdentityTest, ...] = ()
    on_parameters: tuple[IdentityTest, ...] = ()


def inspect_body(function: FunctionType, is_schedulable: Callable[[object], bool]) -> Findings:
    """Find identity and type tests in the body of a pipeline.

    Parameters
    ----------
    function
        The body. Without source code (an interactive session), nothing is found.
    is_schedulable
        Whether a global object is a step or a pipeline, whose call gives a handle.
    """
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return Findings()
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return Findings()
    reader = _BodyReader(_names_of(function), is_schedulable, first)
    parameters = [*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs]
    reader.parameters = {argument.arg for argument in parameters}
    for statement in definition.body:
        reader.visit(statement)
    return Findings(tuple(reader.on_handles), tuple(reader.on_parameters))


def _names_of(function: FunctionType) -> Mapping[str, Any]:
    outer = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        with suppress(ValueError):  # a name of the enclosing function that has no value yet
            outer[name] = cell.cell_contents
    return {**vars(builtins), **function.__globals__, **outer}


class _BodyReader(ast.NodeVisitor):
    """Walks the statements in order and remembers which local names hold handles."""

    def __init__(self, names: Mapping[str, Any], is_schedulable: Callable[[object], bool], first_line: int) -> None:
        self._names = names
        self._is_schedulable = is_schedulable
        self._first_line = first_line
        self._handles: set[str] = set()
        self.parameters: set[str] = set()
        self.on_handles: list[IdentityTest] = []
        self.on_parameters: list[IdentityTest] = []

    def visit_Assign(self, node: ast.Assign) -> None:
        """Follow ``name = value`` and ``a, b = value``."""
        self.visit(node.value)
        for target in node.targets:
            self._assign(target, is_handle=self._is_handle(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Follow ``name: kind = value``."""
        if node.value is not None:
            self.visit(node.value)
            self._assign(node.target, is_handle=self._is_handle(node.value))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """Follow ``(name := value)``."""
        self.visit(node.value)
        self._assign(node.target, is_handle=self._is_handle(node.value))

    def visit_Compare(self, node: ast.Compare) -> None:
        """Find ``x is y`` and ``x is not y``."""
        sides = [node.left, *node.comparators]
        for index, operator in enumerate(node.ops):
            if isinstance(operator, ast.Is | ast.IsNot):
                form = "is" if isinstance(operator, ast.Is) else "is not"
                for side in sides[index : index + 2]:
                    self._found(side, form)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Find ``isinstance(x, …)``, ``type(x)`` and ``id(x)``."""
        if isinstance(node.func, ast.Name) and node.func.id in _BLIND_CALLS and node.args:
            self._found(node.args[0], f"{node.func.id}()")
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        """Find ``match x:``, whose class patterns are `isinstance`."""
        self._found(node.subject, "match")
        self.generic_visit(node)

    def _assign(self, target: ast.expr, *, is_handle: bool) -> None:
        for name in _assigned(target):
            self.parameters.discard(name)
            (self._handles.add if is_handle else self._handles.discard)(name)

    def _found(self, expression: ast.expr, form: str) -> None:
        test = IdentityTest(ast.unparse(expression), expression.lineno + self._first_line - 1, form)
        if self._is_handle(expression):
            self.on_handles.append(test)
        elif isinstance(expression, ast.Name) and expression.id in self.parameters:
            self.on_parameters.append(test)

    def _is_handle(self, expression: ast.expr) -> bool:
        if isinstance(expression, ast.Name):
            return expression.id in self._handles
        if isinstance(expression, ast.NamedExpr | ast.Attribute | ast.Subscript):
            return self._is_handle(expression.value)
        if isinstance(expression, ast.IfExp):
            return self._is_handle(expression.body) or self._is_handle(expression.orelse)
        if isinstance(expression, ast.Call):
            called = expression.func
            if isinstance(called, ast.Attribute) and called.attr == "map":
                called = called.value
            return self._is_schedulable(self._find(called))
        return False

    def _find(self, expression: ast.expr) -> object:
        """The object that a dotted name means, as far as it can be known now."""
        if isinstance(expression, ast.Name):
            return self._names.get(expression.id)
        if isinstance(expression, ast.Attribute):
            owner = self._find(expression.value)
            try:
                return None if owner is None else getattr(owner, expression.attr, None)
            except Exception:  # a lazy module whose loading fails will say so when the body runs
                return None
        return None


def _assigned(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _assigned(element)
    elif isinstance(target, ast.Starred):
        yield from _assigned(target.value)
