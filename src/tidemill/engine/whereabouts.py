"""Where a pipeline runs when its caller does not say: the current project, its store, its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.project import Project, current_project, open_project_store
from tidemill.project.project import Place
from tidemill.store import Store


def whereabouts(using: Mapping[str, Any], function: Callable[..., Any]) -> tuple[dict[str, Any], Project]:
    """The options of a run with store, project, root and threads filled in, and what is its current project.

    With a store of its own and no project, a pipeline belongs to the folder that its module is in. The current project
    of the run is the one in use, under the name and in the store of the run: what steps find there, and the verbs that
    they call, is in one place.
    """
    options, project = dict(using), current_project()
    if "store" in options:
        options.setdefault("project", "default")
        options.setdefault("root", _folder_of(function))
    else:
        options["store"] = open_project_store(project)
        options.setdefault("project", project.name)
        options.setdefault("root", project.root)
    options.setdefault("threads", project.settings["threads"].value or None)
    return options, _as_run(project, options["project"], using.get("store"))


def _as_run(project: Project, name: str, store: Store | None) -> Project:
    """The project under the name and in the store of a run."""
    if name != project.name:
        project = project.renamed(name)
    if store is None:
        return project
    return replace(project, place=Place(store.url, store.artifacts.url, store.artifacts.options))


def _folder_of(function: Callable[..., Any]) -> Path:
    code = getattr(function, "__code__", None)
    path = Path(code.co_filename) if code is not None else Path()
    return path.parent.resolve() if path.exists() and path.is_file() else Path.cwd()
