"""What every metadata database must do for labelling queues, also when many annotators ask at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from tidemill.core.errors import ConflictError, NotFoundError, StoreError
from tidemill.core.ids import new_id
from tidemill.core.labelling import LabelEvent, Labelling, LabelTask
from tidemill.store import annotating, label_deleting, label_history, labelling
from tidemill.store.annotating import release, say, take, undo
from tidemill.store.database import Database, Transaction
from tidemill.store.labelling import NewTask
from tidemill.testing.building import AWKWARD, raises

__all__ = ["CHECKS", "a_queue"]


def a_queue(database: Database, tasks: int, *, overlap: int = 1, lease_seconds: float = 600.0) -> Labelling:
    """A queue of tasks that are called 1, 2, …, stored."""
    made = Labelling(new_id(), f"queue {new_id()}", 1, {"classes": ["a", "b"]}, AWKWARD, overlap, lease_seconds)
    with database.transaction() as tx:
        labelling.create_queue(tx, made)
        labelling.lock(tx, made.id)
        labelling.add_batch(
            tx, made.id, None, "ann", [NewTask(str(n), labelling.data_text({"n": n})) for n in range(1, tasks + 1)]
        )
    return made


@contextmanager
def writing(database: Database, queue: Labelling) -> Iterator[tuple[Transaction, Labelling]]:
    """A write transaction with the queue locked, as every verb has one."""
    with database.transaction() as tx:
        yield tx, labelling.lock(tx, queue.id)


def _given(database: Database, queue: Labelling, annotator: str, count: int = 1) -> list[int]:
    with writing(database, queue) as (tx, now):
        return [task.number for task in take(tx, now, annotator, count)]


def _said(database: Database, queue: Labelling, number: int, annotator: str, value: str = "a") -> LabelEvent:
    with writing(database, queue) as (tx, now):
        return say(tx, now, number, annotator, "label", value)


def _task(database: Database, queue: Labelling, number: int) -> LabelTask:
    with database.reading() as tx:
        return labelling.get_task(tx, queue.id, number)


def check_queues_and_tasks_come_back_as_they_were(database: Database) -> None:
    """Every field survives; names and keys are taken once; what may change can be changed."""
    queue = a_queue(database, 0)
    with database.transaction() as tx:
        assert not labelling.create_queue(tx, replace(queue, id=new_id()))
        labelling.lock(tx, queue.id)
        data = {"text": AWKWARD, "nothing": None, "number": 1.5, "list": [1, "two"]}
        labelling.add_batch(tx, queue.id, None, AWKWARD, [NewTask(AWKWARD, labelling.data_text(data), 7, 2.5)])
        changed = replace(queue, guidelines="new", lease_seconds=5.0, label_schema={"classes": ["a"]})
        labelling.update_queue(tx, changed)
        assert labelling.get_queue(tx, queue.name) == changed
        assert changed in labelling.list_queues(tx)
        task = LabelTask(queue.id, 1, AWKWARD, data, 2, 7, 2.5)
        assert labelling.get_task(tx, queue.id, 1) == task
        assert labelling.find_task(tx, queue.id, AWKWARD) == task
        assert labelling.known_keys(tx, queue.id)[AWKWARD][0] == 1
        assert [(batch.number, batch.tasks) for batch in labelling.batches(tx, queue.id)] == [(1, 0), (2, 1)]
    raises(database, NotFoundError, lambda tx: labelling.get_queue(tx, "nobody"), queue.name)
    raises(database, NotFoundError, lambda tx: labelling.get_task(tx, queue.id, 9), "1 to 1")
    raises(database, StoreError, lambda tx: labelling.add_batch(tx, queue.id, None, "ann", [NewTask(AWKWARD, "{}")]))


def check_a_task_is_given_to_as_many_as_the_overlap_says(database: Database) -> None:
    """Nobody gets what others hold or have labelled; who asks again gets what is held, not more."""
    queue = a_queue(database, 3)
    assert _given(database, queue, "ann") == _given(database, queue, "ann") == [1]
    assert _given(database, queue, "bob", 5) == [2, 3]
    assert _given(database, queue, "eve") == []
    _said(database, queue, 1, "ann")
    assert _given(database, queue, "ann") == []
    raises(database, ConflictError, lambda tx: say(tx, labelling.lock(tx, queue.id), 1, "eve", "label", "a"), "ann")
    raises(database, ConflictError, lambda tx: say(tx, labelling.lock(tx, queue.id), 2, "eve", "label", "a"), "bob")
    both = a_queue(database, 2, overlap=2)
    assert [_given(database, both, who, 2) for who in ("ann", "bob", "eve")] == [[1, 2], [1, 2], []]
    for who in ("ann", "bob"):
        _said(database, both, 1, who, who[0])
    task = _task(database, both, 1)
    assert (task.status, task.labels, task.disputed) == ("labelled", 2, True)
    with writing(database, both) as (tx, now):
        labelling.update_queue(tx, replace(now, overlap=3))
    assert _task(database, both, 1).status == "started"
    assert _given(database, both, "eve", 5) == [1, 2]


def check_a_lease_that_ran_out_goes_to_somebody_else(database: Database) -> None:
    """What one annotator walked away from comes back; a late answer counts while nobody else has the task."""
    queue = a_queue(database, 2, lease_seconds=-1.0)
    assert _given(database, queue, "ann", 2) == [1, 2]
    with writing(database, queue) as (tx, now):
        assert sorted(annotating.expire(tx, now)) == [1, 2]
        labelling.update_queue(tx, replace(now, lease_seconds=600.0))
    assert _given(database, queue, "bob") == [1]
    raises(database, ConflictError, lambda tx: say(tx, labelling.lock(tx, queue.id), 1, "ann", "label", "a"), "bob")
    assert _said(database, queue, 2, "ann").value == "a"
    with writing(database, queue) as (tx, now):
        assert release(tx, now, "bob", 2) == []
        assert release(tx, now, "bob") == [1]
    assert _given(database, queue, "ann", 2) == [1]


def check_the_highest_priority_comes_first(database: Database) -> None:
    """Order is by priority, then number, also for who has been past a task that changed or came back."""
    queue = a_queue(database, 4)
    with writing(database, queue) as (tx, _):
        labelling.set_priorities(tx, queue.id, [(3, 1.0), (2, -1.0)])
    assert _given(database, queue, "ann", 2) == [3, 1]
    assert _given(database, queue, "bob", 2) == [4, 2]
    assert _given(database, queue, "eve") == []
    with writing(database, queue) as (tx, now):
        assert release(tx, now, "ann", 3) == [3]
    assert _given(database, queue, "eve") == [3]
    with writing(database, queue) as (tx, _):
        labelling.add_batch(tx, queue.id, None, "ann", [NewTask("new", "{}", priority=9.0), NewTask("newer", "{}")])
    assert _given(database, queue, "eve", 3) == [5, 3, 6]


def check_what_is_said_is_kept_and_can_be_taken_back(database: Database) -> None:
    """Corrections append; undo goes back step by step; skipping opens the task for others only."""
    queue = a_queue(database, 2)
    assert _given(database, queue, "ann") == [1]
    _said(database, queue, 1, "ann", "a")
    _said(database, queue, 1, "ann", "b")
    assert [event.value for event in _history(database, queue, 1)] == ["a", "b"]
    with writing(database, queue) as (tx, now):
        assert undo(tx, now, "ann").value == "b"
        assert label_history.places(tx, queue.id, 1)[0].value == "a"
        assert undo(tx, now, "ann").value == "a"
        assert label_history.places(tx, queue.id, 1)[0].state == "leased"
    raises(database, NotFoundError, lambda tx: undo(tx, labelling.lock(tx, queue.id), "ann"), "take back")
    assert [event.action for event in _history(database, queue, 1)] == ["label", "label", "undo", "undo"]
    with writing(database, queue) as (tx, now):
        say(tx, now, 1, "ann", "flag", comment=AWKWARD)
    assert (_task(database, queue, 1).flagged, _task(database, queue, 1).status) == (True, "waiting")
    assert _given(database, queue, "ann", 2) == [2]
    assert _given(database, queue, "bob", 2) == [1]
    with writing(database, queue) as (tx, now):
        say(tx, now, 2, "ann", "skip")
    assert _given(database, queue, "bob", 2) == [1, 2]
    with writing(database, queue) as (tx, now):
        assert undo(tx, now, "ann").action == "skip"
    assert _given(database, queue, "ann") == []


def _history(database: Database, queue: Labelling, number: int) -> list[LabelEvent]:
    with database.reading() as tx:
        return label_history.history(tx, queue.id, number)


def check_a_deleted_queue_leaves_nothing_and_others_as_they_were(database: Database) -> None:
    """Who holds a task is told; the name is free again."""
    queue, other = a_queue(database, 3), a_queue(database, 1)
    assert _given(database, queue, "ann") == _given(database, other, "ann") == [1]
    _said(database, queue, 1, "ann")
    assert _given(database, queue, "ann") == [2]
    with writing(database, queue) as (tx, now):
        assert label_deleting.leased(tx, now) == {"ann": 1}
        assert label_deleting.labels_in(tx, now) == 1
        label_deleting.delete_queue(tx, now)
    raises(database, NotFoundError, lambda tx: labelling.lock(tx, queue.id), queue.id)
    with database.reading() as tx:
        assert not labelling.all_tasks(tx, queue.id)
        assert not labelling.batches(tx, queue.id)
        assert not label_history.places(tx, queue.id)
        assert not label_history.events(tx, queue.id)
        assert len(label_history.places(tx, other.id)) == 1
    with database.transaction() as tx:
        assert labelling.create_queue(tx, replace(queue, id=new_id()))


def check_decisions_settle_a_task(database: Database) -> None:
    """A decided task is given to nobody and takes no more labels, until the decision is taken back."""
    queue = a_queue(database, 1, overlap=2)
    assert _given(database, queue, "bob") == [1]
    with writing(database, queue) as (tx, now):
        annotating.suggest(tx, now, 1, "model", "a", 0.75)
        annotating.decide(tx, now, 1, "b", "carol", "looked it up")
    task = _task(database, queue, 1)
    assert (task.status, task.decision, task.decided_by, task.leases) == ("decided", "b", "carol", 0)
    assert _given(database, queue, "ann") == []
    raises(database, ConflictError, lambda tx: say(tx, labelling.lock(tx, queue.id), 1, "bob", "label", "a"), "carol")
    with writing(database, queue) as (tx, now):
        say(tx, now, 1, "bob", "label", "a", beyond=True, at=5)
        annotating.reopen(tx, now, 1, "carol")
    assert _given(database, queue, "ann") == [1]
    assert [event.seq for event in _history(database, queue, 1)] == [1, 2, 3, 4]
    assert _history(database, queue, 1)[0].score == 0.75
    raises(database, ConflictError, lambda tx: annotating.reopen(tx, labelling.lock(tx, queue.id), 1, "carol"))


def check_tasks_are_filtered_and_paged(database: Database) -> None:
    """Pages go by number, skip and repeat nothing, and each filter gives what it says."""
    queue = a_queue(database, 20, overlap=2)
    for number in range(1, 11):
        _said(database, queue, number, "ann", "a")
    for number in range(1, 6):
        _said(database, queue, number, "bob", "a" if number % 2 else "b")
    with writing(database, queue) as (tx, now):
        say(tx, now, 20, "eve", "flag")
    with database.reading() as tx:
        paged: list[int] = []
        while found := labelling.page(tx, queue.id, after=paged[-1] if paged else 0, limit=7):
            paged += [task.number for task in found]
        assert paged == list(range(1, 21))

        def numbers(**filters: object) -> list[int]:
            return [task.number for task in labelling.page(tx, queue.id, **filters)]  # type: ignore[arg-type]

        assert numbers(status="labelled") == [1, 2, 3, 4, 5]
        assert numbers(status="started", after=7) == [8, 9, 10]
        assert numbers(disputed=True) == [2, 4]
        assert numbers(flagged=True) == [20]
        assert numbers(annotator="bob", after=1, limit=3) == [2, 3, 4]
        assert numbers(annotator="bob", disputed=True) == [2, 4]
        assert numbers(annotator="nobody") == []
        assert labelling.counts(tx, queue.id) == {
            "labelled": 5, "started": 5, "waiting": 10, "disputed": 2, "flagged": 1,
        }  # fmt: skip
        done = {one.annotator: (one.labelled, one.flagged) for one in label_history.progress(tx, queue.id)}
        assert done == {"ann": (10, 0), "bob": (5, 0), "eve": (0, 1)}
        assert [event.seq for event in label_history.events(tx, queue.id, after=3, limit=2)] == [4, 5]


def check_many_annotators_at_once_never_share_a_task(database: Database) -> None:
    """Eight threads that label until nothing is left: each task has exactly as many labels as the overlap says."""
    queue = a_queue(database, 40, overlap=2)

    def annotate(worker: int) -> list[int]:
        done: list[int] = []
        while given := _given(database, queue, f"ann{worker}", 2):
            for number in given:
                _said(database, queue, number, f"ann{worker}")
                done.append(number)
        return done

    with ThreadPoolExecutor(8) as pool:
        labelled = Counter(number for done in pool.map(annotate, range(8)) for number in done)
    assert labelled == dict.fromkeys(range(1, 41), 2)
    with database.reading() as tx:
        assert labelling.counts(tx, queue.id)["labelled"] == 40
        assert len(label_history.places(tx, queue.id)) == 80


#: Every check of this module, for `tidemill.testing.metadata_contract`.
CHECKS: tuple[Callable[[Database], None], ...] = tuple(
    check for name, check in list(globals().items()) if name.startswith("check_")
)
