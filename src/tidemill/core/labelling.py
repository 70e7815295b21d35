"""The records of labelling: a queue, its tasks, who holds or has labelled them, and everything that was ever said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: ``waiting``: no label yet; ``started``: fewer labels than the queue's overlap; ``labelled``: all of them;
#: ``decided``: somebody, or a model of the annotators, has settled it.
TaskStatus = Literal["waiting", "started", "labelled", "decided"]
PlaceState = Literal["leased", "labelled", "skipped", "flagged"]
LabelAction = Literal["label", "skip", "flag", "undo", "decide", "reopen", "suggest"]


@dataclass(frozen=True, slots=True)
class Labelling:
    """A queue of tasks that people label.

    Parameters
    ----------
    label_schema
        What a label may be, as `tidemill.data.labels.schema` writes it.
    overlap
        How many annotators label each task.
    lease_seconds
        How long a task is kept for the annotator who was given it.
    events
        How many events there are: a number that grows with everything that is said.
    """

    id: str
    name: str
    created_at: int
    label_schema: Mapping[str, Any]
    guidelines: str = ""
    overlap: int = 1
    lease_seconds: float = 600.0
    events: int = 0


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Tasks that were added together: from which artifact, by whom, when."""

    queue_id: str
    number: int
    artifact_id: str | None
    added_at: int
    added_by: str
    tasks: int


@dataclass(frozen=True, slots=True)
class LabelTask:
    """One thing to label.

    Parameters
    ----------
    number
        Its number in the queue, from 1, in the order of adding.
    key
        What it is called outside: the value of the key column, or the digest of its data.
    data
        What the annotator sees.
    batch, row
        The table that it came from, and the row there, from 0.
    priority
        The highest is labelled first.
    labels, leases
        How many annotators have labelled it, and how many hold it now.
    disputed
        Whether its labels differ.
    flagged
        Whether an annotator has asked for somebody to look at it.
    decision, decided_by, decided_at
        The settled label, and who or what settled it when.
    """

    queue_id: str
    number: int
    key: str
    data: Mapping[str, Any]
    batch: int = 1
    row: int = 0
    priority: float = 0.0
    labels: int = 0
    leases: int = 0
    status: TaskStatus = "waiting"
    disputed: bool = False
    flagged: bool = False
    decision: Any = None
    decided_by: str | None = None
    decided_at: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What one annotator has to do with one task now: holds it until `expires_at`, or has said something about it."""

    number: int
    annotator: str
    state: PlaceState
    value: Any = None
    expires_at: float = 0.0
    at: int = 0


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """Something that was said about a task; events are only ever appended.

    Parameters
    ----------
    seq
        Its number in the queue, from 1.
    annotator
        Who said it; for a suggestion, the model.
    value
        The label, where there is one.
    comment
        Why, in free text; for a decision, how it was made.
    seconds
        How long the annotator looked at the task; 0 if nobody measured it.
    score
        How sure a model was.
    undone
        Whether its author took it back.
    """

    seq: int
    number: int
    annotator: str
    action: LabelAction
    value: Any = None
    comment: str = ""
    seconds: float = 0.0
    score: float | None = None
    at: int = 0
    undone: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatorProgress:
    """What one annotator has done: tasks labelled, skipped and flagged, tasks held now, seconds spent on labels."""

    annotator: str
    labelled: int = 0
    skipped: int = 0
    flagged: int = 0
    leased: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LabellingProgress:
    """How far a queue is: tasks by status, those whose labels differ, those that are flagged, and each annotator."""

    tasks: int
    waiting: int
    started: int
    labelled: int
    decided: int
    disputed: int
    flagged: int
    annotators: tuple[AnnotatorProgress, ...] = field(default=())
