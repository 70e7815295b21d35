"""Source files as trees: which piece of source a live function or class was made from, checked against its code.

A file may have been edited since it was imported. A piece of source therefore counts only if compiling it gives the
code that is loaded; what cannot be matched is known by its bytecode alone.
"""

from __future__ import annotations

import ast
import importlib.util
import linecache
import struct
import sys
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType

from tidemill.engine.key.bytecode import code_digest
from tidemill.engine.key.normal import FunctionNode
from tidemill.engine.key.references import assigned_globals, inner_codes

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(slots=True)
class Source:
    """One parsed and compiled source file.

    Parameters
    ----------
    tree, code
        The whole module.
    functions, classes
        Nodes by qualified name; a name that is defined twice has two.
    codes
        Compiled functions and class bodies by qualified name.
    imports
        Names that the module's top level takes from elsewhere: ``name -> (module, name there, level)``.
    stars
        Modules that it takes everything from: ``(module, level)``.
    assigned
        Names that a function in it assigns with ``global``.
    edited
        Whether the file has been edited since it was imported. What leaves no trace in loaded code, such as the
        arguments of a decorator, could then not be told from what is loaded.
    """

    tree: ast.Module
    code: CodeType
    functions: dict[str, list[FunctionNode]] = field(default_factory=dict)
    classes: dict[str, list[ast.ClassDef]] = field(default_factory=dict)
    codes: dict[str, list[CodeType]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    stars: list[tuple[str, int]] = field(default_factory=list)
    assigned: frozenset[str] = frozenset()
    edited: bool = False


_sources: dict[str, tuple[object, Source | None]] = {}


def load_source(filename: str) -> Source | None:
    """The source behind a code object's file name; None where there is none, or none that parses.

    Cells of a notebook and lines of a console are found in `linecache`, where they register themselves.
    """
    state = _state(filename)
    known = _sources.get(filename)
    if known is None or known[0] != state:
        known = _sources[filename] = (state, None if state is None else _parse(filename))
    return known[1]


def _state(filename: str) -> object:
    """What changes when the file does; None where there is no source."""
    try:
        stat = Path(filename).stat()
    except OSError:
        lines = linecache.getlines(filename)
        return (len(lines), hash("".join(lines))) if lines else None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _parse(filename: str) -> Source | None:
    try:
        text = _text(filename)
        tree = ast.parse(text, filename)
        code = compile(text, filename, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return None
    source = Source(tree, code, assigned=assigned_globals(code), edited=_is_edited(filename))
    _index_nodes(source, tree, "")
    _index_codes(source, code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            _index_import(source, node)
    return source


def _is_edited(filename: str) -> bool:
    """Whether the bytecode that Python wrote when it imported the file belongs to another version of it."""
    if sys.dont_write_bytecode:
        return False
    try:
        header = Path(importlib.util.cache_from_source(filename)).read_bytes()[:16]
        stat = Path(filename).stat()
    except (OSError, NotImplementedError, ValueError):
        return False
    flags, seconds, size = struct.unpack("<4xLLL", header.ljust(16, b"\0"))
    return flags == 0 and (seconds, size) != (int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)


def _text(filename: str) -> str:
    if not Path(filename).is_file():
        return "".join(linecache.getlines(filename))
    with tokenize.open(filename) as file:
        return file.read()


def _index_nodes(source: Source, parent: ast.AST, prefix: str) -> None:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, _FUNCTIONS):
            name = f"{prefix}{getattr(node, 'name', '<lambda>')}"
            source.functions.setdefault(name, []).append(node)
            _index_scope(source, node, prefix, f"{name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            name = f"{prefix}{node.name}"
            source.classes.setdefault(name, []).append(node)
            _index_scope(source, node, prefix, f"{name}.")
        else:
            _index_nodes(source, node, prefix)


def _index_scope(source: Source, node: ast.AST, outer: str, inner: str) -> None:
    """The body is inside the new scope; decorators, bases, defaults and annotations are outside of it."""
    for name, value in ast.iter_fields(node):
        members = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, ast.AST)]
        _index_nodes(source, ast.Module(body=members, type_ignores=[]), inner if name == "body" else outer)  # type: ignore[arg-type]


def _index_codes(source: Source, code: CodeType) -> None:
    for inner in inner_codes(code):
        source.codes.setdefault(inner.co_qualname, []).append(inner)
        _index_codes(source, inner)


def _index_import(source: Source, node: ast.ImportFrom) -> None:
    for alias in node.names:
        if alias.name == "*":
            source.stars.append((node.module or "", node.level))
        else:
            source.imports[alias.asname or alias.name] = (node.module or "", alias.name, node.level)


def function_node(function: FunctionType) -> FunctionNode | None:
    """The definition that a live function was made from, or None if no source on disk compiles to its code."""
    code = function.__code__
    source = load_source(code.co_filename)
    if source is None or source.edited:
        return None
    nodes = source.functions.get(code.co_qualname, [])
    live = code_digest(code)
    for compiled in _nearest(source.codes.get(code.co_qualname, []), code):
        if code_digest(compiled) == live:
            matching = [node for node in nodes if _first_line(node) == compiled.co_firstlineno]
            if len(matching) > 1:  # several lambdas on one line
                matching = [node for node in matching if _encloses(node, compiled)]
            return matching[0] if len(matching) == 1 else None
    return None


def class_nodes(cls: type) -> tuple[list[ast.ClassDef], list[CodeType]]:
    """The definitions of a class and its compiled bodies: several where the name is defined more than once."""
    filename = class_file(cls)
    source = None if filename is None else load_source(filename)
    if source is None or source.edited:
        return [], []
    return source.classes.get(cls.__qualname__, []), source.codes.get(cls.__qualname__, [])


def class_file(cls: type) -> str | None:
    """The file of a class: where its methods are, or else its module."""
    for value in vars(cls).values():
        code = getattr(getattr(value, "__func__", value), "__code__", None)
        if not isinstance(code, CodeType) or not code.co_qualname.startswith(f"{cls.__qualname__}."):
            continue
        if load_source(code.co_filename) is not None:
            return code.co_filename
    return module_file(cls.__module__)


def module_file(name: str) -> str | None:
    """The source file of a loaded module."""
    return getattr(sys.modules.get(name), "__file__", None)


def _nearest(codes: list[CodeType], code: CodeType) -> list[CodeType]:
    return sorted(codes, key=lambda other: abs(other.co_firstlineno - code.co_firstlineno))


def _first_line(node: FunctionNode) -> int:
    decorators = getattr(node, "decorator_list", [])
    return int(decorators[0].lineno if decorators else node.lineno)


def _encloses(node: FunctionNode, code: CodeType) -> bool:
    """Whether the first instruction with a position lies inside the node."""
    for line, _, column, _ in code.co_positions():
        if line is not None and column is not None and (line, column) != (code.co_firstlineno, 0):
            return (node.lineno, node.col_offset) <= (line, column) < (node.end_lineno or 0, node.end_col_offset or 0)
    return False
