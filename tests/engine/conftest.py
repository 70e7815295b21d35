"""Real SQLite stores in a temporary folder, and pipelines that run in them."""

from __future__ import annotations

import pytest

from tidemill.store import open_store


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as opened:
        yield opened


@pytest.fixture
def run_in(store, tmp_path):
    """Puts a pipeline into the store of this test."""

    def place(pipeline, **options):
        return pipeline.using(**{"store": store, "project": "tests", **options})

    return place
