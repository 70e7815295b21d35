"""Who agreed to which model version, and to what."""

from __future__ import annotations

from tidemill.core.records import Approval
from tidemill.store.database import Transaction
from tidemill.store.rows import clean
from tidemill.store.statement import Statement, insert_into

_COLUMNS = "id, version_id, alias, actor, at, note, evidence"
_INSERT = insert_into("approvals", _COLUMNS)
_OF_VERSION = Statement(f"SELECT {_COLUMNS} FROM approvals WHERE version_id = :version_id ORDER BY at, id")
_WITHDRAW = Statement("DELETE FROM approvals WHERE version_id = :version_id AND alias = :alias AND actor = :actor")


def insert(tx: Transaction, approval: Approval) -> None:
    """Store an approval.

    Raises
    ------
    NotFoundError
        If its version is not in the store.
    """
    tx.run(
        _INSERT,
        id=approval.id,
        version_id=approval.version_id,
        alias=approval.alias,
        actor=clean(approval.actor),
        at=approval.at,
        note=clean(approval.note),
        evidence=approval.evidence,
    )


def of_version(tx: Transaction, version_id: str) -> list[Approval]:
    """The approvals of a version, oldest first."""
    return [Approval(*row) for row in tx.all(_OF_VERSION, version_id=version_id)]


def withdraw(tx: Transaction, version_id: str, alias: str, actor: str) -> bool:
    """Take back what somebody agreed to, and say whether there was anything."""
    return tx.run(_WITHDRAW, version_id=version_id, alias=alias, actor=clean(actor)) > 0
