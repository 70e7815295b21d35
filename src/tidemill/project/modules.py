"""Import a project's Python modules, where its steps and pipelines are."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tidemill.core.errors import ConfigError
from tidemill.project.project import Project

_SKIPPED = ("_", "test_", "conftest", "setup", "noxfile")


def import_modules(project: Project) -> list[ModuleType]:
    """Import the modules that the project names, or every ``*.py`` beside ``tidemill.toml`` that mentions tidemill.

    A file that does not can hold no step, pipeline or model test: a script that lies there is not run, and may be
    broken. The project's folder (and ``src`` in it, if there is one) is put first on ``sys.path``, so that its modules
    find each other. Of a package that is named, every module is imported.

    Raises
    ------
    ConfigError
        When modules cannot be imported: for each its file, line and error. The others are imported all the same.
    """
    find_modules(project)
    named = project.settings["modules"].value
    beside = [path for path in sorted(project.root.glob("*.py")) if _is_part(path)]
    for name in named or [path.stem for path in beside]:
        _refuse_shadowing(name, project.root)
    modules: list[ModuleType] = []
    failures: list[str] = []
    for name in named or [path.stem for path in beside if b"tidemill" in path.read_bytes()]:
        modules += _imported(name, project.root, failures)
    if failures:
        raise ConfigError(
            f"{len(failures)} of the project's modules cannot be imported: {'; '.join(failures)}",
            hint="Correct them, or name the modules to import: [project] modules = […].",
        )
    return modules


def find_modules(project: Project) -> None:
    """Put the project's folders first on ``sys.path``, so that its modules can be imported by their names."""
    places = [str(place) for place in (project.root / "src", project.root) if place.is_dir()]
    for place in places:
        if place in sys.path:
            sys.path.remove(place)
        sys.path.insert(0, place)
    importlib.invalidate_caches()  # a file written a moment ago is found
    _make_way(places)


def _is_part(path: Path) -> bool:
    return not path.stem.startswith(_SKIPPED) and path.stem.isidentifier()


def _make_way(places: list[str]) -> None:
    """Forget modules of another project that have the name of one of this project's."""
    for place in places:
        for path in Path(place).iterdir():
            loaded = sys.modules.get(path.stem)
            is_module = path.suffix == ".py" or (path / "__init__.py").exists()
            if loaded is None or not is_module or path.stem in sys.stdlib_module_names:
                continue
            expected = path if path.suffix == ".py" else path / "__init__.py"
            file = getattr(loaded, "__file__", None)
            if file is not None and Path(file).resolve() != expected.resolve() and not _is_installed(Path(file)):
                for name in [name for name in sys.modules if name == path.stem or name.startswith(f"{path.stem}.")]:
                    del sys.modules[name]


def _is_installed(file: Path) -> bool:
    return any(part in ("site-packages", "dist-packages") for part in file.parts)


def _refuse_shadowing(name: str, root: Path) -> None:
    file = root / f"{name}.py"
    if name in sys.stdlib_module_names and file.exists():
        raise ConfigError(
            "a module of the project has the name of a module of Python", value=str(file), hint="Rename it."
        )


def _imported(name: str, root: Path, failures: list[str]) -> Iterator[ModuleType]:
    """A module, and those in it if it is a package; what cannot be imported is described in `failures`."""
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a user's module raises, SystemExit too, is shown with its place
        failures.append(_described(name, error, root))
        return
    yield module
    for inner in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not inner.name.startswith(_SKIPPED):
            yield from _imported(f"{name}.{inner.name}", root, failures)


def _described(name: str, error: BaseException, root: Path) -> str:
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
