"""Making, opening and listing labelling queues."""

from __future__ import annotations

from dataclasses import dataclass

from tidemill.core import clock
from tidemill.core.errors import ConflictError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.labelling import Labelling
from tidemill.data.expected import FLAG, TEXT, require
from tidemill.data.labels.queue import LabelQueue, lease_of, overlap_of, subject_of
from tidemill.data.labels.schema import LabelSchema, from_mapping, to_mapping
from tidemill.project import current_project, open_project_store
from tidemill.store import Store, audit, label_deleting, labelling


@dataclass(frozen=True, slots=True)
class Deleted:
    """A queue that was deleted, and how much was in it."""

    queue: str
    tasks: int
    labels: int


def label_queue(
    name: str,
    schema: LabelSchema | None = None,
    *,
    guidelines: str = "",
    overlap: int = 1,
    lease: str = "10m",
    store: Store | None = None,
) -> LabelQueue:
    """Open a labelling queue of the project; with a schema, make it if there is none of this name.

    Parameters
    ----------
    name
        What it is called.
    schema
        What a label may be. The queue that is opened must have the same.
    guidelines
        What annotators are told; of a new queue.
    overlap
        How many annotators label each task; of a new queue.
    lease
        How long an annotator keeps a task, such as ``"10m"``; of a new queue.
    store
        The current project's by default.

    Raises
    ------
    NotFoundError
        If there is no such queue, and no schema is given.
    ConflictError
        If there is one with another schema.
    """
    require("label_queue", name=(name, TEXT), guidelines=(guidelines, TEXT))
    if schema is not None and not isinstance(schema, LabelSchema):
        raise UsageError("not a label schema", value=schema, hint='Write LabelSchema(("yes", "no")).')
    opened = open_project_store(current_project()) if store is None else store
    if schema is None:
        with opened.metadata.reading() as tx:
            return LabelQueue(opened, labelling.get_queue(tx, name))
    if not name.strip():
        raise UsageError("a queue needs a name", value=name, hint="Call it what is labelled.")
    stored = to_mapping(schema)
    made = Labelling(new_id(), name, clock.now_us(), stored, guidelines, overlap_of(overlap), lease_of(lease))
    with opened.metadata.transaction() as tx:
        is_new = labelling.create_queue(tx, made)
        found = labelling.get_queue(tx, name)
        if is_new:
            audit.record(tx, "labels.create", subject_of(found), {"schema": stored, "overlap": overlap})
    if from_mapping(found.label_schema) != schema:
        raise ConflictError(
            f"there is a queue {name!r} with another schema",
            value=dict(found.label_schema),
            hint="Open it without a schema, or choose another name.",
        )
    return LabelQueue(opened, found)


def delete_queue(name: str, *, force: bool = False, store: Store | None = None) -> Deleted:
    """Delete a labelling queue with its tasks, labels and history, which cannot be undone; the audit keeps that it was.

    Parameters
    ----------
    name
        The queue.
    force
        Whether to delete it though annotators hold tasks of it: what they submit then is refused.
    store
        The current project's by default.

    Raises
    ------
    NotFoundError
        If there is no such queue.
    ConflictError
        If annotators hold tasks, and `force` is not set.
    """
    require("delete_queue", name=(name, TEXT), force=(force, FLAG))
    opened = open_project_store(current_project()) if store is None else store
    with opened.metadata.transaction() as tx:
        queue = labelling.lock(tx, labelling.get_queue(tx, name).id)
        holders = label_deleting.leased(tx, queue)
        if holders and not force:
            raise ConflictError(
                f"annotators are at work on the queue {name!r}",
                value=holders,
                hint="Wait until they have submitted or their leases have run out, or delete it with force.",
            )
        deleted = Deleted(name, sum(labelling.counts(tx, queue.id).values()), label_deleting.labels_in(tx, queue))
        label_deleting.delete_queue(tx, queue)
        details = {"tasks": deleted.tasks, "labels": deleted.labels, "held": holders}
        audit.record(tx, "labels.delete", subject_of(queue), details)
    return deleted


def label_queues(store: Store | None = None) -> list[LabelQueue]:
    """Every labelling queue of the project, by name."""
    opened = open_project_store(current_project()) if store is None else store
    with opened.metadata.reading() as tx:
        return [LabelQueue(opened, found) for found in labelling.list_queues(tx)]
