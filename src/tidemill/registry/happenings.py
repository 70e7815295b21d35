"""What happens to a model is written down with the change itself: in the audit, and in the outbox of webhooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from tidemill.core import clock
from tidemill.core.ids import new_id
from tidemill.core.records import AuditEvent, Delivery
from tidemill.store import audit, outbox
from tidemill.store.database import Transaction

Event = Literal[
    "version.registered",
    "version.measured",
    "version.changed",
    "version.staged",
    "version.archived",
    "version.restored",
    "model.changed",
    "alias.moved",
    "alias.removed",
    "approval.given",
    "approval.withdrawn",
]

#: What the audit calls each event.
_ACTIONS: Mapping[Event, str] = {
    "version.registered": "model.register",
    "version.measured": "model.measure",
    "version.changed": "model.edit",
    "version.staged": "model.stage",
    "version.archived": "model.stage",
    "version.restored": "model.restore",
    "model.changed": "model.edit",
    "alias.moved": "model.promote",
    "alias.removed": "model.unalias",
    "approval.given": "model.approve",
    "approval.withdrawn": "model.disapprove",
}


class Subscriber(Protocol):
    """Who may want to be told."""

    @property
    def name(self) -> str:
        """What the delivery is stored under."""
        ...

    def wants(self, event: str, model: str) -> bool:
        """Whether it is to be told of this event of this model."""
        ...


def happened(
    tx: Transaction,
    event: Event,
    model: str,
    place: str | int = "",
    details: Mapping[str, Any] | None = None,
    *,
    subscribers: Iterable[Subscriber] = (),
    actor: str | None = None,
    action: str = "",
) -> AuditEvent:
    """Write down what the transaction does, and what is to be told of it.

    Parameters
    ----------
    tx
        The transaction of the change: all is kept or nothing.
    event, model, place
        What happened to which model; `place` is a version's number or an alias.
    details
        Anything that JSON can hold.
    subscribers
        Who may be told.
    actor
        Who does it; by default who acts in this process.
    action
        What the audit calls it, where that is not the usual word.
    """
    subject = f"model:{model}@{place}" if place else f"model:{model}"
    written = audit.record(tx, action or _ACTIONS[event], subject, details, actor)
    names = [one.name for one in subscribers if one.wants(event, model)]
    if names:
        data = {"model": model, _kind(place): place} if place else {"model": model}
        payload = {
            "type": event,
            "timestamp": clock.from_us(written.at).isoformat(),
            "data": {**data, "actor": written.actor, "action": written.action, "details": written.details},
        }
        due = round(clock.lease_now() * 1e6)
        outbox.put(
            tx, [Delivery(new_id(), name, written.id, event, written.at, payload, next_at=due) for name in names]
        )
    return written


def _kind(place: str | int) -> str:
    return "version" if isinstance(place, int) else "alias"
