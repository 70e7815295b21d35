"""Locks of a log's folder between processes: files that their holders lock, free again when those are gone."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidemill.core import clock

_PAUSE = 0.1


@contextmanager
def locked(root: Path, name: str, patience: float = 0.0) -> Iterator[bool]:
    """Hold a lock while the block runs, if it was free within so many seconds.

    Yields
    ------
    bool
        Whether it is held.
    """
    root.mkdir(parents=True, exist_ok=True)
    until = clock.elapsed() + patience
    with (root / f"{name}.lock").open("wb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.elapsed() < until:
                    threading.Event().wait(_PAUSE)
                    continue
                yield False
                return
            yield True
            return
