"""The labels of a queue as a table: the rows that were labelled, with what counts as their label and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tidemill.core.errors import NotFoundError, UsageError
from tidemill.core.labelling import LabelEvent, LabelTask, TaskStatus
from tidemill.core.records import Artifact
from tidemill.data.expected import TEXT, require
from tidemill.data.labels.schema import LabelSchema, from_mapping
from tidemill.engine.materialisers import load
from tidemill.engine.step import step
from tidemill.project import current_project, open_project_store
from tidemill.store import Store, label_history, labelling, lineage
from tidemill.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Pinned:
    """A queue as it is at one moment: events and batches up to these numbers, and the labels that a task needs."""

    name: str
    queue_id: str
    events: int
    batches: int
    overlap: int


@dataclass(slots=True)
class Answers:
    """What stands about one task after all events: labels by annotator, and the decision if there is one."""

    labels: dict[str, Any] = field(default_factory=dict)
    decision: tuple[Any, str] | None = None


def replayed(events: Iterable[LabelEvent]) -> dict[int, Answers]:
    """What stands about each task after these events, oldest first.

    >>> events = [LabelEvent(1, 7, "ann", "label", "a"), LabelEvent(2, 7, "ann", "label", "b")]
    >>> replayed([*events, LabelEvent(3, 7, "ann", "undo")])[7].labels
    {'ann': 'a'}
    """
    said: dict[str, list[LabelEvent]] = {}
    out: dict[int, Answers] = {}
    for event in events:
        task = out.setdefault(event.number, Answers())
        if event.action == "decide":
            task.decision = (event.value, event.annotator)
        elif event.action == "reopen":
            task.decision = None
        elif event.action == "undo":
            mine = said[event.annotator]
            mine.pop()
            before = [other for other in mine if other.number == event.number][-1:]
            _stand(task, event.annotator, before[0] if before else None)
        elif event.action != "suggest":
            said.setdefault(event.annotator, []).append(event)
            _stand(task, event.annotator, event)
    return out


def _stand(task: Answers, annotator: str, event: LabelEvent | None) -> None:
    if event is None or event.action != "label":
        task.labels.pop(annotator, None)
    else:
        task.labels[annotator] = event.value


def _pinned(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `read_labels` with the queue pinned to what it holds now, and the tables that it came from."""
    queue = arguments["queue"]
    if isinstance(queue, Pinned):
        return arguments
    unknown = sorted(set(arguments) - {"queue", "into", "partial"})
    if unknown:
        raise UsageError("read_labels has no such parameter", value=unknown[0], hint="It has queue, into and partial.")
    name = getattr(queue, "name", queue)
    require("read_labels", queue=(name, TEXT), into=(arguments.get("into", "label"), TEXT))
    store = open_project_store(current_project())
    pinned, tables = pin(store, name)
    return {**arguments, "queue": pinned, **{f"table_{place:04}": table for place, table in enumerate(tables, 1)}}


def pin(store: Store, name: str) -> tuple[Pinned, list[Artifact]]:
    """A queue as it is now, and the artifacts of the tables in it, in the order of adding."""
    with store.metadata.reading() as tx:
        queue = labelling.get_queue(tx, name)
        batches = labelling.batches(tx, queue.id)
        tables = [lineage.get_artifact(tx, batch.artifact_id) for batch in batches if batch.artifact_id]
    return Pinned(queue.name, queue.id, queue.events, len(batches), queue.overlap), tables


@step(stage="label", resolve=_pinned)
def read_labels(queue: Any, *, into: str = "label", partial: bool = False, **tables: Any) -> pl.DataFrame:
    """The labelled rows of a queue: a table to split and train on.

    In a run, the queue is pinned to what it holds when the step starts, so that new labels make the step run again.

    Parameters
    ----------
    queue
        The name of a queue of the project.
    into
        The name of the label's column. ``{into}_source`` says who it is from (``annotators`` where they agree, or who
        or what has decided), ``{into}_count`` how many annotators have labelled the row, ``{into}_agreement`` which
        share of them has given this label.
    partial
        Whether to take rows with fewer labels than the overlap.
    tables
        Not to be given: the tables that the tasks came from, which the queue knows.

    Returns
    -------
    polars.DataFrame
        One row for each task that has all its labels or a decision, in the order of adding: the columns of its table,
        and those above. The label is missing where annotators differ and nobody has decided.

    Raises
    ------
    NotFoundError
        If there is no such queue.
    UsageError
        If the table has a column of one of these names, or a parameter is not known.
    """
    store = open_project_store(current_project())
    return answers_table(store, queue, [tables[name] for name in sorted(tables)], into=into, partial=partial)


def answers_table(
    store: Store, queue: Pinned, tables: Sequence[Any], *, into: str = "label", partial: bool = False
) -> pl.DataFrame:
    """The labelled rows of a pinned queue, whose tables are frames or their artifacts; see `read_labels`."""
    with store.metadata.reading() as tx:
        record = labelling.get_queue(tx, queue.name)
        if record.id != queue.queue_id:
            raise NotFoundError("the queue was replaced by another one", value=queue.name, hint="Run again.")
        tasks = [task for task in labelling.all_tasks(tx, record.id) if task.batch <= queue.batches]
        standing = replayed(_events(tx, queue))
        with_table = [batch.number for batch in labelling.batches(tx, record.id) if batch.artifact_id]
    frames = {
        number: load(table, pl.DataFrame, store.artifacts) if isinstance(table, Artifact) else table
        for number, table in zip(with_table, tables, strict=False)
    }
    taken = [task for task in tasks if _is_done(standing.get(task.number), queue, partial=partial)]
    rows = _rows(taken, frames)
    clashes = [name for name in _columns(into) if name in rows.columns]
    if clashes:
        raise UsageError("the tasks have a column of this name", value=clashes[0], hint='Choose another, into="…".')
    return rows.with_columns(
        _answers([standing[task.number] for task in taken], from_mapping(record.label_schema), into)
    )


def task_table(store: Store, name: str, status: TaskStatus | None = None) -> pl.DataFrame:
    """The rows of a queue's tasks, or of those with a status, with the ``task``'s number first."""
    pinned, tables = pin(store, name)
    with store.metadata.reading() as tx:
        tasks = [task for task in labelling.all_tasks(tx, pinned.queue_id) if status in (None, task.status)]
        with_table = [batch.number for batch in labelling.batches(tx, pinned.queue_id) if batch.artifact_id]
    frames = {
        number: load(table, pl.DataFrame, store.artifacts) for number, table in zip(with_table, tables, strict=True)
    }
    rows = _rows(tasks, frames)
    if "task" in rows.columns:
        raise UsageError("the tasks have a column of this name", value="task", hint="Rename it in the table.")
    return rows.insert_column(0, pl.Series("task", [task.number for task in tasks], dtype=pl.Int64))


def _events(tx: Transaction, queue: Pinned) -> Iterable[LabelEvent]:
    after = 0
    while after < queue.events:
        page = label_history.events(tx, queue.queue_id, after=after, limit=min(10_000, queue.events - after))
        if not page:
            return
        yield from page
        after = page[-1].seq


def _is_done(answers: Answers | None, queue: Pinned, *, partial: bool) -> bool:
    if answers is None:
        return False
    return answers.decision is not None or len(answers.labels) >= (1 if partial else queue.overlap)


def _rows(tasks: Sequence[LabelTask], frames: Mapping[int, pl.DataFrame]) -> pl.DataFrame:
    """The rows of the tasks as their tables have them; where tables differ, a missing column is null."""
    parts = []
    start = 0
    while start < len(tasks):
        batch = tasks[start].batch
        end = start
        while end < len(tasks) and tasks[end].batch == batch:
            end += 1
        parts.append(frames[batch][[task.row for task in tasks[start:end]]])
        start = end
    if not parts:
        return next(iter(frames.values())).clear() if frames else pl.DataFrame()
    return parts[0] if len(parts) == 1 else pl.concat(parts, how="diagonal_relaxed")


def _columns(into: str) -> tuple[str, str, str, str]:
    return into, f"{into}_source", f"{into}_count", f"{into}_agreement"


def _answers(answers: Sequence[Answers], schema: LabelSchema, into: str) -> list[pl.Series]:
    labels = [_label(one) for one in answers]
    sources = [
        one.decision[1] if one.decision else None if label is None else "annotators"
        for one, label in zip(answers, labels, strict=True)
    ]
    shares = [
        None if label is None or not one.labels else _share(label, list(one.labels.values()))
        for one, label in zip(answers, labels, strict=True)
    ]
    columns = _columns(into)
    return [
        pl.Series(columns[0], labels, dtype=schema.polars_type),
        pl.Series(columns[1], sources, dtype=pl.String),
        pl.Series(columns[2], [len(one.labels) for one in answers], dtype=pl.Int64),
        pl.Series(columns[3], shares, dtype=pl.Float64),
    ]


def _label(answers: Answers) -> Any:
    if answers.decision is not None:
        return answers.decision[0]
    given = list(answers.labels.values())
    return given[0] if all(label == given[0] for label in given) else None


def _share(label: Any, given: Sequence[Any]) -> float:
    return Counter(one == label for one in given)[True] / len(given)
