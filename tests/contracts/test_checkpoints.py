"""A checkpoint must be the last whole one of its training, on each backend, and garbage when nobody needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.store import checkpoints, open_store
from tidemill.store.gc import collect
from tidemill.training.checkpoints import Checkpoint


@pytest.fixture
def store(metadata_url, tmp_path):
    store = open_store(metadata_url, str(tmp_path / "artifacts"))
    yield store
    store.close()


def test_the_next_checkpoint_takes_the_place_of_the_last_one(store):
    first, other = Checkpoint(store, "key", "a"), Checkpoint(store, "key", "b")
    assert first.load() is None
    first.save(b"epoch 1", {"epoch": 1})
    first.save(b"epoch 2", {"epoch": 2})
    other.save(b"another", {"epoch": 9})
    assert (first.load(), other.load()) == (b"epoch 2", b"another")
    assert Checkpoint(store, "other code", "a").load() is None
    with store.metadata.reading() as tx:
        assert checkpoints.find(tx, "key", "a")[1] == {"epoch": 2}


def test_collecting_garbage_keeps_what_is_needed_and_takes_what_is_not(store):
    checkpoint = Checkpoint(store, "key", "a")
    checkpoint.save(b"old", {})
    checkpoint.save(b"new", {})
    assert collect(store, grace=0).deleted == 1
    assert checkpoint.load() == b"new"
    with store.metadata.transaction() as tx:
        checkpoints.drop(tx, "key")
    assert checkpoint.load() is None
    assert collect(store, grace=0).deleted == 1


def test_bytes_that_are_damaged_or_gone_are_never_gone_on_with(store):
    checkpoint = Checkpoint(store, "key", "a")
    checkpoint.save(b"whole", {})
    with store.metadata.reading() as tx:
        digest = checkpoints.find(tx, "key", "a")[0]
    path = Path(store.artifacts.path(digest))
    path.chmod(0o644)
    path.write_bytes(b"who")
    assert checkpoint.load() is None
    path.unlink()
    assert checkpoint.load() is None


def test_what_nobody_came_back_to_for_a_month_is_forgotten(store, monkeypatch):
    abandoned = Checkpoint(store, "abandoned", "a")
    abandoned.save(b"state", {})
    now = checkpoints.lease_now()
    monkeypatch.setattr(checkpoints, "lease_now", lambda: now + checkpoints.KEPT + 60)
    Checkpoint(store, "key", "a").save(b"another", {})
    assert abandoned.load() is None
