"""Two versions beside each other: what was measured on them, and what is different in how they came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.model import Signature
from tidemill.core.records import ModelVersion
from tidemill.evaluation.measurements import Measurement
from tidemill.packaging.package import Package
from tidemill.project import current_project, open_project_store
from tidemill.registry.gates import recorded_measurements
from tidemill.registry.names import Reference
from tidemill.registry.origins import Origins, TableUsed, origins_of
from tidemill.registry.versions import load_package, version_in
from tidemill.store import Store
from tidemill.tracking import Difference


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One number on both versions.

    Parameters
    ----------
    name
        Moment and metric, such as ``test.roc_auc``.
    a, b
        What was measured, with intervals where there are any; None where it was not.
    difference
        Of `b` from `a`.
    apart
        Whether the intervals do not touch; None where one of them is unknown. Overlapping intervals are no proof of
        equality: for that, evaluate both on the same rows (``evaluate(model, data, against=other)``).
    """

    name: str
    a: Measurement | None
    b: Measurement | None
    difference: float | None
    apart: bool | None


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Two versions without what is the same, except for the metrics, which are all here.

    Parameters
    ----------
    a, b
        Their names.
    metrics
        Every number.
    examined
        What keeps the numbers of the two tests from being compared: that they are of other rows, or may be; empty if
        they are of the same table, or nothing is known of it.
    gate
        Promises that came out differently.
    added, gone
        Features that only `b`, or only `a`, takes.
    signature
        Task, target, classes, threshold, and features of another type, range or set of categories.
    params, data, environment, package, about
        Hyperparameters; sources and tables by digest and rows; versions of libraries, commit, digest of the training
        step's code; formats, engines and parity; what people say of them.
    """

    a: str
    b: str
    metrics: tuple[MetricDifference, ...]
    gate: tuple[Difference, ...]
    added: tuple[str, ...]
    gone: tuple[str, ...]
    signature: tuple[Difference, ...]
    params: tuple[Difference, ...]
    data: tuple[Difference, ...]
    environment: tuple[Difference, ...]
    package: tuple[Difference, ...]
    about: tuple[Difference, ...]
    examined: str = ""


def compare_versions(
    a: ModelVersion | str | Reference, b: ModelVersion | str | Reference, *, store: Store | None = None
) -> VersionComparison:
    """Compare two versions, of one model or of two.

    Parameters
    ----------
    a, b
        Versions, or their names, such as ``flight-delay@champion`` and ``flight-delay@7``.
    store
        Where they are registered; the current project's store by default.

    Returns
    -------
    VersionComparison

    Raises
    ------
    NotFoundError
        If there is no such version; the message says which there are.
    """
    where = store or open_project_store(current_project())
    with where.metadata.reading() as tx:
        left, right = version_in(tx, a), version_in(tx, b)
    packages = load_package(where, left), load_package(where, right)
    origins = origins_of(where, left), origins_of(where, right)
    inputs = [package.signature.inputs.names for package in packages]
    return VersionComparison(
        a=f"{left.model}@{left.version}",
        b=f"{right.model}@{right.version}",
        metrics=tuple(_metrics(left, right)),
        gate=differences(_promises(left), _promises(right)),
        added=tuple(name for name in inputs[1] if name not in inputs[0]),
        gone=tuple(name for name in inputs[0] if name not in inputs[1]),
        signature=differences(*(_signature(package.signature) for package in packages), only_shared="feature "),
        params=differences(*(package.manifest.get("params", {}) for package in packages)),
        data=differences(*map(_data, origins)),
        environment=differences(*(_environment(*pair) for pair in zip(packages, origins, strict=True))),
        package=differences(*map(_package, packages)),
        about=differences(_about(left), _about(right)),
        examined=_examined(*(one.examined for one in origins)),
    )


def _examined(a: TableUsed | None, b: TableUsed | None) -> str:
    """Why the tests of two versions may not be of the same rows.

    >>> _examined(TableUsed("test", "3f", 60, 4), TableUsed("test", "9a", 80, 4))
    'they were examined on other test rows: 60 and 80'
    >>> _examined(TableUsed("test", "3f", 60, 4), TableUsed("test", "9a", 60, 3))
    'they were examined on tables of other columns (4 and 3), perhaps of other rows'
    """
    if a is None or b is None or a.digest == b.digest:
        return ""
    if a.rows == b.rows and a.columns != b.columns:
        return f"they were examined on tables of other columns ({a.columns} and {b.columns}), perhaps of other rows"
    count = f"{a.rows:,} and {b.rows:,}" if a.rows is not None and b.rows is not None else "how many is not known"
    return f"they were examined on other test rows: {count}"


def differences(a: Mapping[str, Any], b: Mapping[str, Any], *, only_shared: str = "") -> tuple[Difference, ...]:
    """What is not the same in two mappings, in their order; of names that start with `only_shared`, only shared ones.

    >>> differences({"x": 1, "y": 2}, {"x": 1, "y": 3, "z": 4})
    (Difference(name='y', a=2, b=3), Difference(name='z', a=None, b=4))
    """
    names = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    if only_shared:
        names = [name for name in names if not name.startswith(only_shared) or (name in a and name in b)]
    return tuple(Difference(name, a.get(name), b.get(name)) for name in names)


def _metrics(a: ModelVersion, b: ModelVersion) -> Iterator[MetricDifference]:
    mine, theirs = _measured(a), _measured(b)
    for name in sorted({*mine, *theirs}, key=lambda name: (name not in mine or name not in theirs, name)):
        one, other = mine.get(name), theirs.get(name)
        known = [found.value for found in (one, other) if found is not None and found.value is not None]
        difference = known[1] - known[0] if len(known) == 2 else None
        yield MetricDifference(name, one, other, difference, _apart(one, other))


def _measured(version: ModelVersion) -> dict[str, Measurement]:
    measured = (found for found in recorded_measurements(version.gate) if found.is_plain)
    return {f"{found.moment}.{found.metric}": found for found in measured}


def _apart(a: Measurement | None, b: Measurement | None) -> bool | None:
    if a is None or b is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    return a.high < b.low or b.high < a.low


def _promises(version: ModelVersion) -> dict[str, str]:
    return {f"{one['name']} at {one['moment']}": one["status"] for one in version.gate.get("promises", ())}


def _signature(signature: Signature) -> dict[str, Any]:
    raw = {name: value for name, value in signature.to_dict().items() if name != "inputs"}
    columns = {f"feature {column.name}": column.to_dict() for column in signature.inputs}
    return {**raw, **columns}


def _data(origins: Origins) -> dict[str, Any]:
    sources = {f"source {one.name}": _table(one.digest, one.rows, one.uri) for one in origins.sources}
    return {**sources, **{one.name: _table(one.digest, one.rows, "") for one in origins.tables}}


def _table(digest: str, rows: int | None, uri: str) -> str:
    parts = [uri, f"{rows:,} rows" if rows is not None else "", digest[:12]]
    return ", ".join(part for part in parts if part)


def _environment(package: Package, origins: Origins) -> dict[str, Any]:
    manifest = package.manifest
    trained = manifest.get("metadata", {}).get("versions", {})
    versions = {**manifest.get("versions", {}), **trained}
    return {**dict(sorted(versions.items())), "commit": origins.commit or None, "training code": origins.code or None}


def _package(package: Package) -> dict[str, Any]:
    manifest = package.manifest
    found = {"framework": package.framework, "files": ", ".join(sorted(package.files))}
    engines = {f"engine {name}": engine for name, engine in manifest.get("engines", {}).items()}
    return {**found, **engines, "parity verified": manifest.get("parity", {}).get("verified")}


def _about(version: ModelVersion) -> dict[str, Any]:
    tags = {f"tag {name}": value for name, value in version.tags.items()}
    said = {"stage": version.stage, "owner": version.owner, "description": version.description}
    return {**said, "registered by": version.registered_by, "run": version.run_id, **tags}
