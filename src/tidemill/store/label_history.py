"""What was said in a labelling queue: who has which place in which task, and every event, oldest first."""

from __future__ import annotations

from tidemill.core.labelling import AnnotatorProgress, LabelEvent, Place
from tidemill.store.database import Row, Transaction
from tidemill.store.labelling import to_value
from tidemill.store.statement import Statement

EVENT = "seq, number, annotator, action, value, comment, seconds, score, at, undone"
PLACE = "number, annotator, state, value, expires_at, at"
_OF_TASK = "queue_id = :queue_id AND number = :number"
#: In the order of `AnnotatorProgress`.
_COUNTED = ("labelled", "skipped", "flagged", "leased")
_GET_PLACE = Statement(f"SELECT {PLACE} FROM label_places WHERE {_OF_TASK} AND annotator = :annotator")
_PLACES = Statement(f"SELECT {PLACE} FROM label_places WHERE {_OF_TASK} ORDER BY annotator")
_ALL_PLACES = Statement(f"SELECT {PLACE} FROM label_places WHERE queue_id = :queue_id ORDER BY number, annotator")
_HISTORY = Statement(f"SELECT {EVENT} FROM label_events WHERE {_OF_TASK} ORDER BY seq")
_EVENTS = Statement(f"""
    SELECT {EVENT} FROM label_events WHERE queue_id = :queue_id AND seq > :after ORDER BY seq LIMIT :limit
""")
_STATES = Statement(f"""
    SELECT annotator, {", ".join(f"sum(CASE WHEN state = '{state}' THEN 1 ELSE 0 END)" for state in _COUNTED)}
    FROM label_places WHERE queue_id = :queue_id GROUP BY annotator ORDER BY annotator
""")
_SECONDS = Statement("""
    SELECT annotator, sum(seconds) FROM label_events WHERE queue_id = :queue_id AND action = 'label' GROUP BY annotator
""")


def get_place(tx: Transaction, queue_id: str, number: int, annotator: str) -> Place | None:
    """What an annotator has to do with a task now; None if nothing."""
    row = tx.one(_GET_PLACE, queue_id=queue_id, number=number, annotator=annotator)
    return None if row is None else to_place(row)


def places(tx: Transaction, queue_id: str, number: int | None = None) -> list[Place]:
    """Every place of a queue, or those of one task: by task and annotator."""
    rows = (
        tx.all(_ALL_PLACES, queue_id=queue_id) if number is None else tx.all(_PLACES, queue_id=queue_id, number=number)
    )
    return [to_place(row) for row in rows]


def history(tx: Transaction, queue_id: str, number: int) -> list[LabelEvent]:
    """Everything that was said about a task, oldest first."""
    return [to_event(row) for row in tx.all(_HISTORY, queue_id=queue_id, number=number)]


def events(tx: Transaction, queue_id: str, *, after: int = 0, limit: int = 1000) -> list[LabelEvent]:
    """Everything that was said in a queue, oldest first; `after` (a number) goes on after an earlier list."""
    return [to_event(row) for row in tx.all(_EVENTS, queue_id=queue_id, after=after, limit=limit)]


def progress(tx: Transaction, queue_id: str) -> tuple[AnnotatorProgress, ...]:
    """What each annotator has done, by name."""
    seconds: dict[str, float] = dict(tx.all(_SECONDS, queue_id=queue_id))
    rows = tx.all(_STATES, queue_id=queue_id)
    return tuple(
        AnnotatorProgress(
            annotator, int(labelled), int(skipped), int(flagged), int(leased), seconds.get(annotator, 0.0)
        )
        for annotator, labelled, skipped, flagged, leased in rows
    )


def to_event(row: Row) -> LabelEvent:
    """The event of a row."""
    seq, number, annotator, action, value, comment, seconds, score, at, undone = row
    return LabelEvent(seq, number, annotator, action, to_value(value), comment, seconds, score, at, undone=bool(undone))


def to_place(row: Row) -> Place:
    """The place of a row."""
    number, annotator, state, value, expires_at, at = row
    return Place(number, annotator, state, to_value(value), expires_at, at)
