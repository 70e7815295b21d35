"""The run of what is done outside of any pipeline: a notebook, a script, a test."""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from tidemill.core.clock import now_us
from tidemill.core.errors import StoreError
from tidemill.core.ids import new_id
from tidemill.core.records import Run
from tidemill.engine import context, provenance
from tidemill.engine.lease import Heartbeat, LeaseSettings, acquire
from tidemill.engine.resume import recover
from tidemill.store import Store, runs

#: What such a run has in the place of its pipeline's name.
NOTEBOOK = "notebook"


@dataclass(frozen=True, slots=True)
class _Open:
    store: Store
    run: Run
    heart: Heartbeat


_open: dict[tuple[str, str], _Open] = {}
_lock = threading.Lock()


def surrounding_run(store: Store, project: str, root: Path | None = None) -> str:
    """The id of the run that something belongs to: the running step's, or else this process's notebook run.

    The notebook run is opened when it is first needed and ends with the process.

    Parameters
    ----------
    store, project
        Where the notebook run would be.
    root
        The project's folder, for the commit; the current folder by default.
    """
    step = context.current()
    if step is not None:
        return step.run_id
    with _lock:
        found = _open.get((store.metadata.url, project))
        if found is None:
            found = _open[store.metadata.url, project] = _begin(store, project, root or Path.cwd())
        return found.run.id


def close_notebook_runs() -> None:
    """End the notebook runs of this process; the next use opens new ones."""
    with _lock:
        sessions = list(_open.values())
        _open.clear()
    for session in sessions:
        session.heart.stop()
        try:
            with session.store.metadata.transaction() as tx:
                session.heart.guard(tx)
                runs.finish(tx, session.run.id, "succeeded", now_us())
                session.heart.release(tx)
        except StoreError:  # the store is gone before its notebook: the lease will say that the run has ended
            continue


def _begin(store: Store, project: str, root: Path) -> _Open:
    settings = LeaseSettings()
    run = Run(
        id=new_id(),
        project=project,
        pipeline=NOTEBOOK,
        status="running",
        started_at=now_us(),
        user=provenance.user(),
        host=provenance.host(),
        commit=provenance.commit(root),
        environment=provenance.environment(),
    )
    with store.metadata.transaction() as tx:
        recover(tx)
        runs.insert(tx, run)
        lease = acquire(tx, run.id, settings.ttl)
    heart = Heartbeat(store, run.id, lease, settings, lambda why: None)  # noqa: ARG005 — nothing here can be stopped
    heart.start()
    return _Open(store, run, heart)


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _open.clear()


atexit.register(close_notebook_runs)
os.register_at_fork(after_in_child=_forget)
