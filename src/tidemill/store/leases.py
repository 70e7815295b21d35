"""Leases: who may act for a run, and what happens when its process is gone."""

from __future__ import annotations

from tidemill.core import clock
from tidemill.core.errors import ConflictError, LeaseLostError
from tidemill.core.records import Lease
from tidemill.store.database import Transaction
from tidemill.store.statement import Statement

#: The resource of a run's lease is this and the run's id.
RUN = "run:"

# A released lease keeps its row with no owner: its epoch must go on growing.
_ACQUIRE = Statement("""
    INSERT INTO leases (resource, owner, epoch, expires_at) VALUES (:resource, :owner, 1, :expires_at)
    ON CONFLICT (resource) DO UPDATE
        SET owner = excluded.owner, epoch = leases.epoch + 1, expires_at = excluded.expires_at
        WHERE leases.owner = '' OR leases.expires_at <= :now
    RETURNING epoch
""")
_HELD = "resource = :resource AND owner = :owner AND epoch = :epoch"
_RENEW = Statement(f"UPDATE leases SET expires_at = :expires_at WHERE {_HELD}")
_RELEASE = Statement(f"UPDATE leases SET owner = '', expires_at = 0 WHERE {_HELD}")
# On PostgreSQL the row is locked, so that nobody takes the lease over before this transaction has committed.
_CHECK = Statement(
    f"SELECT 1 FROM leases WHERE {_HELD}", postgresql=f"SELECT 1 FROM leases WHERE {_HELD} FOR NO KEY UPDATE"
)
_GET = Statement("SELECT resource, owner, epoch, expires_at FROM leases WHERE resource = :resource AND owner <> ''")
_EXPIRED = Statement("""
    SELECT resource, owner, epoch, expires_at FROM leases WHERE owner <> '' AND expires_at <= :now
    ORDER BY expires_at, resource
""")
_INTERRUPT_RUN = Statement("""
    UPDATE runs SET status = 'interrupted', ended_at = :ended_at, error = :error WHERE id = :id AND status = 'running'
""")
_INTERRUPT_STEPS = Statement("""
    UPDATE executions SET status = 'interrupted', ended_at = :ended_at WHERE run_id = :id AND status = 'running'
""")
# Trials of a study have no lease of their own: they end with the run that they are part of.
_INTERRUPT_TRIALS = Statement("""
    UPDATE runs SET status = 'interrupted', ended_at = :ended_at, error = :error
    WHERE parent_id = :id AND pipeline = 'trial' AND status = 'running'
""")
# The condition is repeated: on PostgreSQL the owner may have renewed since the list was read.
_TAKE_EXPIRED = Statement("""
    UPDATE leases SET owner = '', expires_at = 0
    WHERE resource = :resource AND epoch = :epoch AND owner <> '' AND expires_at <= :now
""")


def acquire(tx: Transaction, resource: str, owner: str, ttl: float) -> Lease:
    """Take the lease of a resource, if it is free or has expired.

    Parameters
    ----------
    tx
        An open write transaction.
    resource
        What is leased, such as ``run:<id>``.
    owner
        Who takes it: unique to the process, such as ``host:pid:random``.
    ttl
        Seconds of real time until it expires, unless it is renewed.

    Raises
    ------
    ConflictError
        If somebody holds it; the message says who, and for how long.
    """
    now = clock.lease_now()
    row = tx.one(_ACQUIRE, resource=resource, owner=owner, expires_at=now + ttl, now=now)
    if row is None:
        holder = get(tx, resource)
        who = f"{holder.owner!r} for another {max(0.0, holder.expires_at - now):.0f} s" if holder else "somebody"
        raise ConflictError(
            f"the lease of {resource!r} is held by {who}", hint="Wait until it ends, or stop that process first."
        )
    return Lease(resource=resource, owner=owner, epoch=row[0], expires_at=now + ttl)


def renew(tx: Transaction, lease: Lease, ttl: float) -> Lease:
    """Hold the lease for `ttl` seconds from now.

    A lease that has expired may still be renewed while nobody has taken it over.

    Raises
    ------
    LeaseLostError
        If it is not the owner's any more.
    """
    expires_at = clock.lease_now() + ttl
    if not tx.run(_RENEW, expires_at=expires_at, resource=lease.resource, owner=lease.owner, epoch=lease.epoch):
        raise _lost(tx, lease)
    return Lease(resource=lease.resource, owner=lease.owner, epoch=lease.epoch, expires_at=expires_at)


def release(tx: Transaction, lease: Lease) -> None:
    """Give the lease back; one that is lost already stays as it is."""
    tx.run(_RELEASE, resource=lease.resource, owner=lease.owner, epoch=lease.epoch)


def check(tx: Transaction, lease: Lease) -> None:
    """Make sure that the lease is still the owner's, until this write transaction ends (fencing).

    Raises
    ------
    LeaseLostError
        If another owner has taken it over, or its run was marked as interrupted.
    """
    if tx.one(_CHECK, resource=lease.resource, owner=lease.owner, epoch=lease.epoch) is None:
        raise _lost(tx, lease)


def get(tx: Transaction, resource: str) -> Lease | None:
    """The lease of a resource, alive or expired; None if nobody has it."""
    row = tx.one(_GET, resource=resource)
    return None if row is None else Lease(*row)


def expired(tx: Transaction, now: float) -> list[Lease]:
    """The leases that were not renewed in time, oldest first; `now` is lease time in seconds."""
    return [Lease(*row) for row in tx.all(_EXPIRED, now=now)]


def mark_interrupted(tx: Transaction, now: float) -> list[str]:
    """Mark the running runs whose lease has expired, with their running executions, as interrupted.

    The leases are given back, so a process that was only asleep finds its lease lost when it wakes.

    Parameters
    ----------
    tx
        An open write transaction.
    now
        Lease time in seconds (`tidemill.core.clock.lease_now`).

    Returns
    -------
    list of str
        The ids of the runs that were marked.
    """
    marked = []
    for lease in expired(tx, now):
        if not lease.resource.startswith(RUN):
            continue
        if not tx.run(_TAKE_EXPIRED, resource=lease.resource, epoch=lease.epoch, now=now):
            continue
        run_id = lease.resource.removeprefix(RUN)
        ended_at = clock.now_us()
        tx.run(_INTERRUPT_STEPS, id=run_id, ended_at=ended_at)
        gone = f"its process ({lease.owner}) is gone"
        if tx.run(_INTERRUPT_RUN, id=run_id, ended_at=ended_at, error=gone):
            tx.run(_INTERRUPT_TRIALS, id=run_id, ended_at=ended_at, error=gone)
            marked.append(run_id)
    return marked


def _lost(tx: Transaction, lease: Lease) -> LeaseLostError:
    holder = get(tx, lease.resource)
    now = f"{holder.owner!r} has it" if holder else "nobody has it"
    return LeaseLostError(
        f"the lease of {lease.resource!r} is not {lease.owner!r}'s any more; {now}",
        hint="Stop writing: another process decided that this one was gone.",
    )
