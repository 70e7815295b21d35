"""The audit trail: who did what to what, and when. It is only ever appended to."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import NotFoundError
from tidemill.core.ids import new_id
from tidemill.core.records import AuditEvent
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import clean, decoded, to_json
from tidemill.store.statement import Statement, insert_into

_COLUMNS = "id, at, actor, action, subject, details"
_INSERT = insert_into("audit", _COLUMNS)
_PLACE = Statement("SELECT at, id FROM audit WHERE id = :id")


def record(
    tx: Transaction, action: str, subject: str, details: Mapping[str, Any] | None = None, actor: str | None = None
) -> AuditEvent:
    """Write down an action in the transaction that does it.

    Parameters
    ----------
    tx
        The transaction of the action itself: either both are kept or neither.
    action
        What was done, such as ``"model.promote"``.
    subject
        To what: ``"model:flight-delay@champion"``.
    details
        Anything that JSON can hold.
    actor
        Who did it; by default the user of this process.
    """
    event = AuditEvent(
        new_id(), clock.now_us(), clean(actor or current_user()), action, clean(subject), dict(details or {})
    )
    tx.run(
        _INSERT,
        id=event.id,
        at=event.at,
        actor=event.actor,
        action=event.action,
        subject=event.subject,
        details=to_json(event.details),
    )
    return event


def list_events(
    tx: Transaction,
    subject: str | None = None,
    *,
    action: str | None = None,
    actor: str | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[AuditEvent]:
    """Audit events, newest first; `before` (an event's id) goes on after the last one of an earlier list."""
    filters = {"subject": subject, "action": action, "actor": actor}
    values: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in values]
    if before is not None:
        place = tx.one(_PLACE, id=before)
        if place is None:
            raise NotFoundError("there is no audit event with this id", value=before, hint="Start from the newest.")
        conditions.append("(at, id) < (:at, :id)")
        values.update(at=place[0], id=place[1])
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = Statement(f"SELECT {_COLUMNS} FROM audit {where} ORDER BY at DESC, id DESC LIMIT :limit")
    return [_event(row) for row in tx.all(query, limit=limit, **values)]


def list_about(tx: Transaction, thing: str, *, limit: int = 50, before: str | None = None) -> list[AuditEvent]:
    """Audit events of ``thing`` and of everything ``thing@…``, newest first; `before` as for `list_events`."""
    values: dict[str, Any] = {"thing": thing, "low": f"{thing}@", "high": f"{thing}A"}  # A comes after @
    place = ""
    if before is not None:
        found = tx.one(_PLACE, id=before)
        if found is None:
            raise NotFoundError("there is no audit event with this id", value=before, hint="Start from the newest.")
        place = "AND (at, id) < (:at, :id)"
        values.update(at=found[0], id=found[1])
    query = Statement(f"""
        SELECT {_COLUMNS} FROM audit WHERE subject = :thing {place}
        UNION ALL SELECT {_COLUMNS} FROM audit WHERE subject >= :low AND subject < :high {place}
        ORDER BY at DESC, id DESC LIMIT :limit
    """)
    return [_event(row) for row in tx.all(query, limit=limit, **values)]


def current_user() -> str:
    """Who acts: what ``TIDEMILL_ACTOR`` says, else the user that this process runs as, by name if it has one."""
    named = os.environ.get("TIDEMILL_ACTOR", "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid:{os.getuid()}"


def _event(row: Row) -> AuditEvent:
    return AuditEvent(*decoded(row, 5))
