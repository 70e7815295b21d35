"""What becomes of open connections when the process forks: the child neither uses nor closes what it inherits."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something with connections that a forked child must leave alone."""

    def before_fork(self) -> list[object]:
        """Get ready; return what must not be closed in the child, not even as garbage."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        ...

    def after_fork_in_child(self) -> None:
        """Start without connections and locks, leaving any that there were untouched."""
        ...


_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
# Collected before the fork: the other threads, and what only they held, are gone when the child wakes up.
_pinned: list[object] = []
_prepared: list[Forkable] = []
_lock = threading.Lock()


def watch(owner: Forkable) -> None:
    """Tell `owner` of every fork of this process from now on."""
    with _lock:
        _watched.add(owner)


def _before() -> None:
    _lock.acquire()
    for owner in list(_watched):
        _pinned.extend(owner.before_fork())
        _prepared.append(owner)


def _in_parent() -> None:
    while _prepared:
        _prepared.pop().after_fork_in_parent()
    _pinned.clear()
    _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    while _prepared:
        _prepared.pop().after_fork_in_child()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
