"""The gate's record on a model version: how the promises came out, and everything that was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tidemill.design.requirements import Moment, Requirement
from tidemill.evaluation.measurements import Measurement, measurements_of
from tidemill.evaluation.promises import KINDS, GateResult, Promise, gate
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
        ``passed``, ``moments``, ``promises``, ``note`` as a `GateResult` has them, and ``measurements``, from which
        the gate is evaluated again when the version is promoted.
    """
    result = gate(GATE_MOMENTS, requirements, measurements)
    record = {**asdict(result), "measurements": [asdict(found) for found in measurements]}
    return dict(plain(record, "gate"))


def recorded_measurements(record: Mapping[str, Any]) -> tuple[Measurement, ...]:
    """The measurements of a record."""
    return tuple(Measurement(**found) for found in record.get("measurements", ()))


def examined(record: Mapping[str, Any], requirements: Iterable[Requirement]) -> GateResult:
    """The gate of a promotion: the project's requirements as they are now against what was measured on the version."""
    return gate(GATE_MOMENTS, requirements, recorded_measurements(record))


def _measurement(promise: Promise) -> Measurement:
    return Measurement(
        promise.moment,
        promise.metric,
        promise.value,
        promise.low,
        promise.high,
        promise.rows,
        promise.reason,
        against=promise.against,
        kind=KINDS.get(promise.against, ""),
        where=promise.where,
        at=promise.at,
    )
