"""The project that is being worked on, and its store."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from tidemill.core.digests import digest_value
from tidemill.core.errors import StoreError
from tidemill.project.loading import load_project
from tidemill.project.project import Project
from tidemill.store import Store, open_store
from tidemill.store.database import connect

_current: ContextVar[Project | None] = ContextVar("tidemill_project", default=None)
_open: ContextVar[tuple[Project, Store] | None] = ContextVar("tidemill_store", default=None)
_stores: dict[tuple[int, str, str, str], Store] = {}


def current_project() -> Project:
    """The project in use: that of `use_project`, else the one of the working directory, here or above."""
    project = _current.get()
    return load_project() if project is None else project


@contextmanager
def use_project(project: Project, store: Store | None = None) -> Iterator[Project]:
    """Make `project` the current one in this context; with `store`, its store is that one, which is open already."""
    token = _current.set(project)
    opened = _open.set(None if store is None else (project, store))
    try:
        yield project
    finally:
        _open.reset(opened)
        _current.reset(token)


def open_project_store(project: Project) -> Store:
    """The project's store, opened once per process and place; made if there is none.

    Inside a run it is the run's store, also when the pipeline was placed in another one with ``.using(store=…)``. A
    folder ``.tidemill`` in the project is told to git as something to ignore.
    """
    in_use = _open.get()
    if in_use is not None and in_use[0] is project:
        return in_use[1]
    url, artifacts, options = project.store, project.artifacts, {} if project.place is None else project.place.options
    key = (os.getpid(), url, artifacts, digest_value(dict(options)))
    store = _stores.get(key)
    # The folder may have been deleted since, by hand in a notebook's session for one.
    if store is None or (url.startswith("sqlite:") and not store.metadata.exists()):
        _ignore(project.hidden, url, artifacts)
        store = _stores[key] = open_store(url, artifacts, **options)
    return store


def find_project_store(project: Project) -> Store | None:
    """The project's store as `open_project_store` gives it, if there is one; none is made."""
    in_use = _open.get()
    if (in_use is not None and in_use[0] is project) or connect(project.store).exists():
        return open_project_store(project)
    return None


@atexit.register
def _close() -> None:
    """Close the stores of this process: what SQLite keeps beside a database would otherwise stay behind."""
    for key, store in _stores.items():
        if key[0] == os.getpid():
            with suppress(StoreError):  # a thread that is still at work holds it
                store.close()


def _ignore(hidden: Path, url: str, artifacts: str) -> None:
    if str(hidden) not in url and str(hidden) not in artifacts:
        return
    note = hidden / ".gitignore"
    if not note.exists():
        hidden.mkdir(parents=True, exist_ok=True)
        note.write_text("*\n", encoding="utf-8")
