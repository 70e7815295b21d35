"""Deleting a labelling queue with everything in it: tasks, places, events and cursors."""

from __future__ import annotations

from tidemill.core import clock
from tidemill.core.labelling import Labelling
from tidemill.store.database import Transaction
from tidemill.store.statement import Statement

_LEASED = Statement("""
    SELECT annotator, count(*) FROM label_places
    WHERE queue_id = :queue_id AND state = 'leased' AND expires_at > :now GROUP BY annotator ORDER BY annotator
""")
_SAID = Statement("SELECT count(*) FROM label_places WHERE queue_id = :queue_id AND state = 'labelled'")
#: What refers to something goes before it.
_DELETE = tuple(
    Statement(f"DELETE FROM {table} WHERE queue_id = :queue_id")
    for table in ("label_events", "label_places", "label_cursors", "label_tasks", "label_batches")
)
_DELETE_QUEUE = Statement("DELETE FROM label_queues WHERE id = :queue_id")


def leased(tx: Transaction, queue: Labelling) -> dict[str, int]:
    """How many tasks each annotator holds now."""
    return {row[0]: row[1] for row in tx.all(_LEASED, queue_id=queue.id, now=clock.lease_now())}


def labels_in(tx: Transaction, queue: Labelling) -> int:
    """How many labels stand in a queue."""
    row = tx.one(_SAID, queue_id=queue.id)
    return 0 if row is None else int(row[0])


def delete_queue(tx: Transaction, queue: Labelling) -> None:
    """Delete a queue; its tables, which are artifacts, stay."""
    for statement in (*_DELETE, _DELETE_QUEUE):
        tx.run(statement, queue_id=queue.id)
