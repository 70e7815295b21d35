"""A labelling queue: a table comes in as tasks, people label them one by one, and every answer is kept."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import polars as pl
from numpy.typing import ArrayLike

from tidemill.core.errors import UsageError
from tidemill.core.labelling import LabelEvent, Labelling, LabellingProgress, LabelTask, Place, TaskStatus
from tidemill.data.labels.adjudicate import Adjudication, Method, settled
from tidemill.data.labels.agreement import Agreement, agreement
from tidemill.data.labels.answers import task_table
from tidemill.data.labels.choosing import Uncertainty, priorities
from tidemill.data.labels.schema import LabelSchema, accepted, from_mapping, to_mapping
from tidemill.data.labels.tasks import Added, new_ones, stored_table, tasks_of
from tidemill.data.moments import duration
from tidemill.data.types import Tabular, collected
from tidemill.store import Store, annotating, audit, label_history, labelling
from tidemill.store.database import Transaction


class LabelQueue:
    """Tasks of a table, given out to annotators and answered by them; made or opened by `label_queue`.

    It may be used from any number of processes and machines at once. A task is given to as many annotators as the
    queue's overlap says; each keeps it for the time of the lease. What is said is appended, never overwritten.
    """

    def __init__(self, store: Store, record: Labelling) -> None:
        self._store = store
        self._record = record

    @property
    def name(self) -> str:
        """What the queue is called."""
        return self._record.name

    @property
    def store(self) -> Store:
        """Where it is kept."""
        return self._store

    @property
    def record(self) -> Labelling:
        """The queue as the store has it now."""
        with self._store.metadata.reading() as tx:
            self._record = labelling.get_queue(tx, self.name)
        return self._record

    @property
    def schema(self) -> LabelSchema:
        """What a label may be."""
        return from_mapping(self._record.label_schema)

    @property
    def guidelines(self) -> str:
        """What annotators are told."""
        return self.record.guidelines

    def __repr__(self) -> str:
        return f"LabelQueue({self.name!r})"

    def add(self, table: Tabular, *, key: str | Sequence[str] | None = None) -> Added:
        """Add the rows of a table as tasks; rows that are in the queue already are left as they are.

        Parameters
        ----------
        table
            A frame, or a result that holds one. It is stored, so that the labels know what they were given to.
        key
            The columns that name a row; without them equal rows are one task.

        Raises
        ------
        DataError
            If different rows have the same key, in the table or in the queue.
        """
        frame = collected(table)
        tasks, repeated = tasks_of(frame, key)
        with self.writing() as (tx, queue):
            added = new_ones(tasks, labelling.known_keys(tx, queue.id))
            if added:
                artifact = stored_table(tx, self._store, frame)
                labelling.add_batch(tx, queue.id, artifact.id, audit.current_user(), added)
                details = {"tasks": len(added), "table": artifact.digest}
                audit.record(tx, "labels.add", subject_of(queue), details)
        return Added(len(added), len(tasks) - len(added), repeated)

    def change(
        self,
        *,
        guidelines: str | None = None,
        overlap: int | None = None,
        lease: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        """Change what may change: guidelines, overlap, the length of a lease; and classes may be added."""
        with self.writing() as (tx, queue):
            schema = from_mapping(queue.label_schema)
            if classes is not None:
                lost = [name for name in schema.classes if name not in classes]
                if lost or schema.kind == "number":
                    raise UsageError("classes can only be added", value=lost or classes, hint="Make a new queue.")
                schema = replace(schema, classes=tuple(classes))
            changed = replace(
                queue,
                guidelines=queue.guidelines if guidelines is None else guidelines,
                overlap=queue.overlap if overlap is None else overlap_of(overlap),
                lease_seconds=queue.lease_seconds if lease is None else lease_of(lease),
                label_schema=to_mapping(schema),
            )
            labelling.update_queue(tx, changed)
            details = {"overlap": changed.overlap, "lease_seconds": changed.lease_seconds, "classes": schema.classes}
            audit.record(tx, "labels.change", subject_of(queue), details)
        self._record = changed

    def next(self, annotator: str) -> LabelTask | None:
        """The task that the annotator holds, or the first one that is free; None when there is nothing more to do."""
        found = self.take(annotator, 1)
        return found[0] if found else None

    def take(self, annotator: str, count: int = 1) -> list[LabelTask]:
        """Up to `count` tasks for an annotator to hold, those that are held already first; their leases start anew.

        Free is what fewer annotators than the overlap have labelled or hold, and this one has said nothing about. The
        highest priority comes first, then the order of adding.
        """
        if count < 1:
            raise UsageError("a number of tasks is at least 1", value=count, hint="Ask for one.")
        with self.writing() as (tx, queue):
            labelling.require_tasks(tx, queue.id, queue.name)
            return annotating.take(tx, queue, _annotator(annotator), count)

    def submit(self, task: int, annotator: str, label: Any, *, comment: str = "", seconds: float = 0.0) -> LabelEvent:
        """Record an annotator's label of a task, given by its number; another one later corrects it.

        An annotator who does not hold the task, or whose lease has run out, may still label it while it has a place.

        Raises
        ------
        UsageError
            If the schema does not allow the label.
        ConflictError
            If others have taken the task since, or never gave it away.
        NotFoundError
            If there is no such task.
        """
        if not 0 <= seconds < float("inf"):
            raise UsageError("seconds cannot be negative or endless", value=seconds, hint="Leave them out.")
        with self.writing() as (tx, queue):
            label = accepted(from_mapping(queue.label_schema), label)
            return annotating.say(
                tx, queue, _number(task), _annotator(annotator), "label", label, comment=comment, seconds=seconds
            )

    def skip(self, task: int, annotator: str, comment: str = "", *, flag: bool = False) -> LabelEvent:
        """Leave a task to others; with `flag`, ask for somebody to look at it."""
        with self.writing() as (tx, queue):
            return annotating.say(
                tx, queue, _number(task), _annotator(annotator), "flag" if flag else "skip", comment=comment
            )

    def release(self, annotator: str, task: int | None = None) -> list[int]:
        """Give back all tasks that an annotator holds, or one; returns their numbers."""
        with self.writing() as (tx, queue):
            return annotating.release(tx, queue, _annotator(annotator), None if task is None else _number(task))

    def undo(self, annotator: str) -> LabelEvent:
        """Take back the last thing that an annotator has said; repeat to go further back."""
        with self.writing() as (tx, queue):
            return annotating.undo(tx, queue, _annotator(annotator))

    def decide(self, task: int, label: Any, *, by: str | None = None, comment: str = "") -> LabelEvent:
        """Settle the label of a task, whatever annotators have said; `by` is the user of the process by default."""
        with self.writing() as (tx, queue):
            label = accepted(from_mapping(queue.label_schema), label)
            return annotating.decide(tx, queue, _number(task), label, _annotator(by or audit.current_user()), comment)

    def reopen(self, task: int, *, by: str | None = None, comment: str = "") -> LabelEvent:
        """Take back the decision about a task."""
        with self.writing() as (tx, queue):
            return annotating.reopen(tx, queue, _number(task), _annotator(by or audit.current_user()), comment)

    def adjudicate(self, method: Method = "majority", *, at_least: float = 0.5) -> Adjudication:
        """Settle the tasks whose labels differ, where all labels that the overlap asks for are there.

        Parameters
        ----------
        method
            ``"majority"``: what most annotators say, of several classes each one for itself, of numbers the median;
            equal votes settle nothing. ``"dawid_skene"``: each annotator counts as far as all tasks show that annotator
            to be right; for one class only.
        at_least
            A Dawid–Skene label needs more than this probability.
        """
        with self.writing() as (tx, queue):
            schema = from_mapping(queue.label_schema)
            disputed = _every(tx, queue, disputed=True)
            waiting = [task.number for task in disputed if task.status == "labelled"]
            found = settled(_labels(tx, queue), waiting, schema, method, at_least)
            for number, decision in found.decisions.items():
                annotating.decide(tx, queue, number, decision.label, method, f"{decision.share:.3f}")
            details = {"method": method, "decided": len(found.decisions), "left": len(found.left)}
            audit.record(tx, "labels.adjudicate", subject_of(queue), details)
        return found

    def prioritise(
        self,
        probabilities: ArrayLike,
        tasks: Sequence[int] | None = None,
        *,
        measure: Uncertainty = "margin",
        features: ArrayLike | None = None,
    ) -> int:
        """Give out first what a model is least sure of; returns how many tasks have a new priority.

        Parameters
        ----------
        probabilities
            Of each task's classes: shape (tasks, classes), or (tasks,) for the second of two.
        tasks
            The numbers of the tasks; by default those without a label, as ``table("waiting")`` gives them.
        measure
            See `tidemill.data.labels.choosing.uncertainties`.
        features
            Shape (tasks, features): among tasks that are alike, one comes early and the others later.
        """
        with self.writing() as (tx, queue):
            if tasks is None:
                tasks = [task.number for task in _every(tx, queue, status="waiting")]
            found = priorities(probabilities, tasks, measure=measure, features=features)
            for number in {_number(min(tasks)), _number(max(tasks))} if tasks else ():
                labelling.get_task(tx, queue.id, number)
            labelling.set_priorities(tx, queue.id, found)
            audit.record(tx, "labels.prioritise", subject_of(queue), {"tasks": len(found), "measure": measure})
        return len(found)

    def table(self, status: TaskStatus | None = None) -> pl.DataFrame:
        """The rows of the tasks, or of those with a status, as their tables have them; the ``task``'s number first."""
        return task_table(self._store, self.name, status)

    def task(self, number: int) -> LabelTask:
        """One task by its number."""
        with self._store.metadata.reading() as tx:
            return labelling.get_task(tx, self._record.id, _number(number))

    def tasks(
        self,
        *,
        status: TaskStatus | None = None,
        disputed: bool = False,
        flagged: bool = False,
        annotator: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[LabelTask]:
        """A page of tasks by number; `after` (the number of a task) goes on after the last one of an earlier page."""
        with self._store.metadata.reading() as tx:
            return labelling.page(
                tx,
                self._record.id,
                status=status,
                disputed=disputed,
                flagged=flagged,
                annotator=annotator,
                after=after,
                limit=limit,
            )

    def places(self, task: int) -> list[Place]:
        """What each annotator has to do with a task now."""
        with self._store.metadata.reading() as tx:
            return label_history.places(tx, self._record.id, _number(task))

    def history(self, task: int) -> list[LabelEvent]:
        """Everything that was ever said about a task, oldest first."""
        with self._store.metadata.reading() as tx:
            labelling.get_task(tx, self._record.id, _number(task))
            return label_history.history(tx, self._record.id, _number(task))

    def progress(self) -> LabellingProgress:
        """How far the queue is, and what each annotator has done."""
        with self._store.metadata.reading() as tx:
            counts = labelling.counts(tx, self._record.id)
            waiting, started, labelled, decided = (
                counts.get(status, 0) for status in ("waiting", "started", "labelled", "decided")
            )
            return LabellingProgress(
                waiting + started + labelled + decided,
                waiting,
                started,
                labelled,
                decided,
                counts["disputed"],
                counts["flagged"],
                label_history.progress(tx, self._record.id),
            )

    def agreement(self) -> Agreement:
        """How far annotators agree beyond chance, on the tasks that several have labelled."""
        with self._store.metadata.reading() as tx:
            return agreement(list(_labels(tx, self._record).values()), self.schema.kind)

    @contextmanager
    def writing(self) -> Iterator[tuple[Transaction, Labelling]]:
        """A write transaction, and the queue as it is in it; other writers of the queue wait until it ends."""
        with self._store.metadata.transaction() as tx:
            yield tx, labelling.lock(tx, self._record.id)


def _labels(tx: Transaction, queue: Labelling) -> dict[int, dict[str, Any]]:
    """For each task that has some, its labels by annotator."""
    labels: dict[int, dict[str, Any]] = {}
    for place in label_history.places(tx, queue.id):
        if place.state == "labelled":
            labels.setdefault(place.number, {})[place.annotator] = place.value
    return labels


def _every(tx: Transaction, queue: Labelling, **filters: Any) -> list[LabelTask]:
    found: list[LabelTask] = []
    while page := labelling.page(tx, queue.id, after=found[-1].number if found else 0, limit=10_000, **filters):
        found += page
    return found


def _number(task: Any) -> int:
    try:
        return operator.index(task)
    except TypeError:
        raise UsageError("a task is given by its number", value=task, hint="Give task.number.") from None


def _annotator(name: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise UsageError("an annotator needs a name", value=name, hint="Say who labels.")
    return name.strip()


def subject_of(queue: Labelling) -> str:
    """What the audit calls a queue."""
    return f"labels:{queue.name}"


def overlap_of(overlap: int) -> int:
    """The overlap, checked."""
    if isinstance(overlap, bool) or not isinstance(overlap, int) or overlap < 1:
        raise UsageError("the overlap is a number of annotators, 1 or more", value=overlap, hint="Write 1.")
    return overlap


def lease_of(lease: str) -> float:
    """The seconds of a lease, checked."""
    seconds = duration(lease).total_seconds()
    if seconds <= 0:
        raise UsageError("a lease lasts longer than nothing", value=lease, hint='Write "10m".')
    return seconds
