"""`gate`: the project's promises against what was measured; it passes, or says which is broken and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidemill.core.errors import GateError, UsageError
from tidemill.design.requirements import MOMENTS, Moment, Requirement, at_moments
from tidemill.measures.intervals import Estimate

Status = Literal["passed", "failed", "not measured"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number that was measured at a moment, with its interval where there is one."""

    moment: Moment
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """A requirement at one moment, and how it came out.

    Parameters
    ----------
    name, statement, moment, metric, bound
        Which promise: the requirement's key, its words, when it must hold, what is measured, the bound as text.
    status
        Whether it holds; a promise that was not measured does not hold.
    value, low, high, rows
        What was measured, its interval, and on how many rows.
    margin
        How far the value is inside the bound; negative when it is outside.
    certain
        Whether the whole interval is on the same side of the bound as the value.
    reason
        Why it was not measured.
    """

    name: str
    statement: str
    moment: Moment
    metric: str
    bound: str
    status: Status
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    margin: float | None = None
    certain: bool = False
    reason: str = ""

    @property
    def sentence(self) -> str:
        """How it came out, in one line for people."""
        where = f"{self.name} ({self.bound} at {self.moment})"
        if self.value is None or self.margin is None:
            return f"{where} was not measured: {self.reason}"
        spread = f" [{self.low:.4g}, {self.high:.4g}]" if self.low is not None and self.high is not None else ""
        verdict = "holds with" if self.margin >= 0 else "is broken by"
        return f"{where} {verdict} {abs(self.margin):.4g}: measured {self.value:.4g}{spread}"


@dataclass(frozen=True, slots=True)
class GateResult:
    """Every promise of some moments, and whether all of them hold."""

    passed: bool
    moments: tuple[Moment, ...]
    promises: tuple[Promise, ...]
    note: str = ""

    @property
    def broken(self) -> tuple[Promise, ...]:
        """The promises that do not hold, unmeasured ones included."""
        return tuple(promise for promise in self.promises if promise.status != "passed")

    def by_moment(self) -> dict[str, dict[str, Any]]:
        """The result as a model version keeps it: by moment ``{"passed": …, "checks": […]}``, JSON-able."""
        return {
            moment: {
                "passed": all(promise.status == "passed" for promise in self.promises if promise.moment == moment),
                "checks": [_check(promise) for promise in self.promises if promise.moment == moment],
            }
            for moment in self.moments
        }


def _check(promise: Promise) -> dict[str, Any]:
    kept = ("statement", "metric", "bound", "value", "low", "high", "rows", "margin", "certain", "reason")
    return {
        "requirement": promise.name,
        "passed": promise.status == "passed",
        **{key: getattr(promise, key) for key in kept},
    }


def gate(moments: Moment | Iterable[Moment], requirements: Iterable[Requirement], reports: Any) -> GateResult:
    """Check every requirement that names one of these moments.

    Parameters
    ----------
    moments
        One moment or several, such as ``("evaluation", "test", "package")`` for a promotion.
    requirements
        All requirements of the project.
    reports
        What was measured: one report or several, see `measurements_of`.

    Returns
    -------
    GateResult
        Passed only if every requirement of these moments was measured and holds. Measured twice at one moment, the
        worse value counts.

    Examples
    --------
    >>> ranking = Requirement("ranking", "Ranks well", "roc_auc", at_least=0.65)
    >>> result = gate("test", [ranking], Measurement("test", "roc_auc", 0.61, 0.59, 0.63))
    >>> result.passed, result.promises[0].margin
    (False, -0.04)
    >>> print(result.promises[0].sentence)
    ranking (roc_auc >= 0.65 at test) is broken by 0.04: measured 0.61 [0.59, 0.63]
    """
    wanted = (moments,) if isinstance(moments, str) else tuple(moments)
    unknown = [moment for moment in wanted if moment not in MOMENTS]
    if unknown:
        raise UsageError("no such moment", value=unknown[0], hint=f"Moments are {', '.join(MOMENTS)}.")
    measured = measurements_of(reports)
    promises = tuple(_promise(moment, found, measured) for moment, found in at_moments(requirements, wanted))
    note = "" if promises else f"no requirement is checked at {', '.join(wanted)}"
    return GateResult(all(promise.status == "passed" for promise in promises), wanted, promises, note)


def enforce(result: GateResult) -> GateResult:
    """Return a result that passed; raise `GateError` with the numbers of every broken promise otherwise.

    >>> enforce(gate("test", [Requirement("ranking", "", "roc_auc", at_least=0.65)], []))
    Traceback (most recent call last):
    tidemill.core.errors.GateError: 1 of 1 requirements does not hold: ranking (roc_auc >= 0.65 at test) was not \
measured: no report of test. Improve the model or measure what is missing; change a requirement only with its owner.
    """
    if result.passed:
        return result
    many = len(result.broken)
    sentences = "; ".join(promise.sentence for promise in result.broken)
    raise GateError(
        f"{many} of {len(result.promises)} requirements {'does' if many == 1 else 'do'} not hold: {sentences}",
        hint="Improve the model or measure what is missing; change a requirement only with its owner.",
    )


def measurements_of(reports: Any) -> tuple[Measurement, ...]:
    """All numbers in some reports.

    Parameters
    ----------
    reports
        A `Measurement`; anything with ``moment`` and ``metrics`` (an `Evaluation`, an `Examination`, a package, or a
        mapping with these keys), where metrics are by name estimates or numbers; or an iterable of these.
    """
    if isinstance(reports, Measurement):
        return (reports,)
    moment, metrics = _of(reports, "moment"), _of(reports, "metrics")
    if moment is not None and isinstance(metrics, Mapping):
        return tuple(_measurement(moment, name, value) for name, value in metrics.items())
    if isinstance(reports, Iterable) and not isinstance(reports, str | Mapping):
        return tuple(found for report in reports for found in measurements_of(report))
    raise UsageError(
        "this holds no measurements", value=type(reports).__name__, hint="Give what evaluate, test or package returned."
    )


def _of(report: Any, key: str) -> Any:
    return report.get(key) if isinstance(report, Mapping) else getattr(report, key, None)


def _measurement(moment: Moment, name: str, value: Any) -> Measurement:
    if isinstance(value, Estimate):
        return Measurement(moment, name, value.value, value.low, value.high, value.rows, value.reason)
    if isinstance(value, Mapping):
        keys = ("value", "low", "high", "rows", "reason")
        return Measurement(moment, name, **{key: value[key] for key in keys if key in value})
    number = None if value is None or value != value else float(value)
    return Measurement(moment, name, number, reason="" if number is not None else "not defined")


def _promise(moment: Moment, found: Requirement, measured: tuple[Measurement, ...]) -> Promise:
    here = [entry for entry in measured if entry.moment == moment]
    fitting = [entry for entry in here if entry.metric == found.metric]
    valued = [entry for entry in fitting if entry.value is not None]
    if not valued:
        reason = (
            fitting[-1].reason
            if fitting
            else f"no report of {moment}"
            if not here
            else f"the reports of {moment} do not measure it"
        )
        return Promise(found.name, found.statement, moment, found.metric, found.bound, "not measured", reason=reason)
    worst = min(valued, key=lambda entry: found.margin(float(entry.value or 0.0)))
    value = float(worst.value or 0.0)
    margin = found.margin(value)
    ends = [found.margin(end) >= 0 for end in (worst.low, worst.high) if end is not None]
    return Promise(
        name=found.name,
        statement=found.statement,
        moment=moment,
        metric=found.metric,
        bound=found.bound,
        status="passed" if margin >= 0 else "failed",
        value=value,
        low=worst.low,
        high=worst.high,
        rows=worst.rows,
        margin=margin,
        certain=len(ends) == 2 and all(end == (margin >= 0) for end in ends),
    )
