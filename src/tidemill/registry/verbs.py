"""`register`, `promote` and `rollback`: effects on the current project's registry, recorded in its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tidemill.core.errors import UsageError
from tidemill.core.model import Model
from tidemill.core.records import Alias, ModelVersion
from tidemill.design.requirements import Requirement, requirements_of
from tidemill.engine.context import current
from tidemill.engine.step import step
from tidemill.packaging.build import package
from tidemill.packaging.package import Package
from tidemill.project import current_project, open_project_store
from tidemill.registry.adopting import adopt
from tidemill.registry.promotion import promote_version, roll_back
from tidemill.registry.rules import Rules, rules_of
from tidemill.registry.versions import register_version


def register(
    model: Any,
    *reports: Any,
    name: str | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    example: Any = None,
    target: Any = None,
) -> ModelVersion:
    """Register a model or a package as the next version of its name, with what was measured on it.

    In a pipeline's body it schedules the step `register_model`.

    Parameters
    ----------
    model
        A `Package`; or a `Model`, which is packaged on rows drawn from its signature first; or, with `example`, a
        fitted estimator that was trained elsewhere (scikit-learn, LightGBM).
    reports
        Evaluations, examinations, gate results.
    name
        What to call it; the model's own name by default. An estimator has none and needs one.
    description, tags, owner
        For people.
    example
        For an estimator: rows as it was fitted on, numbers and flags, from which types, ranges and the reference
        profile are read. Its answers about them must be the same when it is given a matrix, as a server does.
    target
        For an estimator: the column of the example with the truth, the truth itself, or what to call the answer.

    Returns
    -------
    ModelVersion
        With its number and the gate's record; the same again when a run is repeated or resumed.
    """
    return register_model(
        model,
        list(reports),
        name=name,
        description=description,
        tags=dict(tags or {}),
        owner=owner,
        example=example,
        target=target,
    )


@step(stage="register", effect=True)
def register_model(
    model: Any,
    reports: Sequence[Any] = (),
    name: str | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    example: Any = None,
    target: Any = None,
) -> ModelVersion:
    """The step of `register`."""
    packaged = _packaged(model, name, example, target)
    store, context = open_project_store(current_project()), current()
    return register_version(
        store,
        packaged,
        reports,
        name=name,
        requirements=_requirements(),
        description=description,
        tags=tags,
        owner=owner,
        run_id=context.run_id if context else None,
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


def _packaged(model: Any, name: str | None, example: Any, target: Any) -> Package:
    """The package of whatever is registered; an estimator is verified on its example."""
    if isinstance(model, Model | Package):
        if example is not None or target is not None:
            kind = type(model).__name__.lower()
            raise UsageError(f"a {kind} has its signature already", hint="Leave example and target out.")
        return package(model) if isinstance(model, Model) else model
    if example is None:
        raise UsageError(
            "only models and packages can be registered, and estimators with an example",
            value=type(model).__name__,
            hint="Give what tm.train returned; or for an estimator that is fitted: example=X, name='…'.",
        )
    if name is None:
        raise UsageError("an estimator has no name of its own", hint="Say what the registry shall call it: name='…'.")
    adopted = adopt(model, example, name=name, target=target)
    rows = example if isinstance(example, pl.DataFrame) else None
    return package(adopted, rows)


def _requirements() -> tuple[Requirement, ...]:
    return requirements_of(current_project().requirements)


def _rules() -> Rules:
    return rules_of(current_project().registry)
