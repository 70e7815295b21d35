"""What a run looks like while it goes on: lines that live on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from tidemill.cli.output import duration, emit, silence
from tidemill.engine.events import Listener, RunEvent

_MARKS = {
    "succeeded": ("✓", "green"),
    "cached": ("=", "cyan"),
    "failed": ("✗", "red"),
    "skipped": ("-", "yellow"),
    "cancelled": ("-", "yellow"),
    "interrupted": ("!", "red"),
}


@contextmanager
def listener(*, as_json: bool) -> Iterator[Listener]:
    """Yield the listener that suits the output: JSON lines, a live display, or plain lines."""
    if as_json:
        yield _tolerant(_emit_event)
    elif sys.stdout.isatty():
        live = importlib.import_module("tidemill.cli.live")  # rich is loaded on a terminal only
        with live.display() as on_event:
            yield on_event
    else:
        yield _tolerant(lambda event: print_event(event, click.echo))


def _tolerant(tell: Listener) -> Listener:
    """The listener, silent from the moment on at which nobody reads any more: a run goes on without its reader."""

    def on_event(event: RunEvent) -> None:
        try:
            tell(event)
        except BrokenPipeError:
            silence()

    return on_event


def _emit_event(event: RunEvent) -> None:
    payload = {"event": event.kind, "run": event.run_id, "pipeline": event.pipeline, "at": event.at}
    if event.node:
        payload |= {"step": event.step, "node": event.node, "stage": event.stage, "attempt": event.attempt}
    if event.status:
        payload |= {"status": event.status, "seconds": round(event.seconds, 6)}
    for name in ("reasons", "message", "rows_in", "rows_out", "details"):
        value = getattr(event, name)
        if value not in (None, "", ()) and value != {}:
            payload[name] = value
    emit(payload)


def print_event(event: RunEvent, echo: Callable[[str], None]) -> None:
    """Say one event in one line, if it is worth a line."""
    if event.kind == "run_started":
        arguments = " ".join(f"{name}={value}" for name, value in event.details.items())
        echo(f"run {event.run_id}  {event.pipeline} {arguments}".rstrip())
    elif event.kind == "step_retry":
        echo(f"  ↻ {event.node}  attempt {event.attempt} failed, again in {duration(event.seconds)}: {event.message}")
    elif event.kind == "step_finished":
        echo(_step_line(event))
    elif event.kind == "run_finished":
        mark, colour = _MARKS.get(event.status, ("·", "white"))
        echo(click.style(f"{mark} {event.pipeline} {event.status}", fg=colour) + f" in {duration(event.seconds)}")


def _step_line(event: RunEvent) -> str:
    mark, colour = _MARKS.get(event.status, ("·", "white"))
    rows = "" if event.rows_out is None else f"  {event.rows_out:,} rows"
    if event.status == "cached":
        tail = f"cached{rows}"
    elif event.status == "succeeded":
        tail = f"{duration(event.seconds):>8}{rows}"
    else:
        tail = _why(event)
    return f"  {click.style(mark, fg=colour)} {event.node:<28} {tail}"


def _why(event: RunEvent) -> str:
    """How a step ended, without saying twice that it failed, or at each step after it why."""
    first = event.message.partition("\n")[0].removeprefix(f"{event.status}: ")
    if event.status == "skipped" and " failed: " in first:
        return f"skipped: {first.partition(' failed: ')[0]} failed"
    return f"{event.status}: {first.removeprefix(f'step {event.node!r} failed: ')}" if first else event.status
