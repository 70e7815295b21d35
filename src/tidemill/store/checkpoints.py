"""Checkpoints of steps that are not done: artifacts under the step's key that a new attempt goes on from.

A checkpoint is replaced by the next one of its name, and goes when the step succeeds; its blob is then garbage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidemill.core.clock import lease_now
from tidemill.core.digests import digest_value
from tidemill.store.database import Transaction
from tidemill.store.rows import from_json, to_json
from tidemill.store.statement import Statement

#: Seconds after which nobody is expected to come back to a step that was given up: 30 days.
KEPT = 30 * 24 * 60 * 60.0

_TYPE = "checkpoint"
_PUT = Statement("""
    INSERT INTO artifacts (id, digest, type, materialiser, size, created_at, blob, metadata)
    VALUES (:id, :key, 'checkpoint', '', :size, :created_at, :blob, :metadata)
    ON CONFLICT (id) DO UPDATE SET
        size = excluded.size, created_at = excluded.created_at, blob = excluded.blob, metadata = excluded.metadata
""")
_GET = Statement("SELECT blob, metadata FROM artifacts WHERE id = :id AND digest = :key AND type = 'checkpoint'")
_DROP = Statement("DELETE FROM artifacts WHERE digest = :key AND type = 'checkpoint'")
_DROP_OLD = Statement("DELETE FROM artifacts WHERE type = 'checkpoint' AND created_at < :before")


def put(tx: Transaction, key: str, name: str, *, blob: str, size: int, note: Mapping[str, Any]) -> None:
    """Make a stored blob the checkpoint of this name, instead of the last one.

    Parameters
    ----------
    tx
        An open write transaction.
    key
        The key of the step.
    name
        Which of the step's checkpoints it is; a step may train several models.
    blob, size
        The stored bytes.
    note
        Plain values for people, such as the epoch.
    """
    now = int(lease_now() * 1e6)
    tx.run(_PUT, id=_id(key, name), key=key, size=size, created_at=now, blob=blob, metadata=to_json(note))


def find(tx: Transaction, key: str, name: str) -> tuple[str, dict[str, Any]] | None:
    """The blob and the note of the checkpoint of this name; None if there is none."""
    row = tx.one(_GET, id=_id(key, name), key=key)
    return None if row is None else (row[0], from_json(row[1]))


def drop(tx: Transaction, key: str) -> None:
    """Forget all checkpoints of a step: it is done."""
    tx.run(_DROP, key=key)


def drop_old(tx: Transaction) -> None:
    """Forget the checkpoints of steps that nobody came back to."""
    tx.run(_DROP_OLD, before=int((lease_now() - KEPT) * 1e6))


def _id(key: str, name: str) -> str:
    return f"{_TYPE}-{digest_value([key, name])}"
