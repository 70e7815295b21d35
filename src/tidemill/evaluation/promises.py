"""`gate`: the project's promises against what was measured; it passes, or says which is broken and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal

from tidemill.core.errors import GateError, UsageError
from tidemill.design.requirements import MOMENTS, Moment, Requirement, at_moments
from tidemill.evaluation.measurements import Measurement, measurements_of

#: Whom `better_than` may mean beside one by name -> the kind of comparison.
KINDS: Mapping[str, str] = {"champion": "model", "baseline": "baseline", "baselines": "baseline"}

Status = Literal["passed", "failed", "not measured"]


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
    against, where, at
        With whom the model was compared, by what the rows were cut, and the part that is told: the worst.
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
    against: str = ""
    where: str = ""
    at: str = ""

    @property
    def sentence(self) -> str:
        """How it came out, in one line for people."""
        where = f"{self.name} ({self.bound} at {self.moment})"
        if self.value is None or self.margin is None:
            return f"{where} was not measured: {self.reason}"
        spread = f" [{self.low:.4g}, {self.high:.4g}]" if self.low is not None and self.high is not None else ""
        verdict = f"{'holds with' if self.status == 'passed' else 'is broken by'} {abs(self.margin):.4g}"
        if self.status == "failed" and self.margin == 0:
            verdict = "is broken: equal is not better" if self.value == 0 else "is broken: the interval holds zero"
        worst = f" on {self.where} {self.at}" if self.at else ""
        return f"{where} {verdict}{worst}: measured {self.value:.4g}{spread}"


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


def promise_of(kept: Mapping[str, Any]) -> Promise:
    """A promise from the mapping that a record keeps of it; what it does not know is left out."""
    known = {field.name for field in fields(Promise)}
    return Promise(**{key: value for key, value in kept.items() if key in known})


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


def _promise(moment: Moment, found: Requirement, measured: tuple[Measurement, ...]) -> Promise:
    here = [entry for entry in measured if entry.moment == moment]
    fitting = [entry for entry in here if _fits(entry, found)]
    valued = [entry for entry in fitting if _value(entry, found) is not None]
    blank = Promise(
        found.name, found.statement, moment, found.metric, found.bound, "not measured", against=found.better_than
    )
    if not valued:
        return replace(blank, where=found.slice, reason=_why_not(moment, found, here, fitting))
    worst = min(valued, key=lambda entry: _margin(entry, found))
    value, margin = _value(worst, found), _margin(worst, found)
    held = all(found.holds(number) for number in _judged(worst, found))
    ends = [found.holds(end) for end in _ends(worst, found)]
    if found.certain and len(ends) < 2:
        return replace(blank, where=found.slice, reason=worst.reason or "it has no interval, and must be certain")
    return replace(
        blank,
        status="passed" if held else "failed",
        value=value,
        low=next(iter(_ends(worst, found)), None),
        high=next(iter(reversed(_ends(worst, found))), None),
        rows=worst.rows,
        margin=margin,
        certain=len(ends) == 2 and all(end == held for end in ends),
        where=worst.where,
        at=worst.at,
    )


def _fits(entry: Measurement, found: Requirement) -> bool:
    if entry.metric != found.metric or entry.where != found.slice:
        return False
    wanted = found.better_than
    if not wanted or not entry.against:
        return not wanted and not entry.against
    kind = KINDS.get(wanted)
    return entry.kind == kind if kind else entry.against == wanted


def _scale(entry: Measurement, found: Requirement) -> float | None:
    """What the measured number is divided by; None when it cannot be."""
    if not found.relative:
        return 1.0
    return abs(entry.base) if entry.base else None


def _value(entry: Measurement, found: Requirement) -> float | None:
    scale = _scale(entry, found)
    return None if entry.value is None or scale is None else entry.value / scale


def _ends(entry: Measurement, found: Requirement) -> list[float]:
    scale = _scale(entry, found)
    return [] if scale is None else [end / scale for end in (entry.low, entry.high) if end is not None]


def _margin(entry: Measurement, found: Requirement) -> float:
    """How far inside the bounds the value is, or the worse end of its interval where that must be."""
    return min(found.margin(number) for number in _judged(entry, found))


def _judged(entry: Measurement, found: Requirement) -> list[float]:
    """The value that must be inside the bounds, and the ends of its interval where these must be."""
    value = _value(entry, found)
    return [*(_ends(entry, found) if found.certain else []), *([] if value is None else [value])]


def _why_not(moment: Moment, found: Requirement, here: list[Measurement], fitting: list[Measurement]) -> str:
    if fitting:
        return fitting[-1].reason or "the other's value is zero"
    if not here:
        return f"no report of {moment}"
    others = [entry for entry in here if _fits(entry, replace(found, metric=entry.metric))]
    if found.better_than and others:
        return f"the reports of {moment} compare it with {found.better_than} in {others[0].metric} only"
    if found.better_than and any(_fits(entry, replace(found, slice="")) for entry in here):
        return f'the reports of {moment} do not compare it by {found.slice}: pass slices=["{found.slice}"]'
    if found.better_than:
        return f"no report of {moment} compares it with {found.better_than}: pass the model as against="
    if found.slice and any(entry.where == found.slice and not entry.against for entry in here):
        return f'the reports of {moment} measure others by {found.slice}: pass metrics=["{found.metric}"]'
    if found.slice:
        return f'the reports of {moment} do not measure it by {found.slice}: pass slices=["{found.slice}"]'
    names = dict.fromkeys(entry.metric for entry in here if not entry.against and not entry.where)
    near = get_close_matches(found.metric, names, n=1, cutoff=0.7)
    said = f"the reports of {moment} do not measure it"
    return f"{said}; they measure {near[0]!r}" if near else said
