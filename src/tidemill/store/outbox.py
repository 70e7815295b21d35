"""The outbox of webhooks: what is to be told is written with the change itself, and kept until it was told.

A delivery is claimed by moving its next attempt beyond the time that one attempt may take: whoever dies between asking
and noting the answer leaves a delivery that is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tidemill.core.errors import NotFoundError, UsageError
from tidemill.core.records import Delivery
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import clean, decoded, to_json
from tidemill.store.statement import Statement, insert_into

_COLUMNS = "id, webhook, event_id, event, at, payload, status, attempts, next_at, error, delivered_at"
_INSERT = insert_into("webhook_deliveries", _COLUMNS)
_GET = Statement(f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE id = :id")
_BY_PREFIX = Statement(f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE id >= :low AND id < :high ORDER BY id LIMIT 3")
# Without statistics SQLite would rather sort everything that waits.
_DUE_IN = f"""
    SELECT {_COLUMNS} FROM webhook_deliveries {{index}} WHERE status = 'waiting' AND next_at <= :now
    ORDER BY next_at, id LIMIT :limit
"""
_DUE = Statement(_DUE_IN.format(index="INDEXED BY webhook_deliveries_due"), postgresql=_DUE_IN.format(index=""))
_CLAIM = Statement("""
    UPDATE webhook_deliveries SET next_at = :until, attempts = attempts + 1
    WHERE id = :id AND status = 'waiting' AND next_at = :seen
""")
_SETTLE = Statement("""
    UPDATE webhook_deliveries SET status = :status, next_at = :next_at, error = :error, delivered_at = :delivered_at
    WHERE id = :id AND status = 'waiting' AND attempts = :attempts
""")
_RETRY = Statement("""
    UPDATE webhook_deliveries SET status = 'waiting', attempts = 0, next_at = :now, error = ''
    WHERE id = :id AND status <> 'delivered'
""")
_FORGET = Statement("DELETE FROM webhook_deliveries WHERE status = 'delivered' AND at < :before")
_COUNTS = Statement("SELECT webhook, status, count(*) FROM webhook_deliveries GROUP BY webhook, status")


def put(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Store new deliveries, in the transaction that makes the change which they tell of."""
    if deliveries:
        tx.many(_INSERT, [_values(delivery) for delivery in deliveries])


def claim(tx: Transaction, *, now: int, until: int) -> Delivery | None:
    """Take the delivery that is due the longest; nobody else gets it before `until` (real microseconds).

    Returns
    -------
    Delivery or None
        With this attempt counted; None when nothing is due.
    """
    for row in tx.all(_DUE, now=now, limit=8):  # others claim the first ones at the same time
        found = _delivery(row)
        if tx.run(_CLAIM, id=found.id, until=until, seen=found.next_at):
            return replace(found, attempts=found.attempts + 1, next_at=until)
    return None


def settle(tx: Transaction, delivery: Delivery) -> bool:
    """Store how an attempt came out; False if the delivery was claimed again since, and this answer comes too late."""
    values = {name: getattr(delivery, name) for name in ("id", "status", "next_at", "delivered_at", "attempts")}
    return tx.run(_SETTLE, error=clean(delivery.error), **values) > 0


def retry(tx: Transaction, delivery_id: str, *, now: int) -> bool:
    """Let a delivery that was given up, or waits, be tried at once; False if it was delivered."""
    return tx.run(_RETRY, id=delivery_id, now=now) > 0


def get(tx: Transaction, id_or_prefix: str) -> Delivery:
    """The delivery with this id, or with the only id that starts so."""
    row = tx.one(_GET, id=clean(id_or_prefix))
    if row is not None:
        return _delivery(row)
    low = id_or_prefix.lower()
    found = tx.all(_BY_PREFIX, low=low, high=low + "~") if low.isalnum() and low.isascii() else []
    if not found:
        hint = "List them with: tidemill webhooks list"
        raise NotFoundError("there is no delivery with this id", value=id_or_prefix, hint=hint)
    if len(found) > 1:
        raise UsageError("several deliveries have an id that starts so", value=id_or_prefix, hint="Write more of it.")
    return _delivery(found[0])


def list_deliveries(
    tx: Transaction,
    *,
    webhook: str | None = None,
    status: str | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[Delivery]:
    """Deliveries, newest first; `before` (a delivery's id) goes on after the last of an earlier list."""
    filters = {"webhook": webhook, "status": status}
    values: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in values]
    if before is not None:
        last = get(tx, before)
        conditions.append("(at, id) < (:at, :id)")
        values.update(at=last.at, id=last.id)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = Statement(f"SELECT {_COLUMNS} FROM webhook_deliveries {where} ORDER BY at DESC, id DESC LIMIT :limit")
    return [_delivery(row) for row in tx.all(query, limit=limit, **values)]


def counts(tx: Transaction) -> dict[str, dict[str, int]]:
    """How many deliveries of each webhook wait, were delivered, and were given up."""
    found: dict[str, dict[str, int]] = {}
    for webhook, status, count in tx.all(_COUNTS):
        found.setdefault(webhook, {})[status] = count
    return found


def forget(tx: Transaction, *, before: int) -> int:
    """Remove what was delivered before a moment; returns how many."""
    return tx.run(_FORGET, before=before)


def _values(delivery: Delivery) -> dict[str, Any]:
    names = ("id", "webhook", "event_id", "event", "at", "status", "attempts", "next_at", "delivered_at")
    values = {name: getattr(delivery, name) for name in names}
    return {**values, "payload": to_json(delivery.payload), "error": clean(delivery.error)}


def _delivery(row: Row) -> Delivery:
    return Delivery(*decoded(row, 5))
