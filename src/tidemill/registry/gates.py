"""The gate's record on a model version: by moment, how the promises came out and everything that was measured then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tidemill.design.requirements import Moment, Requirement
from tidemill.evaluation.promises import GateResult, Measurement, Promise, gate, measurements_of
from tidemill.packaging.package import plain

#: When a requirement must have held before a version is promoted.
GATE_MOMENTS: tuple[Moment, ...] = ("evaluation", "test", "package")


def measurements_in(reports: Iterable[Any]) -> tuple[Measurement, ...]:
    """All numbers in reports: evaluations, examinations, packages, gate results; each once."""
    found: dict[Measurement, None] = {}
    for report in reports:
        if isinstance(report, GateResult):
            taken: Iterable[Measurement] = map(_measurement, report.promises)
        else:
            taken = measurements_of(report)
        found.update(dict.fromkeys(taken))
    return tuple(found)


def gate_record(measurements: Sequence[Measurement], requirements: Iterable[Requirement]) -> dict[str, Any]:
    """What a version keeps.

    Returns
    -------
    dict
        By moment ``{"passed", "checks", "measurements"}``: a check for each requirement of the moment
        (``requirement``, ``statement``, ``metric``, ``bound``, ``passed``, ``value``, ``low``, ``high``, ``rows``,
        ``margin``, ``reason``), and the measurements, from which the gate is evaluated again at promotion. Moments
        without requirements and measurements are left out.
    """
    promises = gate(GATE_MOMENTS, requirements, measurements).promises
    record: dict[str, Any] = {}
    for moment in GATE_MOMENTS:
        checks = [_check(promise) for promise in promises if promise.moment == moment]
        measured = [asdict(found) for found in measurements if found.moment == moment]
        if checks or measured:
            passed = all(check["passed"] for check in checks)
            record[moment] = {"passed": passed, "checks": checks, "measurements": measured}
    return dict(plain(record, "gate"))


def recorded_measurements(record: Mapping[str, Any]) -> tuple[Measurement, ...]:
    """The measurements of a record."""
    return tuple(Measurement(**found) for moment in record.values() for found in moment["measurements"])


def has_passed(record: Mapping[str, Any]) -> bool:
    """Whether every promise of every moment held, as it was when it was recorded."""
    return all(moment["passed"] for moment in record.values())


def examined(record: Mapping[str, Any], requirements: Iterable[Requirement]) -> GateResult:
    """The gate of a promotion: the project's requirements as they are now against what was measured on the version."""
    return gate(GATE_MOMENTS, requirements, recorded_measurements(record))


def _measurement(promise: Promise) -> Measurement:
    return Measurement(
        promise.moment, promise.metric, promise.value, promise.low, promise.high, promise.rows, promise.reason
    )


def _check(promise: Promise) -> dict[str, Any]:
    kept = ("statement", "metric", "bound", "value", "low", "high", "rows", "margin", "reason")
    check = {name: getattr(promise, name) for name in kept}
    return {"requirement": promise.name, "passed": promise.status == "passed", **check}
