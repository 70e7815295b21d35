"""A function as another process can find it: its module, its qualified name and the file that it is in."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tidemill.core.errors import PipelineError

#: The name under which a worker runs the parent's script, so that ``if __name__ == "__main__":`` stays quiet.
MAIN = "__mp_main__"


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """Where a function is defined.

    Parameters
    ----------
    module
        The module's name, ``"__main__"`` for the script that was started.
    qualname
        The function's qualified name in it.
    path
        The module's source file, for modules that the import system may not find; None where there is none.
    """

    module: str
    qualname: str
    path: str | None = None


def reference(function: Callable[..., Any]) -> FunctionRef:
    """Where `function` is defined, checked to lead back to it.

    Raises
    ------
    PipelineError
        For a lambda, a nested function, one defined in an interactive session, or one whose name now means another.

    Examples
    --------
    >>> import textwrap
    >>> reference(textwrap.dedent).qualname
    'dedent'
    """
    module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if module is None or qualname is None:
        raise PipelineError("a worker process cannot find this callable by name", value=function, hint=_MOVE)
    if "<lambda>" in qualname or "<locals>" in qualname:
        kind = "a lambda" if "<lambda>" in qualname else "defined inside another function"
        raise PipelineError(f"{qualname} is {kind}, which a worker process cannot find", hint=_MOVE)
    loaded = sys.modules.get(module)
    if module == "__main__" and module_path(loaded) is None:
        raise PipelineError(
            f"{qualname} is defined in an interactive session, which a worker process cannot see",
            hint="Save it in a module, or run the step in this process: executor='inline'.",
        )
    if loaded is not None and _bare(_lookup(loaded, qualname)) is not _bare(function):
        raise PipelineError(
            f"the name {qualname} in module {module} no longer means this function",
            value=_lookup(loaded, qualname),
            hint=_MOVE,
        )
    return FunctionRef(module, qualname, module_path(loaded))


_MOVE = "Move it to the top level of a module, or run the step in this process: executor='inline'."


def resolve(ref: FunctionRef) -> Callable[..., Any]:
    """The function that a reference names, with the decorators of Tidemill taken off.

    >>> resolve(FunctionRef("textwrap", "dedent"))("  mill")
    'mill'
    """
    found = _lookup(load_module(ref.module, ref.path), ref.qualname)
    if found is None:
        raise PipelineError(
            f"module {ref.module} has no function {ref.qualname}", value=ref.path, hint="Was the file edited meanwhile?"
        )
    function = _bare(found)
    if not callable(function):
        raise PipelineError(f"{ref.module}.{ref.qualname} is not a function", value=function, hint=_MOVE)
    return function  # type: ignore[no-any-return]


def module_path(module: ModuleType | None) -> str | None:
    """The source file of a module, or None."""
    path = getattr(module, "__file__", None)
    return str(Path(path).absolute()) if path and Path(path).exists() else None


Sources = dict[str, tuple[int, int]]


def loaded_sources() -> Sources:
    """The loaded source files that are neither installed nor Tidemill's own: when they changed, and their sizes."""
    sources: Sources = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py") and not path.startswith(_INSTALLED):
            state = _state(path)
            if state is not None:
                sources[path] = state
    return sources


def are_current(sources: Sources) -> bool:
    """Whether the files are still as they were when they were loaded."""
    return all(_state(path) == state for path, state in sources.items())


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - on the path of every step in a worker
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


_INSTALLED = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parent.parent),
)


def load_module(name: str, path: str | None = None) -> ModuleType:
    """Import a module by name, or from its file where the name alone does not lead to that file."""
    if name == "__main__":
        return _load_main(path)
    if name in sys.modules:
        return sys.modules[name]
    if path is None:
        return importlib.import_module(name)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
    else:
        if module_path(module) == path:
            return module
    return _load_file(name, path)


def _load_file(name: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PipelineError(f"module {name} cannot be loaded from its file", value=path, hint=_MOVE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load_main(path: str | None) -> ModuleType:
    """The parent's script, run once under another name; what it defines still says that it is of ``__main__``."""
    main = sys.modules["__main__"]
    if path is None or MAIN in sys.modules or module_path(main) == path:
        return sys.modules.get(MAIN, main)
    module = _load_file(MAIN, path)
    for value in vars(module).values():
        if getattr(value, "__module__", None) == MAIN and isinstance(value, type | FunctionType):
            value.__module__ = "__main__"
    # If the script has imported multiprocessing, that has put the program that runs here in the place of the script.
    sys.modules["__main__"] = sys.modules[MAIN] = module
    return module


def _lookup(module: ModuleType, qualname: str) -> Any:
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _bare(found: Any) -> Any:
    """What a Tidemill decorator was put on; the decorators of others are part of the function."""
    while type(found).__module__.startswith("tidemill.") and hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found
