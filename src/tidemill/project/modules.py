"""Import a project's Python modules, where its steps and pipelines are."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from tidemill.core.errors import ConfigError
from tidemill.project.project import Project

_SKIPPED = ("_", "test_", "conftest", "setup", "noxfile")


def import_modules(project: Project) -> list[ModuleType]:
    """Import the modules that the project names, or every ``*.py`` beside ``tidemill.toml``.

    The project's folder is put first on ``sys.path``, so that its modules find each other.

    Raises
    ------
    ConfigError
        When modules cannot be imported: for each its file, line and error. The others are imported all the same.
    """
    root = str(project.root)
    if root not in sys.path:
        sys.path.insert(0, root)
    named = project.settings["modules"].value
    names = list(named) if named else [path.stem for path in sorted(project.root.glob("*.py")) if _is_part(path)]
    modules, failures = [], []
    for name in names:
        try:
            modules.append(_import(name, project.root))
        except ConfigError:
            raise
        except Exception as error:  # whatever a user's module raises is shown, with its place
            failures.append(_described(name, error, project.root))
    if failures:
        raise ConfigError(
            f"{len(failures)} of the project's modules cannot be imported: {'; '.join(failures)}",
            hint="Correct them, or name the modules to import: [project] modules = […].",
        )
    return modules


def _is_part(path: Path) -> bool:
    return not path.stem.startswith(_SKIPPED) and path.stem.isidentifier()


def _import(name: str, root: Path) -> ModuleType:
    """Import by name; a module of another project that has the same name makes way."""
    expected = root / f"{name.replace('.', '/')}.py"
    if name in sys.stdlib_module_names and expected.exists():
        raise ConfigError(
            "a module of the project has the name of a module of Python", value=str(expected), hint="Rename it."
        )
    loaded = sys.modules.get(name)
    if loaded is not None and expected.exists():
        file = getattr(loaded, "__file__", None)
        if file is None or Path(file).resolve() != expected.resolve():
            del sys.modules[name]
            importlib.invalidate_caches()
            return _from_file(name, expected)
    return importlib.import_module(name)


def _from_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError("this module cannot be loaded", value=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _described(name: str, error: Exception, root: Path) -> str:
    """The module, the last line of the project in the traceback, and the error."""
    place = name
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{_shown(Path(error.filename), root)}, line {error.lineno}"
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(root))]
        if frames:
            place = f"{_shown(Path(frames[-1].filename), root)}, line {frames[-1].lineno}"
    return f"{place}: {type(error).__name__}: {error}"


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
