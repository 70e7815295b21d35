"""The normal form of a piece of source: its syntax tree without what has no effect.

Left out: positions, formatting and comments (they are not in the tree), docstrings and other bare strings, the
annotations of local variables, and of a function's parameters and result unless they are asked for or a decorator
could read them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IGNORED = frozenset({"ctx", "type_comment", "kind", "type_ignores"})


def function_form(
    node: FunctionNode, *, decorators: Sequence[ast.expr] = (), annotations: bool = False, defaults: bool = True
) -> str:
    r"""The normal form of a function.

    Parameters
    ----------
    node
        A ``def`` or a lambda.
    decorators
        The decorators that count.
    annotations
        Whether the annotations of its parameters and result count.
    defaults
        Whether the default values of its parameters count.

    Examples
    --------
    >>> plain = ast.parse("def f(x): return x + 1").body[0]
    >>> told = ast.parse("def f(x: int) -> int:\n  'Adds.'  # one\n  return (x + 1)").body[0]
    >>> function_form(plain) == function_form(told)
    True
    """
    return "".join(_function(node, decorators, annotations=annotations, defaults=defaults))


def class_form(node: ast.ClassDef) -> str:
    """The normal form of a class without the bodies of its methods and inner classes, which are walked on their own."""
    outside = (*_many(node.decorator_list), *_many(node.bases), *_many(node.keywords))
    return "".join((*outside, *_body(_outlined(node.body), kept=True)))


def module_form(node: ast.Module) -> str:
    """The normal form of a module without the bodies of its functions and classes, which are walked on their own."""
    return "".join(_body(_outlined(node.body), kept=False))


def _outlined(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    return [ast.Expr(ast.Name(f"def {item.name}")) if isinstance(item, _INNER) else item for item in body]


_INNER = (*_FUNCTIONS, ast.ClassDef)


def _function(
    node: FunctionNode, decorators: Sequence[ast.expr], *, annotations: bool, defaults: bool = True
) -> Iterator[str]:
    yield f"{type(node).__name__} {getattr(node, 'name', '')}"
    yield from _many(decorators)
    yield from _arguments(node.args, annotations=annotations, defaults=defaults)
    if isinstance(node, ast.Lambda):
        yield from _node(node.body, kept=False)
        return
    yield from _many(getattr(node, "type_params", []))
    if annotations and node.returns is not None:
        yield "->"
        yield from _node(node.returns, kept=False)
    yield from _body(node.body, kept=False)


def _arguments(node: ast.arguments, *, annotations: bool, defaults: bool) -> Iterator[str]:
    groups: list[tuple[str, Iterable[ast.arg]]] = [
        ("/", node.posonlyargs),
        (",", node.args),
        ("*", [node.vararg] if node.vararg else []),
        ("kw", node.kwonlyargs),
        ("**", [node.kwarg] if node.kwarg else []),
    ]
    for mark, arguments in groups:
        for argument in arguments:
            yield f"{mark}{argument.arg};"
            if annotations and argument.annotation is not None:
                yield ":"
                yield from _node(argument.annotation, kept=False)
    if defaults:
        yield from _many(node.defaults)
        for default in node.kw_defaults:
            yield from _node(default, kept=False) if default is not None else "-"


def _body(body: Sequence[ast.stmt], *, kept: bool) -> Iterator[str]:
    """The statements that do something; `kept` says that annotations of names are fields of a class."""
    effective = [item for item in body if not _is_bare_string(item)] or [ast.Pass()]
    for statement in effective:
        yield "\n"
        yield from _node(statement, kept=kept)


def _is_bare_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _node(node: object, *, kept: bool) -> Iterator[str]:
    if isinstance(node, list):
        yield from _body(node, kept=kept) if node and isinstance(node[0], ast.stmt) else _many(node, kept=kept)
    elif isinstance(node, _FUNCTIONS):
        yield from _function(node, node.decorator_list, annotations=bool(node.decorator_list))
    elif isinstance(node, ast.Lambda):
        yield from _function(node, (), annotations=False)
    elif isinstance(node, ast.AnnAssign) and not kept:
        yield from _unannotated(node)
    elif isinstance(node, ast.AST):
        inside_class = isinstance(node, ast.ClassDef)
        yield f"{type(node).__name__}("
        for name in node._fields:
            if name not in _IGNORED:
                yield f" {name}="
                yield from _node(getattr(node, name, None), kept=inside_class or kept)
        yield ")"
    else:
        yield f"{type(node).__name__} {node!r}"


def _unannotated(node: ast.AnnAssign) -> Iterator[str]:
    """A local ``x: int = 1`` is ``x = 1``; a bare ``x: int`` still makes the name a local one."""
    if node.value is None:
        yield "local "
        yield from _node(node.target, kept=False)
    else:
        yield from _node(ast.Assign(targets=[node.target], value=node.value), kept=False)


def _many(nodes: Sequence[object], *, kept: bool = False) -> Iterator[str]:
    yield "["
    for node in nodes:
        yield from _node(node, kept=kept)
        yield ","
    yield "]"
