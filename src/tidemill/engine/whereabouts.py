"""Where a pipeline runs when its caller does not say: the current project, its store, its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tidemill.project import current_project, open_project_store


def whereabouts(using: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """The options of a run with store, project and root filled in.

    With a store of its own and no project, a pipeline belongs to the folder that its module is in.
    """
    options = dict(using)
    if "store" in options:
        options.setdefault("project", "default")
        options.setdefault("root", _folder_of(function))
        return options
    project = current_project()
    options["store"] = open_project_store(project)
    options.setdefault("project", project.name)
    options.setdefault("root", project.root)
    return options


def _folder_of(function: Callable[..., Any]) -> Path:
    code = getattr(function, "__code__", None)
    path = Path(code.co_filename) if code is not None else Path()
    return path.parent.resolve() if path.exists() and path.is_file() else Path.cwd()
