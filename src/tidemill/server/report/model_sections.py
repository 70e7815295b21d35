"""Sections about the model: what was tried, how good it is, on which rows, and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.records import ModelVersion
from tidemill.evaluation import Comparison, Evaluation, Examination, Slice
from tidemill.measures.intervals import Estimate
from tidemill.server.report import charts
from tidemill.server.report.page import Section, figure, row, table, tag
from tidemill.training import Study

_SLICES_SHOWN = 24


def study(found: Study) -> Section:
    """Every trial, and the best so far."""
    points: list[dict[str, Any]] = []
    best: float | None = None
    for trial in found.trials:
        if trial.value is None:
            continue
        better = best is None or (trial.value > best) == found.greater_is_better
        best = trial.value if better else best
        points.append({"trial": trial.number + 1, "value": trial.value, "best": best})
    chart = figure(
        charts.points(points, x="trial", y="value", x_title="trial", y_title=found.metric),
        "Each trial, and the best so far",
    )
    params = table(
        ["parameter", "best value"], [(name, value) for name, value in found.best.items()], numeric=["best value"]
    )
    summary = f"{len(found.trials)} trials for {found.metric} on validation rows; the best reached {found.value:.4f}."
    return Section("Tuning", row(chart, params), summary=summary)


def evaluation(found: Evaluation, title: str = "Evaluation on validation rows") -> Section:
    """Metrics with intervals, baselines, curves, costs, slices and importance."""
    leading, first = next(iter(found.metrics.items()))
    parts = [row(_metrics(found.metrics), _comparisons(found.comparisons))]
    if found.roc.x:
        parts.append(row(_roc(found), _calibration(found)))
    if found.importance:
        parts.append(_importance(found))
    parts += [_slices(by, [s for s in found.slices if s.by == by], leading, first) for by in _bys(found.slices)]
    if found.costs is not None:
        parts.append(_costs(found))
    base = "" if found.base_rate is None else f", base rate {found.base_rate:.1%}"
    summary = f"{found.rows:,} rows{base}. {leading} {_interval(first)}."
    return Section(title, "".join(parts), summary=summary)


def examination(found: Examination) -> Section:
    """The independent test: the evaluation on untouched rows, and the behaviour checks."""
    section = evaluation(found.evaluation, "Independent test")
    rows = [
        (tag("passed", "good") if b.passed else tag("failed", "bad"), b.name, b.expected, b.measured, b.bound, b.detail)
        for b in found.behaviours
    ]
    checks = table(["", "check", "expected", "measured", "bound", ""], rows, numeric=["measured", "bound"])
    return Section(section.title, f"{section.body}<h3>Behaviour</h3>{checks}", summary=section.summary)


def version(found: ModelVersion) -> Section:
    """The registered version and every promise of its gate."""
    promises: Sequence[Mapping[str, Any]] = found.gate.get("promises", ())
    rows = [
        (
            tag(p["status"], {"passed": "good", "failed": "bad"}.get(p["status"], "warn")),
            p["statement"] or p["name"],
            p["moment"],
            p["bound"],
            p["value"],
            "" if p["low"] is None else f"{p['low']:.4g} – {p['high']:.4g}",
            p["margin"],
        )
        for p in promises
    ]
    headers = ["", "promise", "at", "bound", "measured", "interval", "margin"]
    body = table(headers, rows, numeric=["measured", "interval", "margin"])
    registered = f"{found.model} version {found.version} is registered"
    if not rows:
        return Section("Gate and registry", "", summary=f"{registered}; no promise was checked at its gate.")
    word = "passed" if found.gate.get("passed") else "did not pass"
    return Section(
        "Gate and registry", body, summary=f"{registered}; it {word} the gate ({len(rows)} promises checked)."
    )


def _interval(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"is not defined: {estimate.reason}"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4f}"
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"


def _metrics(metrics: Mapping[str, Estimate]) -> str:
    rows = [(name, estimate.value, estimate.low, estimate.high) for name, estimate in metrics.items()]
    return table(["metric", "value", "low", "high"], rows, numeric=["value", "low", "high"])


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    words = {True: tag("better", "good"), False: tag("worse", "bad"), None: tag("no difference", "plain")}
    rows = [(c.other, c.metric, c.other_value, c.difference.value, words[c.better]) for c in comparisons]
    headers = ["against", "metric", "its value", "difference", ""]
    return table(headers, rows, numeric=["its value", "difference"]) if rows else ""


def _roc(found: Evaluation) -> str:
    points = [{"x": x, "y": y} for x, y in zip(found.roc.x, found.roc.y, strict=True)]
    spec = charts.lines(
        points, x="x", y="y", x_title="false positive rate", y_title="true positive rate", diagonal=True
    )
    return figure(spec, "ROC: how many positives are caught, at the price of how many false alarms")


def _calibration(found: Evaluation) -> str:
    points = [{"x": item.predicted, "y": item.observed} for item in found.calibration]
    spec = charts.lines(points, x="x", y="y", x_title="predicted probability", y_title="what happened", diagonal=True)
    return figure(spec, "Calibration: is a predicted 30 % a 30 %?")


def _importance(found: Evaluation) -> str:
    rows = [
        {"column": item.column, "value": item.drop, "low": item.low, "high": item.high}
        for item in found.importance[:15]
    ]
    return figure(
        charts.bars(rows, label="column", value="value", title="loss when the column is shuffled"),
        "What the model relies on",
    )


def _bys(slices: Sequence[Slice]) -> list[str]:
    return list(dict.fromkeys(item.by for item in slices))


def _slices(by: str, slices: Sequence[Slice], leading: str, overall: Estimate) -> str:
    shown = sorted(slices, key=lambda item: item.order)[:_SLICES_SHOWN]
    rows = []
    for item in shown:
        estimate = item.metrics.get(leading)
        if estimate is None or estimate.value is None:
            continue
        value = estimate.value
        label = f"{item.value} ({item.rows:,})"
        rows.append({"slice": label, "value": value, "low": estimate.low or value, "high": estimate.high or value})
    chart = charts.intervals(rows, label="slice", title=leading, reference=overall.value)
    return figure(chart, f"{leading} by {by}, with rows; the line is the whole")


def _costs(found: Evaluation) -> str:
    costs = found.costs
    assert costs is not None
    rows = [
        (f"at the model's threshold of {costs.threshold:.3f}", costs.per_1000.value),
        (f"at the cheapest threshold on these rows, {costs.cheapest_threshold:.3f}", costs.cheapest_per_1000),
        ("never act", costs.never_per_1000),
        ("always act", costs.always_per_1000),
    ]
    return table(["decision", "cost per 1,000 rows"], rows, numeric=["cost per 1,000 rows"])
