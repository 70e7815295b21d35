"""What annotators do in a labelling queue: take tasks, say something about them, take it back.

A *place* is what one annotator has to do with one task now; an *event* is what was said, and is only ever appended.
A task has as many places for labels and leases as the queue's overlap: whoever takes the last one closes it for others.
Every function that writes takes a queue that `labelling.lock` returned in the same transaction.
"""

from __future__ import annotations

from typing import Any, Literal

from tidemill.core import clock
from tidemill.core.errors import ConflictError, NotFoundError
from tidemill.core.labelling import LabelAction, LabelEvent, Labelling, LabelTask, Place
from tidemill.store.database import Transaction
from tidemill.store.label_history import EVENT, get_place, places, to_event
from tidemill.store.labelling import END, get_task, lower_cursors, value_text
from tidemill.store.rows import clean
from tidemill.store.statement import Statement, insert_into

_OF_TASK = "queue_id = :queue_id AND number = :number"
_MINE = f"{_OF_TASK} AND annotator = :annotator"
_SAID = "action IN ('label', 'skip', 'flag')"

_LEASES = "queue_id = :queue_id AND annotator = :annotator AND state = 'leased'"

_EXPIRE = Statement("""
    DELETE FROM label_places WHERE queue_id = :queue_id AND state = 'leased' AND expires_at <= :now RETURNING number
""")
# Without statistics SQLite would rather read every place of the queue.
_HELD, _RENEW = (
    Statement(text.format(index="INDEXED BY label_places_held"), postgresql=text.format(index=""))
    for text in (
        f"SELECT number FROM label_places {{index}} WHERE {_LEASES} ORDER BY number",
        f"UPDATE label_places {{index}} SET expires_at = :expires_at WHERE {_LEASES}",
    )
)
_CURSOR = Statement("SELECT sort_rank, number FROM label_cursors WHERE queue_id = :queue_id AND annotator = :annotator")
_MOVE = insert_into(
    "label_cursors",
    "queue_id, annotator, sort_rank, number",
    "ON CONFLICT (queue_id, annotator) DO UPDATE SET sort_rank = excluded.sort_rank, number = excluded.number",
)
# Two questions for one place in the order: SQLite searches an index with one column of a row value only.
_FREE_HERE, _FREE_BELOW = (
    Statement(f"""
        SELECT sort_rank, number FROM label_tasks
        WHERE queue_id = :queue_id AND is_open = 1 AND {after}
            AND NOT EXISTS (SELECT 1 FROM label_places WHERE label_places.queue_id = label_tasks.queue_id
                AND label_places.number = label_tasks.number AND label_places.annotator = :annotator)
        ORDER BY sort_rank, number LIMIT :limit
    """)
    for after in ("sort_rank = :sort_rank AND number > :after", "sort_rank > :sort_rank")
)
_PUT = insert_into(
    "label_places",
    "queue_id, number, annotator, state, value, expires_at, at",
    """ON CONFLICT (queue_id, number, annotator) DO UPDATE
        SET state = excluded.state, value = excluded.value, expires_at = excluded.expires_at, at = excluded.at""",
)
_DROP = Statement(f"DELETE FROM label_places WHERE {_MINE}")
_DROP_LEASES = Statement(f"DELETE FROM label_places WHERE {_OF_TASK} AND state = 'leased'")
_SETTLE = Statement(f"""
    UPDATE label_tasks SET labels = :labels, leases = :leases, is_open = :is_open, status = :status,
        disputed = :disputed, flagged = :flagged
    WHERE {_OF_TASK}
""")
_STANDING = Statement(f"SELECT sort_rank, is_open, decision FROM label_tasks WHERE {_OF_TASK}")
_NEXT_SEQ = Statement("UPDATE label_queues SET events = events + 1 WHERE id = :id RETURNING events")
_INSERT_EVENT = insert_into("label_events", f"queue_id, {EVENT}")
_LAST_SAID = Statement(f"""
    SELECT {EVENT} FROM label_events WHERE queue_id = :queue_id AND annotator = :annotator AND undone = 0 AND {_SAID}
    ORDER BY seq DESC LIMIT 1
""")
_SAID_BEFORE = Statement(f"""
    SELECT {EVENT} FROM label_events WHERE {_MINE} AND undone = 0 AND {_SAID} ORDER BY seq DESC LIMIT 1
""")
_UNDO = Statement("UPDATE label_events SET undone = 1 WHERE queue_id = :queue_id AND seq = :seq")
_DECIDE = Statement(f"""
    UPDATE label_tasks SET decision = :decision, decided_by = :decided_by, decided_at = :decided_at WHERE {_OF_TASK}
""")
_STATE_OF: dict[str, Literal["labelled", "skipped", "flagged"]] = {
    "label": "labelled",
    "skip": "skipped",
    "flag": "flagged",
}


def take(tx: Transaction, queue: Labelling, annotator: str, count: int = 1) -> list[LabelTask]:
    """Give tasks to an annotator: first those that the annotator holds, then the first free ones.

    A task is free while it has fewer labels and leases than the overlap, and the annotator has said nothing about it.
    The leases of all that is returned run from now.

    Parameters
    ----------
    tx
        An open write transaction.
    queue
        The queue, locked.
    annotator
        Who asks.
    count
        How many tasks to hold.

    Returns
    -------
    list of LabelTask
        At most `count`; fewer, or none, when nothing more is free.
    """
    expire(tx, queue)
    annotator = clean(annotator)
    mine = {"queue_id": queue.id, "annotator": annotator}
    held = [row[0] for row in tx.all(_HELD, **mine)]
    expires_at = clock.lease_now() + queue.lease_seconds
    if held:
        tx.run(_RENEW, expires_at=expires_at, **mine)
    wanted = count - len(held)
    if wanted > 0:
        cursor = tx.one(_CURSOR, **mine)
        start = cursor or (-END[0], 0)
        free = tx.all(_FREE_HERE, sort_rank=start[0], after=start[1], limit=wanted, **mine)
        if len(free) < wanted:
            free += tx.all(_FREE_BELOW, sort_rank=start[0], limit=wanted - len(free), **mine)
        for _, number in free:
            _put(tx, queue, Place(number, annotator, "leased", None, expires_at, clock.now_us()))
            _settle(tx, queue, number)
        # Everything up to here is closed, or the annotator has been there.
        end = free[-1] if len(free) == wanted else END
        if tuple(end) != tuple(start):
            tx.run(_MOVE, sort_rank=end[0], number=end[1], **mine)
        held += [number for _, number in free]
    tasks = [get_task(tx, queue.id, number) for number in held[:count]]
    return sorted(tasks, key=lambda task: (-task.priority, task.number))


def expire(tx: Transaction, queue: Labelling) -> list[int]:
    """Take back the leases that ran out, and say of which tasks."""
    numbers = [row[0] for row in tx.all(_EXPIRE, queue_id=queue.id, now=clock.lease_now())]
    for number in sorted(set(numbers)):
        _settle(tx, queue, number, dropped=True)
    return numbers


def say(
    tx: Transaction,
    queue: Labelling,
    number: int,
    annotator: str,
    action: Literal["label", "skip", "flag"],
    value: Any = None,
    *,
    comment: str = "",
    seconds: float = 0.0,
    at: int | None = None,
    beyond: bool = False,
) -> LabelEvent:
    """Record what an annotator says about a task, in the place that the annotator has in it.

    Somebody without a lease may say something while the task has a place left, and may always correct what was said
    before.

    Parameters
    ----------
    tx, queue
        An open write transaction, and the queue, locked.
    number, annotator, action, value, comment, seconds
        What is said, and by whom.
    at
        When; now by default.
    beyond
        Take a label also where the overlap is full or the task is decided: for labels that exist already elsewhere.

    Raises
    ------
    ConflictError
        If the task has no place for this annotator: the lease has run out and others have taken it, or it was never
        theirs.
    NotFoundError
        If there is no such task.
    """
    expire(tx, queue)
    annotator = clean(annotator)
    task = get_task(tx, queue.id, number)
    place = get_place(tx, queue.id, number, annotator)
    has_place = place is not None and place.state in ("leased", "labelled")
    if action == "label" and not (has_place or beyond):
        _require_room(tx, queue, task, annotator)
    event = _append(tx, queue, number, annotator, action, value=value, comment=comment, seconds=seconds, at=at)
    _put(tx, queue, Place(number, annotator, _STATE_OF[action], value, 0.0, event.at))
    _settle(tx, queue, number)
    return event


def release(tx: Transaction, queue: Labelling, annotator: str, number: int | None = None) -> list[int]:
    """Give back what an annotator holds, or one task of it; returns the numbers."""
    annotator = clean(annotator)
    held = [row[0] for row in tx.all(_HELD, queue_id=queue.id, annotator=annotator)]
    given_back = [one for one in held if number in (None, one)]
    for one in given_back:
        tx.run(_DROP, queue_id=queue.id, number=one, annotator=annotator)
        _settle(tx, queue, one, dropped=True)
    return given_back


def undo(tx: Transaction, queue: Labelling, annotator: str) -> LabelEvent:
    """Take back the last thing that an annotator has said; the task is the annotator's again, as it was before.

    Raises
    ------
    NotFoundError
        If there is nothing (more) to take back.
    """
    expire(tx, queue)
    annotator = clean(annotator)
    mine = {"queue_id": queue.id, "annotator": annotator}
    row = tx.one(_LAST_SAID, **mine)
    if row is None:
        raise NotFoundError("there is nothing to take back", value=annotator, hint="Nothing was said under this name.")
    last = to_event(row)
    tx.run(_UNDO, queue_id=queue.id, seq=last.seq)
    _append(tx, queue, last.number, annotator, "undo", value=last.value, comment=f"takes back {last.seq}")
    before = tx.one(_SAID_BEFORE, number=last.number, **mine)
    tx.run(_DROP, number=last.number, **mine)
    _settle(tx, queue, last.number, dropped=True)
    if before is not None:
        said = to_event(before)
        _put(tx, queue, Place(last.number, annotator, _STATE_OF[said.action], said.value, 0.0, said.at))
    elif has_room(queue, get_task(tx, queue.id, last.number)):
        expires_at = clock.lease_now() + queue.lease_seconds
        _put(tx, queue, Place(last.number, annotator, "leased", None, expires_at, clock.now_us()))
    _settle(tx, queue, last.number)
    return last


def decide(tx: Transaction, queue: Labelling, number: int, value: Any, by: str, method: str = "") -> LabelEvent:
    """Settle the label of a task; nobody is asked about it any more. A later decision replaces an earlier one."""
    get_task(tx, queue.id, number)
    event = _append(tx, queue, number, clean(by), "decide", value=value, comment=method)
    tx.run(
        _DECIDE, queue_id=queue.id, number=number, decision=value_text(value), decided_by=clean(by), decided_at=event.at
    )
    tx.run(_DROP_LEASES, queue_id=queue.id, number=number)
    _settle(tx, queue, number)
    return event


def reopen(tx: Transaction, queue: Labelling, number: int, by: str, reason: str = "") -> LabelEvent:
    """Take back the decision about a task.

    Raises
    ------
    ConflictError
        If nothing was decided.
    """
    task = get_task(tx, queue.id, number)
    if task.status != "decided":
        raise ConflictError("nothing was decided about the task", value=number, hint="There is nothing to take back.")
    event = _append(tx, queue, number, clean(by), "reopen", value=task.decision, comment=reason)
    tx.run(_DECIDE, queue_id=queue.id, number=number, decision=None, decided_by=None, decided_at=None)
    _settle(tx, queue, number, dropped=True)
    return event


def suggest(
    tx: Transaction, queue: Labelling, number: int, model: str, value: Any, score: float | None, at: int | None = None
) -> LabelEvent:
    """Record what a model thinks the label is."""
    get_task(tx, queue.id, number)
    return _append(tx, queue, number, clean(model), "suggest", value=value, score=score, at=at)


def has_room(queue: Labelling, task: LabelTask) -> bool:
    """Whether somebody else may still label a task."""
    return task.status != "decided" and task.labels + task.leases < queue.overlap


def _require_room(tx: Transaction, queue: Labelling, task: LabelTask, annotator: str) -> None:
    if has_room(queue, task):
        return
    if task.status == "decided":
        raise ConflictError(
            f"task {task.number} has been decided by {task.decided_by!r}",
            value=task.decision,
            hint="Ask for the next task; a wrong decision is taken back with reopen.",
        )
    others = ", ".join(
        f"{place.annotator} ({place.state})"
        for place in places(tx, queue.id, task.number)
        if place.state in ("labelled", "leased")
    )
    raise ConflictError(
        f"task {task.number} is not for {annotator!r} (any more): {queue.overlap} may label it, {others} came first",
        hint="Ask for the next task; a lease that runs out is given to somebody else.",
    )


def _append(
    tx: Transaction,
    queue: Labelling,
    number: int,
    annotator: str,
    action: LabelAction,
    *,
    value: Any = None,
    comment: str = "",
    seconds: float = 0.0,
    score: float | None = None,
    at: int | None = None,
) -> LabelEvent:
    row = tx.one(_NEXT_SEQ, id=queue.id)
    assert row is not None
    moment = clock.now_us() if at is None else at
    event = LabelEvent(row[0], number, annotator, action, value, clean(comment), seconds, score, moment)
    tx.run(
        _INSERT_EVENT,
        queue_id=queue.id,
        seq=event.seq,
        number=number,
        annotator=annotator,
        action=action,
        value=value_text(value),
        comment=event.comment,
        seconds=seconds,
        score=score,
        at=moment,
        undone=0,
    )
    return event


def _put(tx: Transaction, queue: Labelling, place: Place) -> None:
    tx.run(
        _PUT,
        queue_id=queue.id,
        number=place.number,
        annotator=place.annotator,
        state=place.state,
        value=value_text(place.value),
        expires_at=place.expires_at,
        at=place.at,
    )


def _settle(tx: Transaction, queue: Labelling, number: int, *, dropped: bool = False) -> None:
    """Bring the task up to date with its places; if it opened, annotators come by again."""
    standing = tx.one(_STANDING, queue_id=queue.id, number=number)
    assert standing is not None
    sort_rank, was_open, decision = standing
    found = places(tx, queue.id, number)
    values = [value_text(place.value) for place in found if place.state == "labelled"]
    leases = sum(place.state == "leased" for place in found)
    is_open = decision is None and len(values) + leases < queue.overlap
    status = "waiting" if not values else "started" if len(values) < queue.overlap else "labelled"
    tx.run(
        _SETTLE,
        queue_id=queue.id,
        number=number,
        labels=len(values),
        leases=leases,
        is_open=int(is_open),
        status=status if decision is None else "decided",
        disputed=int(len(set(values)) > 1),
        flagged=int(any(place.state == "flagged" for place in found)),
    )
    if is_open and (dropped or not was_open):
        lower_cursors(tx, queue.id, sort_rank, number)
