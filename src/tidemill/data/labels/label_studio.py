"""Label Studio's JSON: tasks with annotations and predictions, in and out; and its labelling interface as XML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

import polars as pl

from tidemill.core.clock import from_us
from tidemill.core.digests import digest_bytes
from tidemill.core.errors import DataError, UsageError
from tidemill.core.labelling import LabelEvent, Labelling, LabelTask
from tidemill.data.labels.queue import LabelQueue, subject_of
from tidemill.data.labels.schema import LabelSchema, accepted, from_mapping
from tidemill.data.labels.studio_tasks import StudioTask, studio_task
from tidemill.data.labels.tasks import new_ones, stored_table
from tidemill.store import annotating, audit, label_history, labelling
from tidemill.store.database import Transaction
from tidemill.store.labelling import NewTask, data_text

#: What the control is called in the interface that is written.
CONTROL = "label"
#: Where a task's key travels.
_KEY = "tidemill_key"


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file brought: new tasks, labels, skips, decisions (ground truths) and predictions; nothing twice."""

    tasks: int
    labels: int
    skips: int
    decisions: int
    suggestions: int


def read_label_studio(source: str | Path | Sequence[Mapping[str, Any]], control: str | None = None) -> list[StudioTask]:
    """The tasks of a Label Studio export (its format ``JSON``), or of one that is loaded already.

    Parameters
    ----------
    source
        A file, or the list that it holds.
    control
        The ``from_name`` of the control whose answers are meant; not needed where there is one only.

    Raises
    ------
    DataError
        If it is not such an export; the message names the task.
    """
    tasks = _loaded(source) if isinstance(source, str | Path) else source
    if not isinstance(tasks, Sequence) or isinstance(tasks, str):
        raise DataError(
            "a Label Studio export is a list of tasks",
            value=type(tasks).__name__,
            hint="Export it as JSON, not JSON-MIN.",
        )
    return [studio_task(task, place, control) for place, task in enumerate(tasks, 1)]


def schema_of(tasks: Iterable[StudioTask]) -> LabelSchema:
    """The schema that the answers of an export fit: its classes in the order in which they are used first.

    Raises
    ------
    DataError
        If nothing was answered, or both classes and numbers are.
    """
    values = [
        answer.value for task in tasks for answer in (*task.answers, *task.suggestions) if answer.value is not None
    ]
    kinds = Counter("number" if isinstance(value, float) else "class" for value in values)
    if len(kinds) != 1:
        raise DataError("the export does not say what a label is", value=dict(kinds), hint="Give classes or bounds.")
    if "number" in kinds:
        return LabelSchema()
    classes = tuple(dict.fromkeys(name for value in values for name in value))
    return LabelSchema(classes, multiple=len(classes) == 1 or any(len(value) != 1 for value in values))


def import_label_studio(
    queue: LabelQueue, source: str | Path | Sequence[Mapping[str, Any]], *, control: str | None = None
) -> Imported:
    """Add the tasks of a Label Studio export to a queue, with all that was said about them; again, it adds nothing.

    Annotations keep author, time and seconds; cancelled ones are skips, ground truths are decisions, predictions are
    suggestions. Labels are taken also beyond the overlap of the queue.

    Raises
    ------
    DataError
        If the file is no such export, or an answer does not fit the queue's schema; nothing is imported then.
    """
    tasks = read_label_studio(source, control)
    with queue.writing() as (tx, now):
        schema = from_mapping(now.label_schema)
        fitting = [_fitting(task, schema) for task in tasks]
        keyed = {task.key or _digest(task.data): task for task in fitting}
        drafts = [NewTask(key, data_text(task.data), row) for row, (key, task) in enumerate(keyed.items())]
        added = new_ones(drafts, labelling.known_keys(tx, now.id))
        if added:
            table = stored_table(tx, queue.store, _frame([task.data for task in keyed.values()]))
            labelling.add_batch(tx, now.id, table.id, audit.current_user(), added)
        numbers = {key: number for key, (number, _) in labelling.known_keys(tx, now.id).items()}
        said: Counter[str] = Counter()
        for task in fitting:
            said += _say(tx, now, numbers[task.key or _digest(task.data)], task)
        found = Imported(len(added), said["label"], said["skip"], said["decide"], said["suggest"])
        audit.record(tx, "labels.import", subject_of(now), {"tasks": found.tasks, "labels": found.labels})
    return found


def to_label_studio(queue: LabelQueue) -> list[dict[str, Any]]:
    """The tasks of a queue as Label Studio imports them, with the annotations, ground truths and predictions of each.

    What cannot be said there is left out: comments, and what was corrected or taken back.
    """
    with queue.store.metadata.reading() as tx:
        record = labelling.get_queue(tx, queue.name)
        tasks = labelling.all_tasks(tx, record.id)
        said = _standing(tx, record)
    schema = from_mapping(record.label_schema)
    return [_exported(task, said.get(task.number, []), schema) for task in tasks]


def export_label_studio(queue: LabelQueue, target: str | Path) -> int:
    """Write the tasks of a queue as Label Studio's JSON, and return how many; see `to_label_studio`."""
    tasks = to_label_studio(queue)
    Path(target).write_text(json.dumps(tasks, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return len(tasks)


def label_config(schema: LabelSchema, columns: Sequence[str], guidelines: str = "") -> str:
    """The XML of Label Studio's labelling interface for a schema and the columns that annotators see.

    >>> print(label_config(LabelSchema(("good", "bad")), ["text"]))
    <View>
      <Text name="column1" value="$text"/>
      <Choices name="label" toName="column1" choice="single">
        <Choice value="good"/>
        <Choice value="bad"/>
      </Choices>
    </View>
    """
    lines = ["<View>"] + [f"  <Header value={quoteattr(guidelines.strip())}/>"] * bool(guidelines.strip())
    lines += [f'  <Text name="column{place}" value={quoteattr(f"${name}")}/>' for place, name in enumerate(columns, 1)]
    if schema.kind == "number":
        bounds = {"min": schema.minimum, "max": schema.maximum}
        said = "".join(f' {name}="{bound:g}"' for name, bound in bounds.items() if bound is not None)
        lines.append(f'  <Number name="{CONTROL}" toName="column1"{said}/>')
    else:
        choice = "multiple" if schema.multiple else "single"
        lines.append(f'  <Choices name="{CONTROL}" toName="column1" choice="{choice}">')
        lines += [f"    <Choice value={quoteattr(name)}/>" for name in schema.classes]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>"])


def _loaded(file: str | Path) -> Any:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"the file is not JSON ({error})", value=str(file), hint="Export it as JSON.") from error


def _fitting(task: StudioTask, schema: LabelSchema) -> StudioTask:
    """The task with its answers as the schema has them."""

    def fitting(value: Any) -> Any:
        if value is None:
            return None
        try:
            if schema.kind != "class" or isinstance(value, float):
                return accepted(schema, value)
            if len(value) != 1:
                raise UsageError("one class is needed", value=list(value), hint="Use a queue with several classes.")
            return accepted(schema, value[0])
        except UsageError as error:
            raise DataError(
                f"an answer of {task.shown} does not fit the queue: {error.what}", value=error.value, hint=error.hint
            ) from error

    return task.with_values(fitting)


def _say(tx: Transaction, queue: Labelling, number: int, task: StudioTask) -> Counter[str]:
    """Record what a file says about one task and the queue does not know yet; returns how much of each."""
    done: Counter[str] = Counter()
    for answer in task.answers:
        if answer.is_truth:
            stored = labelling.get_task(tx, queue.id, number)
            if (stored.decision, stored.decided_by) != (answer.value, answer.author):
                annotating.decide(tx, queue, number, answer.value, answer.author, "ground truth")
                done["decide"] += 1
            continue
        action: Literal["label", "skip"] = "skip" if answer.value is None else "label"
        place = label_history.get_place(tx, queue.id, number, answer.author)
        state = None if place is None else (place.state, place.value)
        if state not in (("labelled", answer.value), ("skipped", answer.value), ("flagged", answer.value)):
            annotating.say(
                tx,
                queue,
                number,
                answer.author,
                action,
                answer.value,
                seconds=answer.seconds,
                at=answer.at,
                beyond=True,
            )
            done[action] += 1
    known = label_history.history(tx, queue.id, number) if task.suggestions else []
    suggested = {(event.annotator, repr(event.value), event.score) for event in known if event.action == "suggest"}
    for suggestion in task.suggestions:
        if (suggestion.author, repr(suggestion.value), suggestion.score) not in suggested:
            annotating.suggest(tx, queue, number, suggestion.author, suggestion.value, suggestion.score, suggestion.at)
            done["suggest"] += 1
    return done


def _standing(tx: Transaction, queue: Labelling) -> dict[int, list[LabelEvent]]:
    """What still stands about each task: the last word of each annotator, and of each model."""
    last: dict[tuple[int, str, bool], LabelEvent] = {}
    after = 0
    while page := label_history.events(tx, queue.id, after=after, limit=10_000):
        for event in page:
            if not event.undone and event.action in ("label", "skip", "flag", "suggest"):
                last[event.number, event.annotator, event.action == "suggest"] = event
        after = page[-1].seq
    found: dict[int, list[LabelEvent]] = {}
    for event in last.values():
        found.setdefault(event.number, []).append(event)
    return found


def _exported(task: LabelTask, said: Sequence[LabelEvent], schema: LabelSchema) -> dict[str, Any]:
    annotations = [
        {
            "completed_by": {"email": event.annotator},
            "result": [] if event.value is None else [_result(event.value, schema)],
            "was_cancelled": event.value is None,
            "ground_truth": False,
            "lead_time": event.seconds,
            "created_at": from_us(event.at).isoformat(),
        }
        for event in said
        if event.action != "suggest"
    ]
    if task.status == "decided":
        annotations.append(
            {
                "completed_by": {"email": task.decided_by},
                "result": [_result(task.decision, schema)],
                "was_cancelled": False,
                "ground_truth": True,
                "lead_time": 0.0,
                "created_at": from_us(task.decided_at or 0).isoformat(),
            }
        )
    predictions = [
        {"model_version": event.annotator, "score": event.score, "result": [_result(event.value, schema)]}
        for event in said
        if event.action == "suggest"
    ]
    return {
        "id": task.number,
        "data": dict(task.data),
        "meta": {_KEY: task.key},
        "annotations": annotations,
        "predictions": predictions,
    }


def _result(value: Any, schema: LabelSchema) -> dict[str, Any]:
    kind = "number" if schema.kind == "number" else "choices"
    answer = value if schema.kind != "class" else [value]
    return {"from_name": CONTROL, "to_name": "column1", "type": kind, "value": {kind: answer}}


def _frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    kinds: dict[str, type] = {}
    for row in rows:
        for name, value in row.items():
            kind = float if type(value) is int else type(value)
            if value is not None and kinds.setdefault(name, kind) is not kind:
                raise DataError(
                    f"the data of the tasks are not one table: {name!r} is {kinds[name].__name__} in one task and "
                    f"{kind.__name__} in another",
                    value=value,
                    hint="Give each field one type in all tasks.",
                )
    try:
        return pl.DataFrame([dict(row) for row in rows], infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise DataError(
            f"the data of the tasks are not one table: {str(error).splitlines()[0]}",
            hint="Give each field one type in all tasks.",
        ) from error


def _digest(data: Mapping[str, Any]) -> str:
    return digest_bytes(data_text(data).encode())[:32]
