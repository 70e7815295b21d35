"""Stopping a run from another process."""

from __future__ import annotations

from tidemill.core.errors import UsageError
from tidemill.engine.lease import CANCEL, resource_of
from tidemill.engine.resume import recover
from tidemill.store import Store, audit, runs


def cancel(store: Store, run_id: str) -> None:
    """Ask the process that owns a run to stop it; that process looks about once a second.

    Its running steps are told, the run is marked as cancelled, and it can be resumed.

    Parameters
    ----------
    store
        Where the run is.
    run_id
        Its id or the beginning of it.

    Raises
    ------
    NotFoundError
        There is no such run.
    UsageError
        The run has ended, or its process is gone.
    """
    with store.metadata.transaction() as tx:
        recover(tx)
        run = runs.get(tx, run_id)
        if run.status == "running":
            audit.record(tx, CANCEL, resource_of(run.id), {"run": run.id})
            return
    raise UsageError(f"run {run.id} is not running", value=run.status, hint="List runs with: tidemill runs")
