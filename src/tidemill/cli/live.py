"""The display of a run on a terminal: finished steps as lines, running ones with a spinner and their seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tidemill.cli.output import duration
from tidemill.cli.progress import print_event
from tidemill.core.clock import elapsed
from tidemill.engine.events import Listener, RunEvent


@contextmanager
def display() -> Iterator[Listener]:
    """Yield a listener that keeps the terminal up to date until the block ends."""
    running: dict[str, tuple[float, Spinner]] = {}

    def picture() -> Table:
        grid = Table.grid(padding=(0, 1))
        for node, (started, spinner) in list(running.items()):
            grid.add_row(" ", spinner, f"{node:<28}", f"{duration(elapsed() - started):>8}")
        return grid

    with Live(get_renderable=picture, refresh_per_second=8, transient=True) as live:

        def on_event(event: RunEvent) -> None:
            if event.kind == "step_started":
                running[event.node] = (elapsed(), Spinner("dots", style="cyan"))
            elif event.kind == "step_finished":
                running.pop(event.node, None)
            print_event(event, lambda line: live.console.print(Text.from_ansi(line)))

        yield on_event
