"""The rows of labelling queues: a queue, the tasks in it, their order and what was decided about them.

What annotators do is in `annotating`. Writers of one queue wait for each other: each begins with `lock`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tidemill.core import clock
from tidemill.core.errors import ConflictError, NotFoundError
from tidemill.core.labelling import LabelBatch, Labelling, LabelTask, TaskStatus
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import clean, decoded, qualified, to_json
from tidemill.store.statement import Statement, insert_into

_QUEUE = "id, name, created_at, label_schema, guidelines, overlap, lease_seconds, events"
_BATCH = "queue_id, number, artifact_id, added_at, added_by, tasks"
TASK = (
    "queue_id, number, key, data, batch, source_row, sort_rank, labels, leases, status, disputed, flagged, decision, "
    "decided_by, decided_at"
)
#: A place after every task, wherever it stands in the order.
END = (sys.float_info.max, 0)

_INSERT_QUEUE = insert_into("label_queues", _QUEUE, "ON CONFLICT (name) DO NOTHING")
_GET_QUEUE = Statement(f"SELECT {_QUEUE} FROM label_queues WHERE name = :name")
_QUEUES = Statement(f"SELECT {_QUEUE} FROM label_queues ORDER BY name")
_UPDATE_QUEUE = Statement("""
    UPDATE label_queues SET label_schema = :label_schema, guidelines = :guidelines, overlap = :overlap,
        lease_seconds = :lease_seconds
    WHERE id = :id
""")
# SQLite lets in one writer anyway.
_LOCK = Statement(
    f"SELECT {_QUEUE} FROM label_queues WHERE id = :id",
    postgresql=f"SELECT {_QUEUE} FROM label_queues WHERE id = :id FOR NO KEY UPDATE",
)
_LAST_BATCH = Statement("SELECT max(number) FROM label_batches WHERE queue_id = :queue_id")
_INSERT_BATCH = insert_into("label_batches", _BATCH)
_BATCHES = Statement(f"SELECT {_BATCH} FROM label_batches WHERE queue_id = :queue_id ORDER BY number")
_LAST_TASK = Statement("SELECT max(number) FROM label_tasks WHERE queue_id = :queue_id")
_INSERT_TASK = insert_into("label_tasks", "queue_id, number, key, data, batch, source_row, sort_rank")
_GET_TASK = Statement(f"SELECT {TASK} FROM label_tasks WHERE queue_id = :queue_id AND number = :number")
_TASK_BY_KEY = Statement(f"SELECT {TASK} FROM label_tasks WHERE queue_id = :queue_id AND key = :key")
_KEYS = Statement("SELECT key, number, data FROM label_tasks WHERE queue_id = :queue_id ORDER BY number")
_ALL = Statement(f"SELECT {TASK} FROM label_tasks WHERE queue_id = :queue_id ORDER BY number")
_RANK = Statement("UPDATE label_tasks SET sort_rank = :sort_rank WHERE queue_id = :queue_id AND number = :number")
_RESET_CURSORS = Statement("DELETE FROM label_cursors WHERE queue_id = :queue_id")
_LOWER = Statement("""
    UPDATE label_cursors SET sort_rank = :sort_rank, number = :before
    WHERE queue_id = :queue_id AND (sort_rank, number) >= (:sort_rank, :number)
""")
_FULL = "labels + leases >= :overlap"
_REOPEN_ALL = Statement(f"""
    UPDATE label_tasks SET is_open = CASE WHEN decision IS NULL AND NOT ({_FULL}) THEN 1 ELSE 0 END,
        status = CASE WHEN decision IS NOT NULL THEN 'decided' WHEN labels >= :overlap THEN 'labelled'
            WHEN labels > 0 THEN 'started' ELSE 'waiting' END
    WHERE queue_id = :queue_id
""")
_COUNTS = Statement("SELECT status, count(*) FROM label_tasks WHERE queue_id = :queue_id GROUP BY status")
_DISPUTED = Statement("SELECT count(*) FROM label_tasks WHERE queue_id = :queue_id AND disputed = 1")
_FLAGGED = Statement("SELECT count(*) FROM label_tasks WHERE queue_id = :queue_id AND flagged = 1")


class NewTask(NamedTuple):
    """A task that is to be added: its key, its data as JSON text, its row in the table, its priority."""

    key: str
    data: str
    row: int = 0
    priority: float = 0.0


def create_queue(tx: Transaction, queue: Labelling) -> bool:
    """Store a new queue; says whether it is new, which it is not if one has its name."""
    return tx.run(_INSERT_QUEUE, id=queue.id, created_at=queue.created_at, events=0, **_mutable(queue)) > 0


def update_queue(tx: Transaction, queue: Labelling) -> None:
    """Store the fields of a queue that may change; with another overlap, its tasks open or close accordingly."""
    before = lock(tx, queue.id)
    values = _mutable(queue)
    del values["name"]
    tx.run(_UPDATE_QUEUE, id=queue.id, **values)
    if queue.overlap != before.overlap:
        tx.run(_REOPEN_ALL, queue_id=queue.id, overlap=queue.overlap)
        tx.run(_RESET_CURSORS, queue_id=queue.id)


def get_queue(tx: Transaction, name: str) -> Labelling:
    """The queue of this name.

    Raises
    ------
    NotFoundError
        If there is none; the message says which there are.
    """
    row = tx.one(_GET_QUEUE, name=clean(name))
    if row is None:
        known = ", ".join(queue.name for queue in list_queues(tx)) or "none yet"
        raise NotFoundError("there is no labelling queue of this name", value=name, hint=f"Queues: {known}.")
    return _queue(row)


def list_queues(tx: Transaction) -> list[Labelling]:
    """Every queue, by name."""
    return [_queue(row) for row in tx.all(_QUEUES)]


def lock(tx: Transaction, queue_id: str) -> Labelling:
    """The queue as it is now; other writers of it wait until this transaction ends."""
    row = tx.one(_LOCK, id=queue_id)
    if row is None:
        raise NotFoundError("the labelling queue is gone", value=queue_id, hint="Make it again.")
    return _queue(row)


def add_batch(tx: Transaction, queue_id: str, artifact_id: str | None, added_by: str, tasks: Iterable[NewTask]) -> int:
    """Add tasks to a queue, numbered on from its last; returns how many.

    Parameters
    ----------
    tx
        An open write transaction in which the queue is locked.
    queue_id
        The queue.
    artifact_id
        The stored table that they come from.
    added_by
        Who adds them.
    tasks
        Their keys are not in the queue yet (see `known_keys`).

    Raises
    ------
    ConflictError
        If the queue has a task with one of the keys.
    """
    added = list(tasks)
    last = tx.one(_LAST_TASK, queue_id=queue_id)
    number = (last[0] or 0) if last else 0
    newest = tx.one(_LAST_BATCH, queue_id=queue_id)
    batch = ((newest[0] or 0) if newest else 0) + 1
    rows = [
        {
            "queue_id": queue_id,
            "number": number + offset,
            "key": clean(task.key),
            "data": task.data,
            "batch": batch,
            "source_row": task.row,
            "sort_rank": -task.priority,
        }
        for offset, task in enumerate(added, 1)
    ]
    tx.run(
        _INSERT_BATCH, queue_id=queue_id, number=batch, artifact_id=artifact_id, added_at=clock.now_us(),
        added_by=clean(added_by), tasks=len(rows),
    )  # fmt: skip
    if rows:
        tx.many(_INSERT_TASK, rows)
        highest = max(task.priority for task in added)
        lower_cursors(tx, queue_id, -highest, number + 1)
    return len(rows)


def batches(tx: Transaction, queue_id: str) -> list[LabelBatch]:
    """What was added to a queue, oldest first."""
    return [LabelBatch(*row) for row in tx.all(_BATCHES, queue_id=queue_id)]


def known_keys(tx: Transaction, queue_id: str) -> dict[str, tuple[int, str]]:
    """The number and the data (as JSON text) of every task of a queue, by its key."""
    return {key: (number, data) for key, number, data in tx.all(_KEYS, queue_id=queue_id)}


def get_task(tx: Transaction, queue_id: str, number: int) -> LabelTask:
    """One task by its number.

    Raises
    ------
    NotFoundError
        If the queue has none of this number.
    """
    row = tx.one(_GET_TASK, queue_id=queue_id, number=number)
    if row is None:
        last = tx.one(_LAST_TASK, queue_id=queue_id)
        count = (last[0] or 0) if last else 0
        raise NotFoundError("the queue has no task of this number", value=number, hint=f"Tasks are 1 to {count}.")
    return to_task(row)


def find_task(tx: Transaction, queue_id: str, key: str) -> LabelTask | None:
    """One task by its key; None if the queue has none."""
    row = tx.one(_TASK_BY_KEY, queue_id=queue_id, key=clean(key))
    return None if row is None else to_task(row)


def all_tasks(tx: Transaction, queue_id: str) -> list[LabelTask]:
    """Every task of a queue, by number."""
    return [to_task(row) for row in tx.all(_ALL, queue_id=queue_id)]


def page(
    tx: Transaction,
    queue_id: str,
    *,
    status: TaskStatus | None = None,
    disputed: bool = False,
    flagged: bool = False,
    annotator: str | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[LabelTask]:
    """Tasks by number; `after` (the number of a task) goes on after the last one of an earlier page.

    Parameters
    ----------
    tx
        An open transaction.
    queue_id
        The queue.
    status
        Only tasks with this status.
    disputed, flagged
        Only tasks whose labels differ; only those that an annotator has flagged.
    annotator
        Only tasks that this annotator holds or has said something about.
    after, limit
        Where to go on, and how many to give.
    """
    tables, conditions, values = "label_tasks", ["label_tasks.queue_id = :queue_id"], {"queue_id": queue_id}
    by = "label_tasks.number"
    if annotator is not None:
        tables = """label_places JOIN label_tasks ON label_tasks.queue_id = label_places.queue_id
            AND label_tasks.number = label_places.number"""
        conditions += ["label_places.queue_id = :queue_id", "label_places.annotator = :annotator"]
        values["annotator"] = clean(annotator)
        by = "label_places.number"
    if status is not None:
        conditions.append("label_tasks.status = :status")
        values["status"] = status
    conditions += ["label_tasks.disputed = 1"] * disputed + ["label_tasks.flagged = 1"] * flagged
    where = " AND ".join([*conditions, f"{by} > :after"])
    query = f"SELECT {qualified(TASK, 'label_tasks')} FROM {tables} WHERE {where} ORDER BY {by} LIMIT :limit"
    return [to_task(row) for row in tx.all(Statement(query), after=after, limit=limit, **values)]


def set_priorities(tx: Transaction, queue_id: str, priorities: Sequence[tuple[int, float]]) -> None:
    """Set the priorities of tasks, by number; the highest is given out first."""
    rows = [{"queue_id": queue_id, "number": number, "sort_rank": -priority} for number, priority in priorities]
    if rows:
        tx.many(_RANK, rows)
        tx.run(_RESET_CURSORS, queue_id=queue_id)


def lower_cursors(tx: Transaction, queue_id: str, sort_rank: float, number: int) -> None:
    """Let every annotator whose search had passed this place come by it again."""
    tx.run(_LOWER, queue_id=queue_id, sort_rank=sort_rank, number=number, before=number - 1)


def counts(tx: Transaction, queue_id: str) -> dict[str, int]:
    """How many tasks there are by status, and how many are ``disputed`` and ``flagged``."""
    found: dict[str, int] = dict(tx.all(_COUNTS, queue_id=queue_id))
    for name, statement in (("disputed", _DISPUTED), ("flagged", _FLAGGED)):
        row = tx.one(statement, queue_id=queue_id)
        found[name] = row[0] if row else 0
    return found


def require_tasks(tx: Transaction, queue_id: str, name: str) -> None:
    """Make sure that there is something to label."""
    row = tx.one(_LAST_TASK, queue_id=queue_id)
    if row is None or row[0] is None:
        raise ConflictError("the queue has no tasks yet", value=name, hint="Add a table to it first.")


def data_text(data: Mapping[str, Any]) -> str:
    """The data of a task as JSON text."""
    return json.dumps(data, ensure_ascii=True, separators=(",", ":"))


def value_text(value: Any) -> str | None:
    """A label as JSON text, the same text for equal labels; None for none."""
    return None if value is None else json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def to_value(text: str | None) -> Any:
    """The label that `value_text` wrote."""
    return None if text is None else json.loads(text)


def to_task(row: Row) -> LabelTask:
    """The task of a row of `TASK` columns."""
    (queue_id, number, key, data, batch, source_row, sort_rank, labels, leases, status, disputed, flagged, *rest) = row
    decision, decided_by, decided_at = rest
    return LabelTask(
        queue_id, number, key, json.loads(data), batch, source_row, 0.0 - sort_rank, labels, leases, status,
        bool(disputed), bool(flagged), to_value(decision), decided_by, decided_at,
    )  # fmt: skip


def _queue(row: Row) -> Labelling:
    return Labelling(*decoded(row, 3))


def _mutable(queue: Labelling) -> dict[str, Any]:
    return {
        "name": clean(queue.name),
        "label_schema": to_json(queue.label_schema),
        "guidelines": clean(queue.guidelines),
        "overlap": queue.overlap,
        "lease_seconds": queue.lease_seconds,
    }
