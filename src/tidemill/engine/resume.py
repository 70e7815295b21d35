"""Which runs were interrupted, and what a run that goes on from an earlier one need not do again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.core.clock import lease_now
from tidemill.core.errors import ConflictError, NotFoundError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Execution, Run
from tidemill.engine.lease import owner_state, resource_of
from tidemill.store import executions, leases, runs
from tidemill.store.database import Transaction

_RESUMABLE = ("interrupted", "failed", "cancelled")
_LAST = 200
_BUSY = 30.0  # seconds that a living process of this host is given when it could not renew its lease


@dataclass(frozen=True, slots=True)
class Earlier:
    """The run to go on from, and the executions of it (and of those that it went on from) that succeeded, by node."""

    run: Run
    finished: Mapping[str, Execution]


def recover(tx: Transaction) -> list[str]:
    """Mark the runs whose owner is gone as interrupted, and return their ids.

    The owner is gone when its process has ended, if it was one of this host: then nobody need wait for the lease. A
    process of this host that lives but was too busy to renew its lease keeps it. Of other hosts the lease decides.
    """
    now = lease_now()
    for lease in leases.expired(tx, math.inf):
        if not lease.resource.startswith(leases.RUN):
            continue
        state = owner_state(lease.owner)
        if state == "gone":
            leases.renew(tx, lease, -1.0)
        elif state == "alive" and lease.expires_at <= now:
            leases.renew(tx, lease, _BUSY)
    return leases.mark_interrupted(tx, lease_now())


def earlier_run(tx: Transaction, project: str, pipeline: str, which: str) -> Earlier:
    """Find the run to go on from, and make sure that nobody else does or did.

    Parameters
    ----------
    tx
        An open write transaction, in which the new run is going to be stored.
    project, pipeline
        What the run must belong to.
    which
        An id, the beginning of one, or ``"last"``: the last run of the pipeline, which must not have succeeded.

    Raises
    ------
    NotFoundError
        There is no such run.
    UsageError
        The run is of another pipeline, or has succeeded.
    ConflictError
        It is still running, or another run goes on from it already.
    """
    run = _last(tx, project, pipeline) if which == "last" else runs.get(tx, which)
    if run.pipeline != pipeline:
        raise UsageError(
            f"run {run.id} is of pipeline {run.pipeline!r}, not {pipeline!r}", hint=f"Resume {run.pipeline!r} instead."
        )
    if run.status == "running":
        lease = leases.get(tx, resource_of(run.id))
        raise ConflictError(
            f"run {run.id} is still running",
            value=None if lease is None else lease.owner,
            hint=f"Wait for it, or stop it with: tidemill cancel {run.id}",
        )
    if run.status not in _RESUMABLE:
        raise UsageError(f"run {run.id} has {run.status}; there is nothing to resume", hint="Start a new run.")
    _claim(tx, run)
    return Earlier(run, _finished(tx, run))


def origin_of(tx: Transaction, run_id: str) -> str:
    """The first of the runs that a run goes on from, itself if it goes on from none.

    An effect that is interrupted half way is executed again when its run is resumed, in a run with another id; what it
    does is recognised as done already by this id and its inputs.
    """
    run = runs.get(tx, run_id)
    while run.resumed_from is not None:
        run = runs.get(tx, run.resumed_from)
    return run.id


def _last(tx: Transaction, project: str, pipeline: str) -> Run:
    found = runs.list_runs(tx, project=project, pipeline=pipeline, limit=1)
    if not found:
        raise NotFoundError(f"pipeline {pipeline!r} has no run to resume", hint="Start one.")
    return found[0]


def _claim(tx: Transaction, run: Run) -> None:
    """Of two processes that resume one run at the same moment, the second waits here and finds the first's run."""
    lock = leases.acquire(tx, f"resume:{run.id}", new_id(), 60.0)
    for other in runs.list_runs(tx, project=run.project, pipeline=run.pipeline, limit=_LAST):
        if other.resumed_from == run.id and other.status in ("running", "succeeded"):
            raise ConflictError(
                f"run {run.id} was resumed already, by run {other.id}, which is {other.status}",
                hint=f"Look at it with: tidemill show {other.id}",
            )
    leases.release(tx, lock)


def _finished(tx: Transaction, run: Run) -> dict[str, Execution]:
    chain = [run]
    while chain[-1].resumed_from is not None:
        chain.append(runs.get(tx, chain[-1].resumed_from))
    return {
        execution.node: execution
        for earlier in reversed(chain)
        for execution in executions.of_run(tx, earlier.id)
        if execution.status in ("succeeded", "cached")
    }
