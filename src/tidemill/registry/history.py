"""What happened to a model, newest first: read from the audit."""

from __future__ import annotations

from tidemill.core.records import AuditEvent
from tidemill.registry.names import Reference
from tidemill.store import Store, audit, models


def model_history(
    store: Store, reference: str | Reference, *, limit: int = 50, before: str | None = None
) -> list[AuditEvent]:
    """The events of a model with all its versions and aliases, or of one version, newest first.

    Parameters
    ----------
    store
        Where.
    reference
        A model's name, or a version (`Reference`): of that, the events of its number, and the moves of aliases to it
        and away from it.
    limit, before
        How many; `before` (an event's id) goes on after the last of an earlier list.

    Raises
    ------
    NotFoundError
        When there is no such model or version.
    """
    with store.metadata.reading() as tx:
        if isinstance(reference, str):
            models.get_model(tx, reference)
            return audit.list_about(tx, f"model:{reference}", limit=limit, before=before)
        number = models.get_version(tx, reference.model, reference.version).version
        subject, found = f"model:{reference.model}@{number}", list[AuditEvent]()
        while len(found) < limit:
            page = audit.list_about(tx, f"model:{reference.model}", limit=max(limit, 200), before=before)
            if not page:
                break
            found += [event for event in page if event.subject == subject or _concerns(event, number)]
            before = page[-1].id
        return found[:limit]


def _concerns(event: AuditEvent, version: int) -> bool:
    """Whether an alias moved to or from a version."""
    moved = event.action in ("model.promote", "model.rollback", "model.unalias")
    return moved and version in (event.details.get("to"), event.details.get("from"))
