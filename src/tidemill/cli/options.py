"""The options that every command shares."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tidemill.core.errors import NotFoundError
from tidemill.project import Project, find_project_store, load_project
from tidemill.store import Store, runs

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the shared options say: how to speak and where the project is."""

    json: bool
    debug: bool
    directory: Path | None
    profile: str | None

    def project(self) -> Project:
        """The project that this command works on."""
        return load_project(self.directory, profile=self.profile)

    def store(self) -> Store:
        """The project's store, opened; to look at a project does not make one."""
        project = self.project()
        store = find_project_store(project)
        if store is None:
            raise NotFoundError(
                "this project has no store yet", value=str(project.root), hint="Start with: tidemill run"
            )
        _mark_the_dead(store)
        return store


def _mark_the_dead(store: Store) -> None:
    """Show runs whose process is gone as interrupted: nobody else is there to notice."""
    with store.metadata.reading() as tx:
        if not runs.list_runs(tx, status="running", limit=1):
            return
    resume = importlib.import_module("tidemill.engine.resume")  # the engine, only when there is something to look at
    with store.metadata.transaction() as tx:
        resume.recover(tx)


allowing = click.option(
    "--allow",
    multiple=True,
    metavar="MODULE:CLASS",
    help="A class of your own that a model may be read into; its module is imported from the project.",
)


def shared(function: Callable[..., R]) -> Callable[..., R]:
    """Add ``--json``, ``--debug``, ``--project`` and ``--profile``; the function gets them as a `Setup` first."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object per line; the last is the summary.")
    @click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
    @click.option(
        "--project",
        "project_folder",
        type=click.Path(path_type=Path),
        help="Folder of tidemill.toml (default: here or above).",
    )
    @click.option("--profile", help="Profile of tidemill.toml to apply, such as production.")
    @functools.wraps(function)
    def wrapper(
        *args: Any, as_json: bool, debug: bool, project_folder: Path | None, profile: str | None, **options: Any
    ) -> R:
        return function(Setup(as_json, debug, project_folder, profile), *args, **options)

    return wrapper
