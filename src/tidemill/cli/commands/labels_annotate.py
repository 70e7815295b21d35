"""`tidemill labels annotate`: label in the terminal, one key for each class."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from tidemill.cli.commands.labels_input import queue_of
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit
from tidemill.core.clock import elapsed
from tidemill.core.errors import ConflictError, NotFoundError, UsageError
from tidemill.core.labelling import LabelTask
from tidemill.data.labels.queue import LabelQueue
from tidemill.data.labels.schema import LabelSchema, accepted, names_in, shown

#: Keys that mean something else than a class.
SKIP, FLAG, UNDO, QUIT, HELP = "s", "f", "u", "q", "?"
_COMMANDS = {SKIP: "skip", FLAG: "flag for a look", UNDO: "take back the last", HELP: "guidelines", QUIT: "quit"}
_OTHERS = "1234567890abcdeghijklmnoprtvwxyz"


def keys_of(classes: Sequence[str]) -> dict[str, str]:
    """A key for each class: its first letter where that is free, else a digit or another letter.

    >>> keys_of(["good", "bad", "skipped"])
    {'g': 'good', 'b': 'bad', '1': 'skipped'}
    """
    keys: dict[str, str] = {}
    for name in classes:
        first = name[0].lower()
        free = [key for key in (first, *_OTHERS) if key not in keys and key not in _COMMANDS and len(key) == 1]
        if not free:
            raise UsageError(
                "there are more classes than keys", value=len(classes), hint="Use: tidemill labels next and submit."
            )
        keys[free[0]] = name
    return keys


@click.command(name="annotate", short_help="Label in the terminal.")
@click.argument("name")
@click.option("--as", "annotator", required=True, metavar="WHO", help="Who labels.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many labels.")
@shared
def annotate(setup: Setup, name: str, annotator: str, limit: int | None) -> None:
    """Label the tasks of the queue NAME in the terminal: a key for each class, u takes back, s skips, q quits.

    What was labelled is kept whenever you stop; the task on the screen goes back to the queue.
    """
    with queue_of(setup, name) as queue:
        schema = queue.schema
        keys = keys_of(schema.classes)
        _say(setup, queue.guidelines.strip())
        _say(setup, "  ".join(f"[{key}] {meaning}" for key, meaning in {**keys, **_COMMANDS}.items()))
        done = 0
        try:
            done = _loop(setup, queue, annotator, keys, limit)
        finally:
            queue.release(annotator)
        left = queue.progress()
    if setup.json:
        emit({"status": "stopped", "queue": name, "labelled": done, "progress": left})
    else:
        click.echo(f"{done:,} labelled; {left.waiting + left.started:,} of {left.tasks:,} tasks need more labels")


def _loop(setup: Setup, queue: LabelQueue, annotator: str, keys: dict[str, str], limit: int | None) -> int:
    done = 0
    again: LabelTask | None = None
    while limit is None or done < limit:
        task = again or queue.next(annotator)
        again = None
        if task is None:
            _say(setup, "nothing left to label")
            break
        _say(setup, "\n" + "\n".join([f"task {task.number}", *(f"  {key}: {text}" for key, text in task.data.items())]))
        began = elapsed()
        word, label = _asked(setup, queue, keys)
        if word == QUIT:
            break
        if word == UNDO:
            again, taken = _taken_back(setup, queue, annotator)
            done -= taken
            again = again or task
            continue
        try:
            if word in (SKIP, FLAG):
                queue.skip(task.number, annotator, flag=word == FLAG)
            else:
                queue.submit(task.number, annotator, label, seconds=round(elapsed() - began, 3))
                done += 1
        except ConflictError as error:  # the lease ran out while the annotator was looking
            _say(setup, str(error))
    return done


def _taken_back(setup: Setup, queue: LabelQueue, annotator: str) -> tuple[LabelTask | None, int]:
    try:
        event = queue.undo(annotator)
    except NotFoundError as error:
        _say(setup, str(error))
        return None, 0
    _say(setup, f"task {event.number}: {shown(event.value) or event.action} is taken back")
    return queue.task(event.number), int(event.action == "label")


def _asked(setup: Setup, queue: LabelQueue, keys: dict[str, str]) -> tuple[str, object]:
    """What the annotator wants: a command, or an empty word and a label."""
    while True:
        text = _answer(queue.schema)
        if text == HELP:
            _say(setup, queue.guidelines.strip() or "there are no guidelines")
        elif text in _COMMANDS:
            return text, None
        else:
            try:
                return "", _label(queue.schema, keys, text)
            except UsageError as error:
                _say(setup, f"{error}")


def _answer(schema: LabelSchema) -> str:
    """A key on a terminal where one key is enough, else a line; the end of the input is the same as to quit."""
    stream = sys.stdin
    if schema.kind == "class" and stream.isatty():
        key: str = click.getchar()
        if key in ("\x03", "\x04", ""):
            return QUIT
        return key.lower()
    line = stream.readline()
    return line.strip() if line else QUIT


def _label(schema: LabelSchema, keys: dict[str, str], text: str) -> object:
    if schema.kind == "number":
        return accepted(schema, text)
    if schema.kind == "class":
        return accepted(schema, keys.get(text.lower(), text))
    return accepted(schema, [keys.get(part.lower(), part) for part in names_in(text)])


def _say(setup: Setup, text: str) -> None:
    if text:
        click.echo(text, err=setup.json)
