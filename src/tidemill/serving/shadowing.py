"""Ask shadows what others were asked, in a thread of their own: they may not cost an answer a millisecond."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tidemill.serving.metrics import shadow_dropped
from tidemill.serving.variants import Variant

#: Requests that may wait for the shadows, and rows that they may have together; more are not shadowed, and counted.
_WAITING, _ROWS = 1000, 200_000
_log = logging.getLogger("tidemill.serving")

Ask = Callable[[Variant, Sequence[Any]], None]


class Shadowing:
    """The queue before the shadows of one name; its thread lives from the first request to `close`."""

    def __init__(self, name: str, *, waiting: int = _WAITING, rows: int = _ROWS) -> None:
        self._name = name
        self._queue: queue.Queue[tuple[tuple[Variant, ...], Sequence[Any], Ask] | None] = queue.Queue(waiting)
        self._most_rows, self._rows = rows, 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ask(self, shadows: tuple[Variant, ...], rows: Sequence[Any], ask: Ask) -> None:
        """Have every shadow asked soon; never waits."""
        if self._thread is None:
            self._start()
        if not self._take(len(rows)):
            shadow_dropped(self._name)
            return
        try:
            self._queue.put_nowait((shadows, rows, ask))
        except queue.Full:
            self._take(-len(rows))
            shadow_dropped(self._name)

    def close(self) -> None:
        """Ask what still waits, then end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _take(self, rows: int) -> bool:
        """Count rows that wait, or wait no more; False if they would be too many."""
        with self._lock:
            fits = self._rows + rows <= self._most_rows
            self._rows += rows if fits else 0
        return fits

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"shadows of {self._name}", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            shadows, rows, ask = task
            for shadow in shadows:
                try:
                    ask(shadow, rows)
                except Exception:  # a shadow harms nobody, whatever it raises
                    _log.exception("the shadow %s of %s failed", shadow.name, self._name)
            self._take(-len(rows))
