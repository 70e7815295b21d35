"""What a run writes, in order: cheap writes wait for the next one that must be durable and share its transaction."""

from __future__ import annotations

from collections.abc import Callable

from tidemill.store import Store
from tidemill.store.database import Transaction

Write = Callable[[Transaction], None]

#: So many writes wait at most.
_MOST = 500


class Journal:
    """The writes of one run.

    Parameters
    ----------
    store
        Where they go.
    guard
        Called first in each transaction; it raises when the run is not ours any more, and nothing is written.
    """

    def __init__(self, store: Store, guard: Write) -> None:
        self._store = store
        self._guard = guard
        self._waiting: list[Write] = []
        self._urgent = False

    def later(self, write: Write) -> None:
        """Write with the next flush: what would not be missed after a crash."""
        self._waiting.append(write)
        if len(self._waiting) >= _MOST:
            self.flush()

    def soon(self, write: Write) -> None:
        """Write before user code runs again or this thread waits: see `settle`."""
        self._urgent = True
        self.later(write)

    def settle(self) -> None:
        """Flush if something urgent waits."""
        if self._urgent:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits in one transaction; on an error nothing of it is written."""
        if not self._waiting:
            return
        with self._store.metadata.transaction() as tx:
            self._guard(tx)
            for write in self._waiting:
                write(tx)
        self._waiting.clear()
        self._urgent = False
