"""What the subcommands of `tidemill labels` work on: a queue by its name, and a table by its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl

from tidemill.cli.given import given, options_from
from tidemill.cli.options import Setup
from tidemill.core.errors import NotFoundError
from tidemill.data.labels.queue import LabelQueue
from tidemill.data.labels.queues import label_queue
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


def table_of(setup: Setup, source: str, pairs: Sequence[str] = ()) -> pl.DataFrame:
    """The rows of a source of the project, or of a file that is read as `pairs` of ``--option`` say."""
    project = setup.project()
    with use_project(project):
        return given(source, project, options=options_from(pairs)).table.collect()
