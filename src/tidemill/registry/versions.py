"""Register packages as numbered versions, find them, and load them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import ModelError, NotFoundError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Alias, Artifact, ModelVersion
from tidemill.core.tasks import Task
from tidemill.design.requirements import Requirement
from tidemill.engine.materialisers import Draft
from tidemill.engine.resume import origin_of
from tidemill.evaluation.measurements import Measurement
from tidemill.packaging.materialiser import PackageMaterialiser
from tidemill.packaging.package import Package
from tidemill.registry.gates import gate_record, measurements_in, recorded_measurements
from tidemill.registry.happenings import Subscriber, happened
from tidemill.registry.names import Reference, check_name, parse_reference
from tidemill.store import Store, audit, executions, lineage, models
from tidemill.store.database import Transaction

_materialiser = PackageMaterialiser()
#: So many versions of a model are looked at for what it may be told.
_RECENT = 50


def register_version(
    store: Store,
    package: Package,
    reports: Iterable[Any] = (),
    *,
    name: str | None = None,
    requirements: Sequence[Requirement] = (),
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    run_id: str | None = None,
    execution_id: str | None = None,
    subscribers: Sequence[Subscriber] = (),
    actor: str | None = None,
) -> ModelVersion:
    """Store a package as the next version of a model; the same package with the same measurements is registered
    once.

    Parameters
    ----------
    store
        Where.
    package
        The verified folder; what was measured on it counts as a report.
    reports
        Evaluations, examinations, gate results: what the gate reads.
    name
        The model's name; the package's by default.
    requirements
        The promises of the project, for the gate's record.
    description, tags, owner
        For people.
    run_id, execution_id
        Who made it.
    subscribers
        Who may be told of it.
    actor
        Who registers it; by default ``TIDEMILL_ACTOR``, else the user of the process.

    Returns
    -------
    ModelVersion
        With its number, its metrics by moment (``"test.roc_auc"``) and the gate's record; registering it again gives
        the same version, with what the new reports add.
    """
    model = check_name(name or package.name, "model")
    draft = _stored(store, package) or _materialiser.save(package, store.artifacts)
    measured = measurements_in([package, *reports])
    who = actor or audit.current_user()
    with store.metadata.transaction() as tx:
        now = clock.now_us()
        models.reserve(tx, model, now)
        artifact = _artifact(tx, draft)
        known = _known(tx, model, artifact.id, run_id, measured)
        if known is not None:
            return _brought_up_to_date(tx, known, measured, requirements, subscribers, who)
        version = models.insert_version(
            tx,
            ModelVersion(
                id=new_id(),
                model=model,
                version=0,
                created_at=now,
                run_id=run_id,
                execution_id=execution_id,
                package=artifact.id,
                description=description,
                tags=checked_tags(tags or {}),
                metrics=_metrics(measured),
                gate=gate_record(measured, requirements),
                owner=owner,
                registered_by=who,
            ),
        )
        details = {"run": run_id, "package": draft.digest, "passed": version.gate["passed"]}
        happened(
            tx, "version.registered", model, version.version, details, subscribers=subscribers, actor=who
        )  # fmt: skip
    return version


def resolve(store: Store, reference: str | Reference) -> ModelVersion:
    """The version that ``flight-delay@champion`` or ``flight-delay@3`` names now.

    Raises
    ------
    NotFoundError
        If there is none; it says which there are.
    """
    wanted = parse_reference(reference) if isinstance(reference, str) else reference
    with store.metadata.reading() as tx:
        return models.get_version(tx, wanted.model, wanted.version)


def version_in(tx: Transaction, version: ModelVersion | str | Reference) -> ModelVersion:
    """A version as it is in the store now; a name alone means its newest version."""
    if isinstance(version, ModelVersion):
        return models.get_version(tx, version.model, version.version)
    reference = parse_reference(version, default="latest") if isinstance(version, str) else version
    return models.get_version(tx, reference.model, reference.version)


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they can be stored: names and values are text.

    >>> checked_tags({"team": 7})
    Traceback (most recent call last):
    tidemill.core.errors.UsageError: the tag 'team' is not text: 7. Write it as text: '7'.
    """
    for name, value in tags.items():
        if not isinstance(name, str) or not name.strip() or len(name) > 250:
            raise UsageError("the name of a tag is text of 1 to 250 characters", value=name)
        if not isinstance(value, str):
            raise UsageError(f"the tag {name!r} is not text", value=value, hint=f"Write it as text: {str(value)!r}.")
        if len(value) > 100_000:
            raise UsageError(f"the tag {name!r} is longer than 100,000 characters", hint="Keep a link to it instead.")
    return dict(tags)


def load_package(store: Store, version: ModelVersion) -> Package:
    """The package of a version, every digest verified.

    Raises
    ------
    UnsafeModelError, CorruptArtifactError
        When what is stored is not what was registered.
    """
    with store.metadata.reading() as tx:
        artifact = lineage.get_artifact(tx, version.package)
    if artifact.type != "package":
        raise ModelError(
            f"version {version.version} of {version.model!r} is a {artifact.type}, not a package",
            hint="Register what tm.package returned.",
        )
    return _materialiser.load(artifact, Package, store.artifacts)


def list_models(store: Store) -> dict[str, list[Alias]]:
    """Every model with its aliases."""
    with store.metadata.reading() as tx:
        return {name: models.aliases(tx, name) for name in models.list_models(tx)}


def list_versions(
    store: Store,
    model: str | None = None,
    *,
    stage: str | None = None,
    owner: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[ModelVersion]:
    """Versions of one model or of all, newest first.

    Parameters
    ----------
    store, model
        Where, and of which model.
    stage, owner, tags
        Only these; of `tags` every name must be there, with the value unless that is None.
    limit, before
        How many; `before` (a version's id) goes on after the last of an earlier list.
    """
    with store.metadata.reading() as tx:
        return models.list_versions(tx, model, stage=stage, owner=owner, tags=tags, limit=limit, before=before)


def answers_of(store: Store, model: str) -> list[tuple[Task, tuple[str, ...]]]:
    """The task and the classes of each version of a model, the newest first; none where that is not known of them.

    No package is read: the store's record of it says so.
    """
    with store.metadata.reading() as tx:
        versions = models.list_versions(tx, model, limit=_RECENT)
        records = [lineage.get_artifact(tx, version.package).metadata for version in versions]
    if not all("classes" in record for record in records):
        return []
    return [(record["task"], tuple(record["classes"])) for record in records]


def _stored(store: Store, package: Package) -> Draft | None:
    """What a step has stored of this package already; it is not packed again."""
    with store.metadata.reading() as tx:
        try:
            found = lineage.get_artifact(tx, package.digest)
        except NotFoundError:
            return None
    if found.type != "package" or found.blob is None or not store.artifacts.exists(found.blob):
        return None
    store.artifacts.touch(found.blob)
    return Draft(found.digest, found.type, found.materialiser, found.size, None, found.blob, found.metadata)


def _artifact(tx: Transaction, draft: Draft) -> Artifact:
    """The stored artifact of a package: the one that a step made, if a step did."""
    try:
        found = lineage.get_artifact(tx, draft.digest)
    except NotFoundError:
        found = None
    if found is not None and found.type == draft.type:
        return found
    artifact = Artifact(
        id=new_id(),
        digest=draft.digest,
        type=draft.type,
        materialiser=draft.materialiser,
        size=draft.size,
        created_at=clock.now_us(),
        inline=draft.inline,
        blob=draft.blob,
        metadata=draft.metadata,
    )
    executions.put_artifacts(tx, [artifact])
    return artifact


def _known(
    tx: Transaction, model: str, package: str, run_id: str | None, measured: tuple[Measurement, ...]
) -> ModelVersion | None:
    """The version that is this one already: of this run (a retry, a resumed run), or with the same measurements.

    The same bytes with other evidence are another version: what a champion was promoted for is not rewritten.
    What was measured while packaging counts for nothing here: times are never the same twice.
    """
    evidence = {found for found in measured if found.moment != "package"}
    for version in models.list_versions(tx, model, package=package):
        if version.archived:
            continue
        if _is_same_run(tx, version.run_id, run_id) or evidence <= set(recorded_measurements(version.gate)):
            return version
    return None


def _is_same_run(tx: Transaction, one: str | None, other: str | None) -> bool:
    """Whether these are one run, or one goes on from where the other was interrupted; a restored run may be alone."""
    if one is None or other is None or one == other:
        return one == other
    try:
        return origin_of(tx, one) == origin_of(tx, other)
    except NotFoundError:
        return False


def _brought_up_to_date(
    tx: Transaction,
    known: ModelVersion,
    measured: tuple[Measurement, ...],
    requirements: Sequence[Requirement],
    subscribers: Sequence[Subscriber],
    actor: str,
) -> ModelVersion:
    """The version with what is measured now in place of what was measured at the same moments before."""
    moments = {found.moment for found in measured}
    kept = tuple(found for found in recorded_measurements(known.gate) if found.moment not in moments)
    everything = (*kept, *measured)
    version = replace(known, metrics=_metrics(everything), gate=gate_record(everything, requirements))
    if version != known:
        models.update_version(tx, version)
        details = {"moments": sorted(moments), "passed": version.gate["passed"]}
        happened(
            tx, "version.measured", known.model, known.version, details, subscribers=subscribers, actor=actor
        )  # fmt: skip
    return version


def _metrics(measured: Iterable[Measurement]) -> dict[str, float]:
    return {
        f"{found.moment}.{found.metric}": found.value
        for found in measured
        if found.is_plain and found.value is not None
    }
