"""Move an alias to a version: through the gate, or by force with a reason; and back again. Every move is audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import GateError, ModelError, NotFoundError, UsageError
from tidemill.core.records import Alias, ModelVersion
from tidemill.design.requirements import Requirement
from tidemill.registry.gates import examined
from tidemill.registry.names import Reference, check_name, parse_reference
from tidemill.store import Store, audit, models
from tidemill.store.database import Transaction


def promote_version(
    store: Store,
    version: ModelVersion | str | Reference,
    alias: str = "champion",
    *,
    requirements: Sequence[Requirement] = (),
    approved_by: str | None = None,
    force: str | None = None,
    actor: str | None = None,
) -> Alias:
    """Point an alias at a version whose gate passed.

    Parameters
    ----------
    store
        Where.
    version
        The version, or its name such as ``flight-delay@3``.
    alias
        ``champion`` unless said otherwise.
    requirements
        The promises of the project as they are now: each one that is to be checked at evaluation, test or package must
        have been measured on this version and hold.
    approved_by
        Who agreed, for the audit.
    force
        Promote although the gate did not pass, for this reason; it is written down.
    actor
        Who does it; the user of the process by default.

    Returns
    -------
    Alias
        Where the name points now. Promoting what is there already changes nothing.

    Raises
    ------
    GateError
        When a requirement was broken or not measured; the message has every number.
    """
    check_name(alias, "alias")
    if force is not None and not force.strip():
        raise UsageError("a forced promotion needs a reason", value=force, hint="Say why: force='…'.")
    with store.metadata.transaction() as tx:
        found = _version(tx, version)
        if found.archived:
            raise ModelError(f"version {found.version} of {found.model!r} is archived", hint="Promote another.")
        verdict = examined(found.gate, requirements)
        broken = [promise.sentence for promise in verdict.broken]
        if broken and force is None:
            raise GateError(
                f"version {found.version} of {found.model!r} may not become {alias}: {'; '.join(broken)}",
                hint="Improve the model or measure what is missing, or promote it by force with a reason.",
            )
        current = _current(tx, found.model, alias)
        if current is not None and current.version == found.version:
            return current
        details: dict[str, Any] = {"to": found.version, "from": current.version if current else None}
        details["promises"] = [promise.sentence for promise in verdict.promises]
        if approved_by:
            details["approved_by"] = approved_by
        if broken:
            details |= {"forced": force, "broken": broken}
        return _move(tx, found.model, alias, found.version, "model.promote", details, actor)


def roll_back(
    store: Store, model: str, alias: str = "champion", *, reason: str = "", actor: str | None = None
) -> Alias:
    """Point an alias back at the version that it pointed at before its last promotion; repeat to go further back.

    Raises
    ------
    UsageError
        When there is nothing before it.
    NotFoundError
        When there is no such model or alias.
    """
    subject = _subject(model, alias)
    with store.metadata.transaction() as tx:
        models.get_version(tx, model, alias)
        moves = [
            event
            for event in reversed(audit.list_events(tx, subject, limit=10_000))
            if event.action in ("model.promote", "model.rollback")
        ]
        stack: list[int] = []
        for move in moves:
            if move.action == "model.promote":
                stack.append(int(move.details["to"]))
            else:
                del stack[-1]
        if len(stack) < 2:
            raise UsageError(f"{model}@{alias} has no earlier version to go back to", hint="Promote one instead.")
        details = {"to": stack[-2], "from": stack[-1], "reason": reason}
        return _move(tx, model, alias, stack[-2], "model.rollback", details, actor)


def _version(tx: Transaction, version: ModelVersion | str | Reference) -> ModelVersion:
    if isinstance(version, ModelVersion):
        return models.get_version(tx, version.model, version.version)
    reference = parse_reference(version, default="latest") if isinstance(version, str) else version
    return models.get_version(tx, reference.model, reference.version)


def _current(tx: Transaction, model: str, alias: str) -> Alias | None:
    return next((found for found in models.aliases(tx, model) if found.alias == alias), None)


def _move(
    tx: Transaction, model: str, alias: str, version: int, action: str, details: Mapping[str, Any], actor: str | None
) -> Alias:
    moved = Alias(model, alias, version, clock.now_us())
    try:
        models.set_alias(tx, moved)
    except NotFoundError as error:
        raise ModelError(f"version {version} of {model!r} is gone", hint="Promote another.") from error
    audit.record(tx, action, _subject(model, alias), details, actor)
    return moved


def _subject(model: str, alias: str) -> str:
    return f"model:{model}@{alias}"
