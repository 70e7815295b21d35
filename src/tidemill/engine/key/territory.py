"""Whose code is it: the project's, or somebody else's that counts by its version?"""

from __future__ import annotations

import importlib.machinery
import os
import site
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_INSTALLED = ("site-packages", "dist-packages")


def is_project_file(filename: str | None, root: str) -> bool:
    """Whether a file is the project's own.

    That is: anything under the root, and anything else that is neither the standard library nor installed in a folder
    of packages, such as a sibling project installed in editable mode, whose version says nothing about its code.
    Tidemill itself counts by its version wherever it lies.
    """
    return filename is not None and _is_project_file(filename, root)


@lru_cache(maxsize=65536)
def _is_project_file(filename: str, root: str) -> bool:
    real = os.path.realpath(filename)
    if _is_under(real, _tidemill()) and not _is_under(root, _tidemill()):
        return False
    if _is_under(real, root):
        return not set(Path(real).relative_to(root).parts) & set(_INSTALLED)
    return not (
        set(Path(real).parts) & set(_INSTALLED) or any(_is_under(real, place) for place in _libraries(tuple(sys.path)))
    )


def is_project_module(module: ModuleType, root: str) -> bool:
    """Whether a module is the project's own; a namespace package is if one of its folders is."""
    name = module.__name__
    if name == "__main__":
        return True
    if name.partition(".")[0] == "tidemill":
        return False
    own = vars(module)  # not what a module of a library answers for every name that it is asked for
    filename = own.get("__file__")
    if filename is not None:
        return is_project_file(filename, root)
    return any(is_project_file(place, root) for place in own.get("__path__") or ())


def is_project_name(top: str, root: str) -> bool:
    """Whether a top-level module that may not be loaded yet is the project's own, found without importing it."""
    if top in sys.modules:
        return is_project_module(sys.modules[top], root)
    if top in sys.stdlib_module_names or top == "tidemill":
        return False
    spec = importlib.machinery.PathFinder.find_spec(top)
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return any(is_project_file(place, root) for place in places)


def is_project_code(code: CodeType, namespace: dict[str, Any], root: str) -> bool:
    """Whether a function is the project's own; generated code belongs to the module that it runs in."""
    filename = code.co_filename
    if filename.startswith("<frozen "):
        return False
    name = str(namespace.get("__name__", "__main__"))
    if filename.startswith("<") or not Path(filename).exists():
        module = sys.modules.get(name)
        return name.partition(".")[0] != "tidemill" and (module is None or is_project_module(module, root))
    return is_project_file(filename, root)


def is_project_class(cls: type, root: str) -> bool:
    """Whether a class is the project's own."""
    module = sys.modules.get(cls.__module__)
    return cls.__module__ not in sys.builtin_module_names and (module is None or is_project_module(module, root))


def module_label(name: str, namespace: dict[str, Any] | None = None) -> str:
    """The name of a module in part names; a script that is run has the name under which it would be imported."""
    if name not in ("__main__", "__mp_main__"):
        return name
    space = vars(sys.modules[name]) if namespace is None and name in sys.modules else namespace or {}
    spec, filename = space.get("__spec__"), space.get("__file__")
    if spec is not None and spec.name:
        return str(spec.name.removesuffix(".__main__"))
    return "__main__" if filename is None else Path(filename).stem


def _is_under(filename: str, place: str) -> bool:
    return filename == place or filename.startswith(place.rstrip(os.sep) + os.sep)


@lru_cache(maxsize=1)
def _tidemill() -> str:
    return os.path.realpath(Path(__file__).parents[2])


@lru_cache(maxsize=8)
def _libraries(path: tuple[str, ...]) -> tuple[str, ...]:
    """Folders of packages: those of the interpreter, and any that ``pip install --target`` made."""
    own = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    made = [entry for entry in path if entry and any(Path(entry).glob("*.dist-info/RECORD"))]
    found = [*own, *site.getsitepackages(), site.getusersitepackages(), *made]
    return tuple({os.path.realpath(place) for place in found})
