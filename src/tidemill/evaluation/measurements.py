"""The numbers that a gate reads, taken from whatever measured them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.design.requirements import Moment
from tidemill.evaluation.records import Comparison, Evaluation
from tidemill.measures.intervals import Estimate
from tidemill.measures.registry import metric


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number that was measured at a moment, with its interval where there is one.

    Parameters
    ----------
    moment, metric, value, low, high, rows, reason
        What was measured, or why there is no value.
    against, kind, base
        Of a comparison: the other model, whether it is a baseline or a model, and its value; the number is then how
        much better the measured model is, so that more is better for every metric.
    where, at
        Of a part of the rows: by what they were cut, and which part it is.
    """

    moment: Moment
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    reason: str = ""
    against: str = ""
    kind: str = ""
    base: float | None = None
    where: str = ""
    at: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is of all rows, and compared with nothing."""
        return not self.against and not self.where


def measurements_of(reports: Any) -> tuple[Measurement, ...]:
    """All numbers in some reports.

    Parameters
    ----------
    reports
        A `Measurement`; anything with ``moment`` and ``metrics`` (an `Evaluation`, an `Examination`, a package, or a
        mapping with these keys), where metrics are by name estimates or numbers; or an iterable of these. Of an
        evaluation also its comparisons and slices.
    """
    if isinstance(reports, Measurement):
        return (reports,)
    moment, metrics = _of(reports, "moment"), _of(reports, "metrics")
    if moment is not None and isinstance(metrics, Mapping):
        plain = (_measurement(moment, name, value) for name, value in metrics.items())
        return (*plain, *_parts(_of(reports, "evaluation") or reports))
    if isinstance(reports, Iterable) and not isinstance(reports, str | Mapping):
        return tuple(found for report in reports for found in measurements_of(report))
    raise UsageError(
        "this holds no measurements", value=type(reports).__name__, hint="Give what evaluate, test or package returned."
    )


def _parts(found: Any) -> Iterator[Measurement]:
    """The comparisons and slices of an evaluation."""
    if not isinstance(found, Evaluation):
        return
    for entry in found.comparisons:
        yield _compared(found, entry)
    for part in found.slices:
        for name, value in part.metrics.items():
            measured = _measurement(found.moment, name, value)
            yield replace(measured, where=part.by, at=part.value)


def _compared(found: Evaluation, entry: Comparison) -> Measurement:
    difference, sign = entry.difference, 1.0 if metric(entry.metric, found.task).greater_is_better else -1.0
    known = [end for end in (difference.low, difference.high) if end is not None]
    low, high = sorted(sign * end for end in known) if len(known) == 2 else (None, None)
    return Measurement(
        found.moment,
        entry.metric,
        None if difference.value is None else sign * difference.value,
        low,
        high,
        difference.rows,
        difference.reason,
        against=entry.other,
        kind=entry.kind,
        base=entry.other_value,
        where=entry.by,
        at=entry.at,
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
