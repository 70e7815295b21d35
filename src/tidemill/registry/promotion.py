"""Move an alias to a version: through the gate, or by force with a reason; and back again. Every move is audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import GateError, ModelError, NotFoundError, UsageError
from tidemill.core.records import Alias, Approval, ModelVersion
from tidemill.design.requirements import Requirement
from tidemill.evaluation.promises import GateResult
from tidemill.registry.approval import counting
from tidemill.registry.gates import examined
from tidemill.registry.happenings import Event, happened
from tidemill.registry.names import Reference, check_name
from tidemill.registry.rules import Rules
from tidemill.registry.versions import version_in
from tidemill.store import Store, approvals, audit, models
from tidemill.store.database import Transaction

_MOVES = ("model.promote", "model.rollback", "model.unalias")
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion would do, and whether it may.

    Parameters
    ----------
    version, alias, current
        Which version, under which name, and the number of the version that has the name now.
    gate
        Every promise with its number and margin.
    needed, approvals, approvers
        How many must agree, whose agreement counts, and who may agree (empty for everybody).
    obstacles
        What stands against it, one sentence each; empty if it may be done.
    """

    version: ModelVersion
    alias: str
    current: int | None
    gate: GateResult
    needed: int
    approvals: tuple[Approval, ...]
    approvers: tuple[str, ...]
    obstacles: tuple[str, ...]


def plan_promotion(
    store: Store,
    version: ModelVersion | str | Reference,
    alias: str = "champion",
    *,
    requirements: Sequence[Requirement] = (),
    rules: Rules | None = None,
    actor: str | None = None,
) -> Promotion:
    """What `promote_version` would find, without doing anything; parameters as there."""
    check_name(alias, "alias")
    with store.metadata.reading() as tx:
        found = version_in(tx, version)
        return planned(tx, found, alias, requirements, rules or Rules(), actor or audit.current_user())


def promote_version(
    store: Store,
    version: ModelVersion | str | Reference,
    alias: str = "champion",
    *,
    requirements: Sequence[Requirement] = (),
    rules: Rules | None = None,
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
    rules
        The project's: how many must have approved, and who is told.
    approved_by
        Who agreed in words, for the audit; it does not count as an approval.
    force
        Promote although the gate did not pass or approvals are missing, for this reason; it is written down.
    actor
        Who does it; by default ``TIDEMILL_ACTOR``, else the user of the process.

    Returns
    -------
    Alias
        Where the name points now. Promoting what is there already changes nothing.

    Raises
    ------
    GateError
        When a requirement was broken or not measured, or an approval is missing; the message has every number, and
        who may approve.
    """
    check_name(alias, "alias")
    asked, who = rules or Rules(), actor or audit.current_user()
    check_force(force, asked)
    with store.metadata.transaction() as tx:
        found = version_in(tx, version)
        models.lock(tx, found.model)
        found = models.get_version_by_id(tx, found.id)
        plan = planned(tx, found, alias, requirements, asked, who)
        refuse_obstacles(plan, force)
        current = models.get_alias(tx, found.model, alias)
        if current is not None and current.version == found.version:
            return current
        details: dict[str, Any] = {"to": found.version, "from": plan.current}
        details["promises"] = [promise.sentence for promise in plan.gate.promises]
        if plan.needed:
            details["approvals"] = [approval.actor for approval in plan.approvals]
        if approved_by:
            details["approved_by"] = approved_by
        if plan.obstacles:
            details |= {"forced": force, "broken": list(plan.obstacles)}
        return _move(tx, found.model, alias, found.version, details, asked, who)


def roll_back(
    store: Store,
    model: str,
    alias: str = "champion",
    *,
    reason: str = "",
    rules: Rules | None = None,
    actor: str | None = None,
) -> Alias:
    """Point an alias back at the version that it pointed at before its last promotion; repeat to go further back.

    It asks neither the gate nor for approvals: what held the name before may have it back at once.

    Raises
    ------
    UsageError
        When there is nothing before it.
    NotFoundError
        When there is no such model or alias.
    ModelError
        When the version before it is archived.
    """
    with store.metadata.transaction() as tx:
        models.lock(tx, model)
        now = models.get_version(tx, model, alias)
        before = _before(tx, model, alias)
        if before is None:
            raise UsageError(f"{model}@{alias} has no earlier version to go back to", hint="Promote one instead.")
        target = models.get_version(tx, model, before)
        if target.archived:
            hint = "Take it out of the archive (tidemill models stage), or promote another."
            raise ModelError(f"version {before} of {model!r}, which {alias} was before, is archived", hint=hint)
        details = {"to": before, "from": now.version, "reason": reason}
        return _move(tx, model, alias, before, details, rules or Rules(), actor, action="model.rollback")


def remove_alias(
    store: Store, model: str, alias: str, *, reason: str = "", rules: Rules | None = None, actor: str | None = None
) -> int:
    """Take an alias away; returns the number of the version that it pointed at.

    Raises
    ------
    NotFoundError
        When there is no such model or alias.
    """
    with store.metadata.transaction() as tx:
        models.lock(tx, model)
        now = models.get_version(tx, model, alias)
        if not models.delete_alias(tx, model, alias):
            raise NotFoundError(f"{model!r} has no alias {alias!r}", hint="A number or latest is none.")
        details = {"from": now.version, "reason": reason}
        subscribers = (rules or Rules()).webhooks
        happened(tx, "alias.removed", model, alias, details, subscribers=subscribers, actor=actor)
    return now.version


def planned(
    tx: Transaction, version: ModelVersion, alias: str, requirements: Sequence[Requirement], rules: Rules, who: str
) -> Promotion:
    """The gate and the approvals of a promotion, as the transaction sees them."""
    verdict = examined(version.gate, requirements)
    needed, approvers = rules.needed(version.model, alias), rules.approvers(version.model)
    given = approvals.of_version(tx, version.id) if needed else []
    counted = counting(given, version, alias, approvers, who)
    obstacles = [promise.sentence for promise in verdict.broken]
    if len(counted) < needed:
        obstacles.append(_unapproved(version, alias, needed, counted, approvers, who))
    current = models.get_alias(tx, version.model, alias)
    number = None if current is None else current.version
    return Promotion(version, alias, number, verdict, needed, counted, approvers, tuple(obstacles))


def check_force(force: str | None, rules: Rules) -> None:
    """Refuse a force without a reason, and any where the project allows none."""
    if force is None:
        return
    if not force.strip():
        raise UsageError("a forced promotion needs a reason", value=force, hint="Say why: force='…'.")
    if not rules.may_force:
        raise UsageError("this project allows no promotion by force", hint="[registry] force = false forbids it.")


def refuse_obstacles(plan: Promotion, force: str | None) -> None:
    """Raise when a promotion may not be."""
    found = plan.version
    if found.archived:
        raise ModelError(f"version {found.version} of {found.model!r} is archived", hint="Promote another.")
    if plan.obstacles and force is None:
        raise GateError(
            f"version {found.version} of {found.model!r} may not become {plan.alias}: {'; '.join(plan.obstacles)}",
            hint=_way_out(plan),
        )


def _way_out(plan: Promotion) -> str:
    if plan.gate.broken:
        return "Improve the model or measure what is missing, or promote it by force with a reason."
    return f"Approve it: tidemill models approve {plan.version.model}@{plan.version.version} --as {plan.alias}"


def _unapproved(
    version: ModelVersion, alias: str, needed: int, counted: Sequence[Approval], approvers: Sequence[str], who: str
) -> str:
    not_these = list(dict.fromkeys(name for name in (version.registered_by, who) if name))
    may = ", ".join(approvers) if approvers else "anybody else"
    given = ", ".join(one.actor for one in counted) or "none"
    return (
        f"{alias} needs {needed} approval{'s' if needed > 1 else ''} of somebody other than "
        f"{' and '.join(not_these)}, and counts {len(counted)} ({given}); who may: {may}"
    )


def _before(tx: Transaction, model: str, alias: str) -> int | None:
    """The version that an alias pointed at before its last promotion that was not rolled back."""
    undone, standing, last = 0, 0, None
    while page := audit.list_events(tx, f"model:{model}@{alias}", limit=_PAGE, before=last):
        for event in page:
            if event.action == "model.unalias":
                return None
            if event.action == "model.rollback":
                undone += 1
            elif event.action == "model.promote" and undone:
                undone -= 1
            elif event.action == "model.promote":
                standing += 1
                if standing == 2:
                    return int(event.details["to"])
        last = page[-1].id
    return None


def _move(
    tx: Transaction,
    model: str,
    alias: str,
    version: int,
    details: Mapping[str, Any],
    rules: Rules,
    actor: str | None,
    *,
    action: str = "model.promote",
) -> Alias:
    moved = Alias(model, alias, version, clock.now_us())
    models.set_alias(tx, moved)
    event: Event = "alias.moved"
    happened(tx, event, model, alias, details, subscribers=rules.webhooks, actor=actor, action=action)
    return moved
