"""`register`, `promote` and `rollback`: effects on the current project's registry, recorded in its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.core.model import Model
from tidemill.core.records import Alias, ModelVersion
from tidemill.design.requirements import Requirement, requirements_of
from tidemill.engine.context import current
from tidemill.engine.resume import origin_of
from tidemill.engine.step import step
from tidemill.packaging.build import package
from tidemill.packaging.package import Package
from tidemill.project import current_project, open_project_store
from tidemill.registry.promotion import promote_version, roll_back
from tidemill.registry.rules import Rules, rules_of
from tidemill.registry.versions import register_version
from tidemill.store import Store


def register(
    model: Any,
    *reports: Any,
    name: str | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Register a model or a package as the next version of its name, with what was measured on it.

    In a pipeline's body it schedules the step `register_model`.

    Parameters
    ----------
    model
        A `Package`; or a `Model`, which is packaged on rows drawn from its signature first.
    reports
        Evaluations, examinations, gate results.
    name
        What to call it; the model's own name by default.
    description, tags
        For people.

    Returns
    -------
    ModelVersion
        With its number and the gate's record; the same again when a run is repeated or resumed.
    """
    return register_model(model, list(reports), name=name, description=description, tags=dict(tags or {}))


@step(stage="register", effect=True)
def register_model(
    model: Any,
    reports: Sequence[Any] = (),
    name: str | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """The step of `register`."""
    if not isinstance(model, Model | Package):
        raise UsageError(
            "only models and packages can be registered",
            value=type(model).__name__,
            hint="Give what tm.train returned.",
        )
    packaged = package(model) if isinstance(model, Model) else model
    store, context = open_project_store(current_project()), current()
    return register_version(
        store,
        packaged,
        reports,
        name=name,
        requirements=_requirements(),
        description=description,
        tags=tags,
        run_id=_first_run(store, context.run_id) if context else None,
        execution_id=context.execution_id if context else None,
        subscribers=_rules().webhooks,
    )


@step(stage="promote", effect=True)
def promote(
    version: Any, alias: str = "champion", *, approved_by: str | None = None, force: str | None = None
) -> Alias:
    """Point an alias at a version, if its gate passed.

    Parameters
    ----------
    version
        What `register` returned, or a name such as ``flight-delay@3``.
    alias
        ``champion`` unless said otherwise.
    approved_by
        Who agreed in words; written to the audit. Where ``[registry]`` asks for approvals, it counts for nothing.
    force
        Promote although the gate did not pass or an approval is missing, for this reason; written to the audit.

    Raises
    ------
    GateError
        When a requirement that is checked at evaluation, test or package was broken or not measured, or an approval is
        missing.
    """
    return promote_version(
        open_project_store(current_project()),
        version,
        alias,
        requirements=_requirements(),
        rules=_rules(),
        approved_by=approved_by,
        force=force,
    )


@step(stage="rollback", effect=True)
def rollback(model: str, alias: str = "champion", *, reason: str = "") -> Alias:
    """Point an alias back at the version before its last promotion; repeat to go further back."""
    return roll_back(open_project_store(current_project()), model, alias, reason=reason, rules=_rules())


def _first_run(store: Store, run_id: str) -> str:
    """The run that a resumed run goes on from: what it has registered already is not registered again."""
    with store.metadata.reading() as tx:
        return origin_of(tx, run_id)


def _requirements() -> tuple[Requirement, ...]:
    return requirements_of(current_project().requirements)


def _rules() -> Rules:
    return rules_of(current_project().registry)
