"""A store to label in."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.data.labels.queues import label_queue
from tidemill.data.labels.schema import LabelSchema
from tidemill.store import open_store

SCHEMAS = {
    "class": LabelSchema(("good", "bad")),
    "multi_label": LabelSchema(("red", "green", "blue"), multiple=True),
    "number": LabelSchema(minimum=1, maximum=5),
}


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db", str(tmp_path / "artifacts")) as store:
        yield store


@pytest.fixture
def reviews():
    return pl.DataFrame(
        {"id": ["r1", "r2", "r3", "r4"], "text": ["great", "poor", "fine\nreally", None], "n": [1, 2, 3, 4]}
    )


@pytest.fixture
def make(store):
    """A function that makes a queue of a kind."""

    def make(kind="class", table=None, *, key=None, **options):
        queue = label_queue(f"{kind} queue", SCHEMAS[kind], store=store, **options)
        if table is not None:
            queue.add(table, key=key)
        return queue

    return make
