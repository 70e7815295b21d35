"""What names mean: the module where a constant was first defined, and modules that functions import."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

from tidemill.engine.key.source import load_source
from tidemill.engine.key.territory import is_project_name

MISSING = object()
#: Globals that every module has and that say nothing about what its functions do.
MODULE_GLOBALS = frozenset(
    {"__name__", "__doc__", "__spec__", "__loader__", "__package__", "__builtins__", "__cached__", "__annotations__"}
)


def home(namespace: dict[str, Any], name: str, value: object) -> tuple[dict[str, Any], str]:
    """The module and the name under which a value was first defined, followed through imports and re-exports."""
    seen: set[tuple[str, str]] = set()
    while True:
        module = str(namespace.get("__name__", "__main__"))
        if (module, name) in seen:
            break
        seen.add((module, name))
        step = _imported_from(namespace, name, value)
        if step is None:
            break
        namespace, name = step
    return namespace, name


def _imported_from(namespace: dict[str, Any], name: str, value: object) -> tuple[dict[str, Any], str] | None:
    filename = namespace.get("__file__")
    source = None if filename is None else load_source(filename)
    if source is None:
        return None
    candidates = [source.imports[name]] if name in source.imports else [(star, name, n) for star, n in source.stars]
    for module, there, level in candidates:
        loaded = sys.modules.get(absolute(module, level, namespace) or "")
        if loaded is not None and vars(loaded).get(there, MISSING) is value:
            return vars(loaded), there
    return None


def absolute(module: str, level: int, namespace: dict[str, Any]) -> str | None:
    """The full name of a module that code imports; None for a relative one outside a package."""
    if level == 0:
        return module
    package = namespace.get("__package__") or str(namespace.get("__name__", "")).rpartition(".")[0]
    try:
        return importlib.util.resolve_name("." * level + module, package)
    except ImportError:
        return None


def project_module(name: str, root: str) -> ModuleType | None:
    """A module of the project, imported if need be as the function that names it will do; None if it is not one."""
    if name in sys.modules:
        return sys.modules[name]
    if not is_project_name(name.partition(".")[0], root):
        return None
    try:
        return importlib.import_module(name)
    except Exception:  # it fails in the function as well, which may expect that
        return None


def member(module: ModuleType, name: str) -> object:
    """An attribute of a module or a submodule of a package, or `MISSING`."""
    found = vars(module).get(name, MISSING)
    if found is not MISSING:
        return found
    dotted = f"{module.__name__}.{name}"
    with suppress(Exception):  # a module's own __getattr__ may raise anything; it does so in the function as well
        found = getattr(module, name)
    with suppress(Exception):
        if found is MISSING and hasattr(module, "__path__") and importlib.util.find_spec(dotted) is not None:
            found = importlib.import_module(dotted)
    return found


def builtin(name: str) -> bool:
    """Whether a name is one of Python's own."""
    return hasattr(builtins, name)


def named_by(node: ast.expr, namespace: dict[str, Any]) -> object:
    """The object that a dotted name or a call of one means at module level, or `MISSING`."""
    if isinstance(node, ast.Call):
        return named_by(node.func, namespace)
    if isinstance(node, ast.Attribute):
        owner = named_by(node.value, namespace)
        return MISSING if owner is MISSING else getattr(owner, node.attr, MISSING)
    return namespace.get(node.id, MISSING) if isinstance(node, ast.Name) else MISSING
