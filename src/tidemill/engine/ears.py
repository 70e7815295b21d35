"""Lines that steps print, on their way from the step's thread or process to the thread that coordinates the run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from tidemill.engine.tasks import StepTask

#: So many lines of one step wait at most to be told; more than that is a flood, of which the last ones are told.
MOST = 1000


class Ears:
    """Hears what the steps of one run print, in any thread, and has it told in the coordinating thread.

    Parameters
    ----------
    tell
        Called in the coordinating thread with the execution's id and one or more lines.
    wake
        Called in another thread, when lines wait that were not announced yet; the coordinating thread then calls
        `speak`.
    """

    def __init__(self, tell: Callable[[str, str], None], wake: Callable[[], None]) -> None:
        self._tell = tell
        self._wake = wake
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[str]] = {}
        self._dropped: dict[str, int] = {}

    def hear(self, task: StepTask, line: str) -> None:
        """Take a line; it is told at once if the step runs in the coordinating thread."""
        execution_id = task.execution_id
        if threading.get_ident() == self._thread:
            self.speak(execution_id)
            self._tell(execution_id, line)
            return
        with self._lock:
            is_first = not self._waiting
            lines = self._waiting.setdefault(execution_id, deque())
            lines.append(line)
            if len(lines) > MOST:
                lines.popleft()
                self._dropped[execution_id] = self._dropped.get(execution_id, 0) + 1
        if is_first:
            self._wake()

    def speak(self, execution_id: str | None = None) -> None:
        """Tell the lines that wait: of one execution, or of all."""
        with self._lock:
            chosen = list(self._waiting) if execution_id is None else [execution_id]
            named = [name for name in chosen if name in self._waiting]
            found = [(name, self._waiting.pop(name), self._dropped.pop(name, 0)) for name in named]
        for name, lines, dropped in found:
            if dropped:
                lines.appendleft(f"… {dropped:,} lines dropped …")
            self._tell(name, "\n".join(lines))
