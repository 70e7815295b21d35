"""A second person's agreement to a version: given to its package and its numbers, and void when those change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidemill.core import clock
from tidemill.core.digests import canonical_json, digest_bytes
from tidemill.core.errors import ModelError, NotFoundError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Approval, ModelVersion
from tidemill.registry.happenings import happened
from tidemill.registry.names import Reference, check_name
from tidemill.registry.rules import Rules
from tidemill.registry.versions import version_in
from tidemill.store import Store, approvals, audit, models


def approve_version(
    store: Store,
    version: ModelVersion | str | Reference,
    alias: str = "",
    *,
    note: str = "",
    rules: Rules | None = None,
    actor: str | None = None,
) -> Approval:
    """Agree to a version: to this package with these numbers.

    Parameters
    ----------
    store, version
        Where, and which.
    alias
        Which alias it may take; any if left out.
    note
        What is to be remembered of the decision.
    rules
        The project's.
    actor
        Who agrees; by default ``TIDEMILL_ACTOR``, else the user of the process. Nobody proves who they are: until there
        is authentication, this keeps honest people from mistakes.

    Returns
    -------
    Approval
        The one that stands already, if the same person has agreed to the same before.

    Raises
    ------
    UsageError
        When the actor registered the version, or is not among the approvers.
    ModelError
        When the version is archived.
    """
    asked = rules or Rules()
    who = (actor or audit.current_user()).strip()
    if alias:
        check_name(alias, "alias")
    with store.metadata.transaction() as tx:
        found = version_in(tx, version)
        models.lock(tx, found.model)
        found = models.get_version_by_id(tx, found.id)
        if found.archived:
            raise ModelError(f"version {found.version} of {found.model!r} is archived", hint="Approve another.")
        _refuse(found, who, asked.approvers(found.model))
        evidence = evidence_of(found)
        given = [one for one in approvals.of_version(tx, found.id) if one.alias == alias and same(one.actor, who)]
        standing = next((one for one in given if one.evidence == evidence), None)
        if standing is not None:
            return standing
        approval = Approval(new_id(), found.id, alias, who, clock.now_us(), note, evidence)
        approvals.insert(tx, approval)
        details = {"alias": alias, "note": note, "evidence": evidence}
        happened(
            tx, "approval.given", found.model, found.version, details, subscribers=asked.webhooks, actor=who
        )  # fmt: skip
    return approval


def withdraw_approval(
    store: Store,
    version: ModelVersion | str | Reference,
    alias: str = "",
    *,
    note: str = "",
    rules: Rules | None = None,
    actor: str | None = None,
) -> None:
    """Take back one's own agreement; what was promoted meanwhile stays promoted.

    Raises
    ------
    NotFoundError
        When the actor has not agreed to this.
    """
    who = (actor or audit.current_user()).strip()
    with store.metadata.transaction() as tx:
        found = version_in(tx, version)
        models.lock(tx, found.model)
        if not approvals.withdraw(tx, found.id, alias, who):
            hint = "Look at the approvals with: tidemill models show"
            raise NotFoundError(f"{who} has not approved {found.model}@{found.version}", hint=hint)
        details = {"alias": alias, "note": note}
        subscribers = (rules or Rules()).webhooks
        happened(tx, "approval.withdrawn", found.model, found.version, details, subscribers=subscribers, actor=who)


def approvals_of(store: Store, version: ModelVersion) -> list[tuple[Approval, bool]]:
    """Who agreed to a version, oldest first, and whether that still stands: for its package and numbers as they are."""
    evidence = evidence_of(version)
    with store.metadata.reading() as tx:
        return [(one, one.evidence == evidence) for one in approvals.of_version(tx, version.id)]


def counting(
    given: Iterable[Approval], version: ModelVersion, alias: str, approvers: Sequence[str], promoter: str
) -> tuple[Approval, ...]:
    """Those approvals that count for a promotion: of these numbers, for this alias, of somebody else, one a person."""
    evidence = evidence_of(version)
    found: dict[str, Approval] = {}
    for one in given:
        stands = one.evidence == evidence and one.alias in ("", alias)
        others = not same(one.actor, version.registered_by) and not same(one.actor, promoter)
        allowed = not approvers or any(same(one.actor, name) for name in approvers)
        if stands and others and allowed:
            found.setdefault(one.actor.strip().casefold(), one)
    return tuple(found.values())


def evidence_of(version: ModelVersion) -> str:
    """The digest of what is agreed to: the package and everything that was measured on it."""
    return digest_bytes(canonical_json([version.package, version.gate.get("measurements", [])]).encode())


def same(one: str, other: str) -> bool:
    """Whether two names are one person's.

    >>> same("Ada", "ada "), same("ada", "")
    (True, False)
    """
    return one.strip().casefold() == other.strip().casefold()


def _refuse(version: ModelVersion, who: str, approvers: Sequence[str]) -> None:
    if approvers and not any(same(who, name) for name in approvers):
        raise UsageError(
            f"{who} may not approve {version.model}@{version.version}", hint=f"Who may: {', '.join(approvers)}."
        )
    if same(who, version.registered_by):
        hint = "Ask somebody else to approve it."
        raise UsageError(f"{who} has registered {version.model}@{version.version} and cannot approve it", hint=hint)
