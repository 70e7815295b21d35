"""What a person needs of an evaluation and of an examination: the metrics, the comparisons, and what failed."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.data.findings.finding import number_of
from tidemill.data.results_shown import Listing, Shown
from tidemill.evaluation.examination import Examination
from tidemill.evaluation.records import Comparison, Evaluation, in_order
from tidemill.measures.intervals import Estimate

_PARTS = 12


def evaluation(found: Evaluation) -> Shown:
    """The metrics with their intervals, the comparisons, the slices, and the parts where the model is worse."""
    return Shown(_headline(found), _listings(found), _weak(found), [_WHERE])


def examination(found: Examination) -> Shown:
    """The evaluation, and each behaviour that is not as expected."""
    failed = [one for one in found.behaviours if not one.passed]
    rows = [(one.name, one.kind, one.severity, one.expected, one.detail) for one in failed]
    told = f"{len(found.behaviours) - len(failed)} of {number_of(len(found.behaviours), 'behaviour')} as expected"
    measured = found.evaluation
    headers = ("behaviour", "kind", "severity", "expected", "what was found")
    listings = [*_listings(measured), *([Listing(headers, rows, drop=(1, 2))] if rows else [])]
    where = ".behaviours are all that was checked, .evaluation is what was measured"
    return Shown(f"{_headline(measured)}; {told}", listings, _weak(measured), [where])


_WHERE = ".metrics, .comparisons, .slices, .importance and the others are the numbers, also of the charts"


def _headline(found: Evaluation) -> str:
    about = f"{found.task} model of {found.target}" if found.target else f"{found.task} model"
    left = f", {found.unlabelled:,} without a label left out" if found.unlabelled else ""
    return f"{found.model} at {found.moment}: {about} on {number_of(found.rows, 'row')}{left}"


def _listings(found: Evaluation) -> list[Listing]:
    metrics = [(name, _value(one), _interval(one)) for name, one in in_order(found)]
    level = next((one.level for one in found.metrics.values()), 0.95)
    listings = [Listing(("metric", "value", f"{level:.0%} interval"), metrics, frozenset({1}))]
    if compared := [one for one in found.comparisons if not one.by]:
        headers = ("against", "metric", "the model", "the other", "difference", "")
        listings.append(Listing(headers, [_compared(one) for one in compared], frozenset({2, 3})))
    if found.slices:
        rows = [(f"{one.by} = {one.value}", f"{one.rows:,}", _first(one.metrics)) for one in found.slices]
        name = next(iter(found.slices[0].metrics), "")
        more = f"and {number_of(len(rows) - _PARTS, 'slice')} more" if len(rows) > _PARTS else ""
        listings.append(Listing(("slice", "rows", name), rows[:_PARTS], frozenset({1}), more))
    return listings


def _compared(one: Comparison) -> tuple[str, ...]:
    return one.other, one.metric, _number(one.value), _number(one.other_value), _spread(one.difference), one.verdict


def _weak(found: Evaluation) -> list[str]:
    return [
        f"worse where {' and '.join(f'{name} = {value}' for name, value in part.where.items())} "
        f"({number_of(part.rows, 'row')}): {part.kind}, {part.metric} {_number(part.inside.value)}, "
        f"elsewhere {_number(part.outside.value)}"
        for part in found.weak
    ]


def _first(metrics: Mapping[str, Estimate]) -> str:
    return next((_spread(one) for one in metrics.values()), "")


def _spread(one: Estimate) -> str:
    return f"{_value(one)} {_interval(one)}".strip()


def _value(one: Estimate) -> str:
    return _number(one.value) if one.value is not None else "-"


def _interval(one: Estimate) -> str:
    return one.reason if one.low is None or one.high is None else f"[{one.low:.4g}, {one.high:.4g}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
