"""`tidemill labels create|list|show|tasks|next|submit|annotate|import|export|adjudicate|decide|errors|…`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from tidemill.cli.commands.labels_annotate import annotate
from tidemill.cli.commands.labels_delete import delete
from tidemill.cli.commands.labels_files import errors, export, import_
from tidemill.cli.commands.labels_input import queue_of, table_of
from tidemill.cli.given import reading
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import duration, emit, number, table
from tidemill.core.errors import UsageError
from tidemill.core.labelling import LabellingProgress, LabelTask
from tidemill.data.labels.agreement import Agreement
from tidemill.data.labels.queues import label_queue, label_queues
from tidemill.data.labels.schema import LabelSchema, names_in, parsed, shown
from tidemill.data.labels.tasks import tasks_of
from tidemill.project import open_project_store, use_project

#: The first columns of a task that a list has room for.
_COLUMNS = 3


@click.group(name="labels", help="Label rows: queues, annotators, agreement, decisions, exports.")
def command() -> None:
    """Hold the subcommands."""


for _part in (annotate, delete, errors, export, import_):
    command.add_command(_part)


@command.command(name="create", short_help="Make a queue from the rows of a table.")
@click.argument("name")
@click.option("--from", "source", metavar="FILE|SOURCE", help="The table whose rows are the tasks.")
@click.option("--key", help="Columns that name a row, with commas between them.")
@click.option("--classes", help="The classes, with commas between them: good,'\"bad, rather\"'.")
@click.option("--multiple", is_flag=True, help="Several classes may be chosen.")
@click.option("--number", is_flag=True, help="A label is a number; so it is with --min or --max.")
@click.option("--min", "minimum", type=float, help="The smallest number.")
@click.option("--max", "maximum", type=float, help="The largest number.")
@click.option("--guidelines", type=click.Path(path_type=Path, dir_okay=False), help="A text file for the annotators.")
@click.option("--overlap", default=1, show_default=True, help="How many annotators label each task.")
@click.option("--lease", default="10m", show_default=True, help="How long an annotator keeps a task.")
@reading
@shared
def create(
    setup: Setup,
    name: str,
    source: str | None,
    key: str | None,
    classes: str | None,
    guidelines: Path | None,
    overlap: int,
    lease: str,
    pairs: Sequence[str],
    *,
    number: bool,
    **bounds: Any,
) -> None:
    """Make the queue NAME, from the rows of a table; made before, it gets the rows that it does not have yet."""
    if classes is None and not number and bounds["minimum"] is None and bounds["maximum"] is None:
        hint = "Give --classes good,bad, or --number; a queue that is there gets rows with: tidemill labels add."
        raise UsageError("it is not said what a label is", value=name, hint=hint)
    schema = LabelSchema(names_in(classes or ""), **bounds)
    text = guidelines.read_text(encoding="utf-8") if guidelines else ""
    rows = None if source is None else table_of(setup, source, pairs)
    if rows is not None:
        tasks_of(rows, names_in(key or "") or None)  # what is wrong with the rows is said before there is a queue
    with use_project(setup.project()) as project:
        queue = label_queue(
            name, schema, guidelines=text, overlap=overlap, lease=lease, store=open_project_store(project)
        )
    added = None if rows is None else queue.add(rows, key=names_in(key or "") or None)
    if setup.json:
        emit({"status": "created", "queue": name, "added": added, "tasks": queue.progress().tasks})
    elif added is None:
        click.echo(f"queue {name}: {schema.kind}; add tasks with: tidemill labels add {name} TABLE")
    else:
        click.echo(_added(name, added))


@command.command(name="add", short_help="Add the rows of a table to a queue.")
@click.argument("name")
@click.argument("source", metavar="FILE|SOURCE")
@click.option("--key", help="Columns that name a row, with commas between them.")
@reading
@shared
def add(setup: Setup, name: str, source: str, key: str | None, pairs: Sequence[str]) -> None:
    """Add the rows of a table to the queue NAME; rows that it has already stay."""
    with queue_of(setup, name) as queue:
        added = queue.add(table_of(setup, source, pairs), key=names_in(key or "") or None)
    if setup.json:
        emit({"status": "added", "queue": name, "added": added})
    else:
        click.echo(_added(name, added))


def _added(name: str, added: Any) -> str:
    left = [f"{added.known:,} were there"] * bool(added.known) + [f"{added.repeated:,} repeated"] * bool(added.repeated)
    return f"queue {name}: {added.tasks:,} new tasks" + (f" ({', '.join(left)})" if left else "")


@command.command(name="list")
@shared
def list_(setup: Setup) -> None:
    """List the queues, and how far each is."""
    with setup.store() as store:
        found = [(queue.record, queue.schema, queue.progress()) for queue in label_queues(store)]
    if setup.json:
        for record, schema, progress in found:
            emit({"queue": record.name, "schema": schema, "overlap": record.overlap, "progress": progress})
        emit({"status": "listed", "queues": len(found)})
        return
    rows = [
        (record.name, schema.kind, progress.tasks, progress.labelled + progress.decided, progress.disputed)
        for record, schema, progress in found
    ]
    headers = ["queue", "label", "tasks", "done", "disputed"]
    click.echo(table(headers, rows, right=headers[2:]) if rows else "no queues yet: tidemill labels create --help")


@command.command(name="show", short_help="Show a queue: progress, annotators, agreement.")
@click.argument("name")
@shared
def show(setup: Setup, name: str) -> None:
    """Show the queue NAME: what is asked, how far it is, who has done what, and how far annotators agree."""
    with queue_of(setup, name) as queue:
        record, schema, progress, agreed = queue.record, queue.schema, queue.progress(), queue.agreement()
    if setup.json:
        emit({"status": "found", "queue": record, "progress": progress, "agreement": agreed})
        return
    asked = ", ".join(schema.classes) or "a number"
    click.echo(f"{record.name}: {schema.kind} ({asked}), {record.overlap} for each task")
    if record.guidelines:
        click.echo(f"\n{record.guidelines.strip()}")
    names = ("tasks", "waiting", "started", "labelled", "decided", "disputed", "flagged")
    click.echo("\n" + table(list(names), [[getattr(progress, one) for one in names]], right=names))
    if progress.annotators:
        click.echo("\n" + _annotators(progress))
    if agreed.tasks:
        click.echo("\n" + _agreement(agreed))


def _annotators(progress: LabellingProgress) -> str:
    headers = ["annotator", "labelled", "skipped", "flagged", "holds", "time"]
    rows = [
        (one.annotator, one.labelled, one.skipped, one.flagged, one.leased, duration(one.seconds))
        for one in progress.annotators
    ]
    return table(headers, rows, right=headers[1:])


def _agreement(agreed: Agreement) -> str:
    headers = ["annotators", "tasks", "agree", "kappa"]
    rows = [["all", agreed.tasks, number(agreed.observed), number(agreed.fleiss)]]
    rows += [[f"{one.left}, {one.right}", one.tasks, number(one.observed), number(one.kappa)] for one in agreed.pairs]
    alpha = f"Krippendorff's alpha {number(agreed.alpha) or 'undefined'}"
    return f"{table(headers, rows, right=headers[1:])}\n{alpha}"


@command.command(name="tasks", short_help="List the tasks of a queue, and what was said.")
@click.argument("name")
@click.option("--status", type=click.Choice(["waiting", "started", "labelled", "decided"]))
@click.option("--disputed", is_flag=True, help="Only tasks whose labels differ.")
@click.option("--flagged", is_flag=True, help="Only tasks that an annotator has flagged.")
@click.option("--by", "annotator", metavar="WHO", help="Only tasks that this annotator has.")
@click.option("--after", default=0, help="Go on after the task of this number.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@shared
def tasks(
    setup: Setup,
    name: str,
    status: Literal["waiting", "started", "labelled", "decided"] | None,
    **filters: Any,
) -> None:
    """List tasks of the queue NAME by number, a page at a time, with what annotators have said."""
    with queue_of(setup, name) as queue:
        found = queue.tasks(status=status, **filters)
        said = {task.number: queue.places(task.number) for task in found}
    if setup.json:
        for task in found:
            emit({"task": task, "places": said[task.number]})
        emit({"status": "listed", "tasks": len(found)})
        return
    rows = []
    for task in found:
        labels = "; ".join(f"{place.annotator}: {shown(place.value) or place.state}" for place in said[task.number])
        rows.append((task.number, task.status, in_short(task), labels, shown(task.decision), task.decided_by))
    headers = ["task", "status", "data", "said", "decision", "by"]
    click.echo(table(headers, rows, right=["task"]) if rows else "no tasks like that")


def in_short(task: LabelTask) -> str:
    """The first columns of a task."""
    return ", ".join(str(value) for value in list(task.data.values())[:_COLUMNS])


@command.command(name="next", short_help="Give an annotator the next tasks.")
@click.argument("name")
@click.option("--as", "annotator", required=True, metavar="WHO", help="Who labels.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(min=1), help="How many tasks to hold.")
@shared
def next_(setup: Setup, name: str, annotator: str, count: int) -> None:
    """Give WHO the next tasks of the queue NAME, for the time of a lease."""
    with queue_of(setup, name) as queue:
        given = queue.take(annotator, count)
    if setup.json:
        for task in given:
            emit({"task": task})
        emit({"status": "given" if given else "nothing", "tasks": len(given)})
        return
    for task in given:
        click.echo("\n".join([f"task {task.number}", *(f"  {key}: {value}" for key, value in task.data.items())]))
    if not given:
        click.echo("nothing left to label")


@command.command(name="submit", short_help="Record the label of a task.")
@click.argument("name")
@click.argument("task", type=int)
@click.argument("label", required=False)
@click.option("--as", "annotator", required=True, metavar="WHO", help="Who labels.")
@click.option("--skip", is_flag=True, help="Leave the task to others.")
@click.option("--flag", is_flag=True, help="Leave it, and ask for somebody to look at it.")
@click.option("--comment", default="", help="Why.")
@shared
def submit(setup: Setup, name: str, task: int, label: str | None, annotator: str, **said: Any) -> None:
    """Record the LABEL that WHO gives to a TASK of the queue NAME; several classes with commas between them."""
    leave, flag, comment = said["skip"] or said["flag"], said["flag"], said["comment"]
    if (label is None) != leave:
        raise UsageError(
            "a task is either labelled or left", value=label, hint="Give a label, or --skip or --flag without one."
        )
    with queue_of(setup, name) as queue:
        event = (
            queue.skip(task, annotator, comment, flag=flag)
            if label is None
            else queue.submit(task, annotator, parsed(queue.schema, label), comment=comment)
        )
    if setup.json:
        emit({"status": "recorded", "event": event})
    else:
        click.echo(f"task {task}: {shown(event.value) or event.action}, by {annotator}")


@command.command(name="undo", short_help="Take back the last thing that an annotator said.")
@click.argument("name")
@click.option("--as", "annotator", required=True, metavar="WHO", help="Who takes it back.")
@shared
def undo(setup: Setup, name: str, annotator: str) -> None:
    """Take back the last thing that WHO has said in the queue NAME."""
    with queue_of(setup, name) as queue:
        event = queue.undo(annotator)
    if setup.json:
        emit({"status": "undone", "event": event})
    else:
        click.echo(f"task {event.number}: {shown(event.value) or event.action} is taken back")


@command.command(name="history", short_help="Show everything that was said about a task.")
@click.argument("name")
@click.argument("task", type=int)
@shared
def history(setup: Setup, name: str, task: int) -> None:
    """Show everything that was ever said about a TASK of the queue NAME."""
    with queue_of(setup, name) as queue:
        events = queue.history(task)
    if setup.json:
        for event in events:
            emit({"event": event})
        emit({"status": "listed", "events": len(events)})
        return
    rows = [(one.annotator, one.action, shown(one.value), one.comment, "undone" * one.undone) for one in events]
    click.echo(table(["who", "what", "label", "comment", ""], rows) if rows else "nothing was said yet")


@command.command(name="decide", short_help="Settle the label of a task.")
@click.argument("name")
@click.argument("task", type=int)
@click.argument("label", required=False)
@click.option("--as", "by", metavar="WHO", help="Who decides; the user by default.")
@click.option("--reopen", is_flag=True, help="Take the decision back.")
@click.option("--comment", default="", help="Why.")
@shared
def decide(
    setup: Setup, name: str, task: int, label: str | None, *, by: str | None, reopen: bool, comment: str
) -> None:
    """Settle the LABEL of a TASK of the queue NAME, whatever annotators have said."""
    if (label is None) != reopen:
        raise UsageError("a task is either decided or reopened", value=label, hint="Give a label, or --reopen.")
    with queue_of(setup, name) as queue:
        if label is None:
            event = queue.reopen(task, by=by, comment=comment)
        else:
            event = queue.decide(task, parsed(queue.schema, label), by=by, comment=comment)
    if setup.json:
        emit({"status": "recorded", "event": event})
    else:
        click.echo(f"task {task}: {'open again' if reopen else shown(event.value)}, by {event.annotator}")


@command.command(name="adjudicate", short_help="Settle tasks whose labels differ.")
@click.argument("name")
@click.option("--method", type=click.Choice(["majority", "dawid_skene"]), default="majority", show_default=True)
@click.option("--at-least", default=0.5, show_default=True, help="A Dawid-Skene label needs more probability.")
@shared
def adjudicate(setup: Setup, name: str, method: Literal["majority", "dawid_skene"], at_least: float) -> None:
    """Settle the tasks of the queue NAME whose labels differ: by majority, or by how often each annotator is right."""
    with queue_of(setup, name) as queue:
        found = queue.adjudicate(method, at_least=at_least)
    if setup.json:
        emit({"status": "adjudicated", **_plain(found)})
        return
    click.echo(f"{len(found.decisions):,} decided, {len(found.left):,} left")
    if found.accuracies:
        rows = [(who, number(accuracy)) for who, accuracy in found.accuracies.items()]
        click.echo(table(["annotator", "accuracy"], rows, right=["accuracy"]))


def _plain(found: Any) -> dict[str, Any]:
    decisions = {str(task): decision for task, decision in found.decisions.items()}
    return {"method": found.method, "decisions": decisions, "left": found.left, "accuracies": found.accuracies}


@command.command(name="change", short_help="Change guidelines, overlap or lease; add classes.")
@click.argument("name")
@click.option("--guidelines", type=click.Path(path_type=Path, dir_okay=False), help="A text file for the annotators.")
@click.option("--overlap", type=int, help="How many annotators label each task.")
@click.option("--lease", help="How long an annotator keeps a task, such as 10m.")
@click.option("--classes", help="All classes, with the new ones among them.")
@shared
def change(setup: Setup, name: str, guidelines: Path | None, classes: str | None, **changes: Any) -> None:
    """Change the guidelines, overlap or lease of the queue NAME, or add classes to it."""
    text = None if guidelines is None else guidelines.read_text(encoding="utf-8")
    with queue_of(setup, name) as queue:
        queue.change(guidelines=text, classes=None if classes is None else names_in(classes), **changes)
        record = queue.record
    if setup.json:
        emit({"status": "changed", "queue": record})
    else:
        click.echo(f"queue {name}: {record.overlap} for each task, leases of {duration(record.lease_seconds)}")
