"""What the subcommands of `tidemill labels` work on: a queue by its name, and a table by its source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidemill.cli.options import Setup
from tidemill.core.errors import NotFoundError
from tidemill.data.labels.queue import LabelQueue
from tidemill.data.labels.queues import label_queue
from tidemill.data.read import read
from tidemill.project import use_project
from tidemill.store.database import connect


@contextmanager
def queue_of(setup: Setup, name: str) -> Iterator[LabelQueue]:
    """The queue of this name, while the project's store is open."""
    project = setup.project()
    if not connect(project.store).exists():
        raise NotFoundError(
            "this project has no labelling queue yet", value=name, hint="Make one with: tidemill labels create"
        )
    with setup.store() as store, use_project(project, store):
        yield label_queue(name, store=store)


def table_of(setup: Setup, source: str) -> Any:
    """The rows of a source of the project, or of a file."""
    with use_project(setup.project()):
        return read(source).collect()
