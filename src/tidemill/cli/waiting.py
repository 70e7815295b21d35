"""A sign of life while something takes long: on a terminal only, and on the standard error."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from tidemill.data.text_table import on_one_line


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something is going on; what is yielded says what is going on now."""
    if not sys.stderr.isatty():
        yield _silently
        return
    console = importlib.import_module("rich.console").Console(stderr=True)  # rich is loaded on a terminal only
    text = importlib.import_module("rich.text").Text
    with console.status(text(on_one_line(what))) as status:
        yield lambda now: status.update(text(on_one_line(now)))


def _silently(now: str) -> None:
    """Nobody looks."""


def warned(messages: list[str]) -> None:
    """Say what was warned of on the way, each once."""
    for message in dict.fromkeys(messages):
        click.echo(f"{click.style('warning', fg='yellow', bold=True)} {message}", err=True)
