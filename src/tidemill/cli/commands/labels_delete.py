"""`tidemill labels delete`."""

from __future__ import annotations

import sys

import click

from tidemill.cli.commands.labels_input import queue_of
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit
from tidemill.core.errors import UsageError
from tidemill.data.labels.queues import delete_queue


@click.command(name="delete", short_help="Delete a queue with its labels.")
@click.argument("name")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also while annotators hold tasks of it.")
@shared
def delete(setup: Setup, name: str, *, is_sure: bool, force: bool) -> None:
    """Delete the queue NAME with its tasks, labels and history. It cannot be undone: export it first."""
    with queue_of(setup, name) as queue:
        if not is_sure:
            _ask(setup, name, queue.progress().tasks)
        deleted = delete_queue(name, force=force, store=queue.store)
    if setup.json:
        emit({"status": "deleted", "queue": name, "tasks": deleted.tasks, "labels": deleted.labels})
    else:
        click.echo(f"deleted the queue {name}: {deleted.tasks:,} tasks, {deleted.labels:,} labels")


def _ask(setup: Setup, name: str, tasks: int) -> None:
    if setup.json or not sys.stdin.isatty():
        raise UsageError(
            "a queue is deleted with all of its labels", value=name,
            hint=f"If you are sure: tidemill labels delete {name} --yes",
        )  # fmt: skip
    if not click.confirm(f"Delete the queue {name} with {tasks:,} tasks and all of their labels?"):
        raise UsageError("nothing was deleted", hint=f"To keep the labels: tidemill labels export {name} FILE")
