"""What people say of a model and its versions after they were registered: owner, description, tags, stage of life."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, get_args

from tidemill.core.errors import ConflictError, NotFoundError, UsageError
from tidemill.core.records import ModelVersion, RegisteredModel
from tidemill.design.requirements import Requirement
from tidemill.registry.happenings import happened
from tidemill.registry.names import Reference
from tidemill.registry.promotion import check_force, planned, refuse_obstacles
from tidemill.registry.rules import Rules
from tidemill.registry.versions import checked_tags, version_in
from tidemill.store import Store, audit, models

#: The stages of a version's life, in their order: MLflow's None, Staging, Production and Archived.
Stage = Literal["registered", "staging", "production", "archived"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Record = TypeVar("Record", RegisteredModel, ModelVersion)


def edit_model(
    store: Store,
    name: str,
    *,
    owner: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    untag: Iterable[str] = (),
    rules: Rules | None = None,
    actor: str | None = None,
) -> RegisteredModel:
    """Change what is said of a model; what is left out stays.

    Parameters
    ----------
    store, name
        Where, and which model.
    owner, description
        Whose it is, and what it is for; an empty text removes it.
    tags, untag
        Tags to set, and names of tags to remove.
    rules
        The project's: who is told.
    actor
        For the audit.

    Raises
    ------
    NotFoundError
        When there is no such model, or no tag of a name to remove.
    """
    with store.metadata.transaction() as tx:
        models.lock(tx, name)
        before = models.get_model(tx, name)
        after = _edited(before, owner, description, tags or {}, untag)
        if after == before:
            return before
        models.update_model(tx, after)
        changes = _changes(before, after)
        happened(tx, "model.changed", name, "", changes, subscribers=(rules or Rules()).webhooks, actor=actor)
    return after


def edit_version(
    store: Store,
    version: ModelVersion | str | Reference,
    *,
    owner: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    untag: Iterable[str] = (),
    rules: Rules | None = None,
    actor: str | None = None,
) -> ModelVersion:
    """Change what is said of a version; parameters as for `edit_model`."""
    with store.metadata.transaction() as tx:
        found = version_in(tx, version)
        models.lock(tx, found.model)
        before = models.get_version_by_id(tx, found.id)
        after = _edited(before, owner, description, tags or {}, untag)
        if after == before:
            return before
        models.update_version(tx, after)
        changes, subscribers = _changes(before, after), (rules or Rules()).webhooks
        happened(tx, "version.changed", after.model, after.version, changes, subscribers=subscribers, actor=actor)
    return after


def set_stage(
    store: Store,
    version: ModelVersion | str | Reference,
    stage: str,
    *,
    requirements: Sequence[Requirement] = (),
    rules: Rules | None = None,
    reason: str = "",
    force: str | None = None,
    actor: str | None = None,
) -> ModelVersion:
    """Say where a version stands in its life.

    ``production`` is a claim like an alias: it needs the gate, and the approvals that are asked for under that name.
    ``archived`` takes a version out of every choice; an alias that points at it must be moved or removed first.

    Parameters
    ----------
    store, version
        Where, and which.
    stage
        ``registered``, ``staging``, ``production`` or ``archived``.
    requirements, rules, force, actor
        As for `promote_version`.
    reason
        For the audit.

    Raises
    ------
    GateError
        When it may not go into production.
    ConflictError
        When an alias points at a version that is to be archived.
    """
    wanted, asked, who = _stage(stage), rules or Rules(), actor or audit.current_user()
    check_force(force, asked)
    with store.metadata.transaction() as tx:
        found = version_in(tx, version)
        models.lock(tx, found.model)
        before = models.get_version_by_id(tx, found.id)
        if before.stage == wanted:
            return before
        details: dict[str, Any] = {"from": before.stage, "to": wanted, "reason": reason}
        if wanted == "production":
            plan = planned(tx, replace(before, archived=False), wanted, requirements, asked, who)
            refuse_obstacles(plan, force)
            details["promises"] = [promise.sentence for promise in plan.gate.promises]
            if plan.obstacles:
                details |= {"forced": force, "broken": list(plan.obstacles)}
        if wanted == "archived":
            _refuse_named(before, [alias.alias for alias in models.aliases(tx, before.model)
                                   if alias.version == before.version])  # fmt: skip
        after = replace(before, stage=wanted, archived=wanted == "archived")
        models.update_version(tx, after)
        happened(
            tx,
            "version.archived" if wanted == "archived" else "version.staged",
            after.model,
            after.version,
            details,
            subscribers=asked.webhooks,
            actor=who,
        )
    return after


def _stage(text: str) -> Stage:
    for stage in STAGES:
        if text == stage:
            return stage
    near = get_close_matches(text.lower(), STAGES, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Stages are {', '.join(STAGES)}."
    raise UsageError("there is no such stage", value=text, hint=hint)


def _refuse_named(version: ModelVersion, names: Sequence[str]) -> None:
    if names:
        raise ConflictError(
            f"{version.model}@{version.version} is {', '.join(names)}, and cannot be archived",
            hint="Promote another version first, or remove the alias: tidemill models unalias",
        )


def _edited(
    record: Record, owner: str | None, description: str | None, tags: Mapping[str, str], untag: Iterable[str]
) -> Record:
    kept = {**record.tags, **checked_tags(tags)}
    for name in untag:
        if name not in record.tags:
            near = get_close_matches(name, record.tags, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Tags are: {', '.join(record.tags) or 'none'}."
            raise NotFoundError("there is no tag of this name", value=name, hint=hint)
        if name in tags:
            raise UsageError("a tag is to be set and removed at once", value=name, hint="Decide for one.")
        del kept[name]
    return replace(
        record,
        owner=record.owner if owner is None else owner.strip(),
        description=record.description if description is None else description,
        tags=kept,
    )


def _changes(before: RegisteredModel | ModelVersion, after: RegisteredModel | ModelVersion) -> dict[str, Any]:
    """What is different, as ``{name: [before, after]}``."""
    found: dict[str, Any] = {
        name: [getattr(before, name), getattr(after, name)]
        for name in ("owner", "description")
        if getattr(before, name) != getattr(after, name)
    }
    names = sorted({*before.tags, *after.tags})
    tags = {name: [before.tags.get(name), after.tags.get(name)] for name in names}
    changed = {name: pair for name, pair in tags.items() if pair[0] != pair[1]}
    return found | ({"tags": changed} if changed else {})
