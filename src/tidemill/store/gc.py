"""Garbage collection of blobs: what no artifact and no log refers to, and nobody has just put."""

from __future__ import annotations

from dataclasses import dataclass

from tidemill.core.clock import elapsed, lease_now
from tidemill.core.errors import ConflictError, UsageError
from tidemill.store.blobs import BlobInfo
from tidemill.store.database import Transaction
from tidemill.store.lineage import referenced_blobs
from tidemill.store.statement import Statement
from tidemill.store.store import Store

#: Seconds for which a blob that was put or touched is left alone: a day.
GRACE = 24 * 60 * 60.0
#: Seconds for which deleting holds the database's write lock at a time.
_TURN = 0.1
#: Attempts at the lock: one fails only when writers wait for each other in a circle of which the lock is a part.
_ATTEMPTS = 10
# Shorter than PostgreSQL's own second, after which it would end one of a circle: rather this one than a run.
_PATIENCE = Statement("SET LOCAL lock_timeout = '300ms'")
_LOCK = Statement("LOCK TABLE artifacts, executions IN SHARE MODE")
_REFERENCE = Statement("""
    SELECT 1 FROM artifacts WHERE blob = :blob UNION ALL SELECT 1 FROM executions WHERE log = :blob LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a collection found and did, or would do.

    Parameters
    ----------
    examined, kept, deleted
        Numbers of blobs; `deleted` is what would be deleted in a dry run.
    bytes_freed
        Bytes of the deleted blobs and of the swept files.
    digests
        The deleted blobs.
    swept
        How many temporary files of dead writers, and unpacked folders that nobody uses, were removed.
    """

    examined: int
    kept: int
    deleted: int
    bytes_freed: int
    digests: tuple[str, ...]
    swept: int = 0


def collect(store: Store, *, dry_run: bool = False, grace: float = GRACE) -> GcReport:
    """Delete the blobs that nothing refers to.

    It is safe beside running writers, and safe to repeat or to kill. A writer first puts a blob, which makes it young,
    and later records it; young blobs are left alone. Right before blobs are deleted, in a write transaction, references
    and ages are looked at again. An artifact store belongs to one metadata store: blobs that only another one refers to
    are garbage here.

    Parameters
    ----------
    store
        Whose artifacts.
    dry_run
        Change nothing; say what would be deleted.
    grace
        Seconds since a blob was put or touched during which it is left alone. It must be longer than any step takes
        between storing a value and being recorded as finished.

    Raises
    ------
    UsageError
        The grace period is negative, or too short for this artifact store.
    """
    shortest = store.artifacts.minimum_grace
    if grace < shortest:
        raise UsageError(
            f"a grace period must be at least {shortest:g} seconds for the artifact store at {store.artifacts.url}",
            value=grace,
            hint="Give a longer one; the default is a day.",
        )
    before = lease_now() - grace
    listed = list(store.artifacts.blobs())
    with store.metadata.reading() as tx:
        referenced = set(referenced_blobs(tx))
    garbage = [info for info in listed if info.modified < before and info.digest not in referenced]
    deleted = garbage if dry_run else _delete(store, garbage, before)
    swept = store.artifacts.sweep(before=before, dry_run=dry_run)
    return GcReport(
        examined=len(listed),
        kept=len(listed) - len(deleted),
        deleted=len(deleted),
        bytes_freed=sum(info.size for info in deleted) + sum(size for _, size in swept),
        digests=tuple(info.digest for info in deleted),
        swept=len(swept),
    )


def _delete(store: Store, garbage: list[BlobInfo], before: float) -> list[BlobInfo]:
    deleted: list[BlobInfo] = []
    waiting = garbage[::-1]
    refused = 0
    while waiting:
        try:
            with store.metadata.transaction() as tx:
                _keep_writers_out(tx)
                _delete_some(tx, store, waiting, before, deleted)
        except ConflictError:
            refused += 1
            if refused == _ATTEMPTS:
                raise
    return deleted


def _keep_writers_out(tx: Transaction) -> None:
    """Let nobody else record a reference until the transaction ends.

    Raises
    ------
    ConflictError
        Writers that wait for each other, or a very long transaction, were in the way.
    """
    if tx.dialect == "postgresql":  # on SQLite there is one writer at a time
        tx.run(_PATIENCE)
        tx.run(_LOCK)


def _delete_some(
    tx: Transaction, store: Store, waiting: list[BlobInfo], before: float, deleted: list[BlobInfo]
) -> None:
    """Delete from the end of `waiting` for as long as writers can be kept out."""
    start = elapsed()
    while waiting and elapsed() - start < _TURN:
        info = waiting.pop()
        if not _is_referenced(tx, info.digest) and store.artifacts.discard(info.digest, before=before) is not None:
            deleted.append(info)


def _is_referenced(tx: Transaction, blob: str) -> bool:
    return tx.one(_REFERENCE, blob=blob) is not None
