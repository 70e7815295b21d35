"""Sections about the model: what was tried, how good it is, on which rows, and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.records import ModelVersion
from tidemill.evaluation import Behaviour, Evaluation, Examination, Slice
from tidemill.measures.intervals import Estimate
from tidemill.server.report import charts, evaluation_parts
from tidemill.server.report.contribution_parts import contributions
from tidemill.server.report.page import Html, Section, figure, row, table, tag
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
    plain = {name: value for name, value in found.metrics.items() if not name.startswith("fairness.")}
    parts = [_metrics(plain), evaluation_parts.comparisons(found.comparisons)]
    if found.roc.x and found.metrics[leading].value is not None:
        parts += [
            row(_roc(found), _calibration(found)),
            row(evaluation_parts.gains(found), evaluation_parts.cost_curve(found)),
        ]
    if found.residuals:
        parts.append(evaluation_parts.residuals(found))
    if found.confusion_matrix:
        parts.append(evaluation_parts.classes(found))
    if found.importance:
        parts.append(_importance(found))
    if found.contributions is not None:
        parts.append(contributions(found.contributions))
    parts.append(evaluation_parts.dependence(found))
    parts.append(evaluation_parts.weak(found.weak))
    parts += map(evaluation_parts.groups, found.fairness)
    parts += [_slices(by, [s for s in found.slices if s.by == by], leading, first) for by in _bys(found.slices)]
    if found.costs is not None:
        parts.append(_costs(found))
    rate = found.base_rate
    base = (
        ""
        if rate is None
        else f", base rate {rate:.1%}"
        if found.confusion
        else f", {found.target} {rate:.4g} on average"
    )
    summary = f"{found.rows:,} rows{base}. {leading} {_interval(first)}."
    return Section(title, "".join(parts), summary=summary)


def examination(found: Examination) -> Section:
    """The independent test: the evaluation on untouched rows, and the behaviour checks."""
    section = evaluation(found.evaluation, "Independent test")
    rows = [(_mark(b), b.name, b.expected, b.measured, b.bound, b.failed or "", b.detail) for b in found.behaviours]
    headers = ["", "check", "expected", "measured", "bound", "rows", ""]
    checks = table(headers, rows, numeric=["measured", "bound", "rows"])
    examples = "".join(_examples(b) for b in found.behaviours if b.examples)
    speed = (
        table(["on the package", "measured"], list(found.speed.items()), numeric=["measured"]) if found.speed else ""
    )
    touched = next((b.detail for b in found.behaviours if b.kind == "independence" and not b.passed), "")
    summary = f"{section.summary} {touched[:1].upper()}{touched[1:]}." if touched else section.summary
    return Section(section.title, f"{section.body}<h3>Behaviour</h3>{checks}{examples}{speed}", summary=summary)


def _mark(behaviour: Behaviour) -> Html:
    if behaviour.passed:
        return tag("passed", "good")
    return tag("failed", "bad") if behaviour.severity == "error" else tag("warning", "warn")


def _examples(behaviour: Behaviour) -> str:
    names = list(dict.fromkeys(name for example in behaviour.examples for name in example))
    rows = [[example.get(name, "") for name in names] for example in behaviour.examples]
    return table([f"{behaviour.name}: {names[0]}", *names[1:]], rows)


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


def _roc(found: Evaluation) -> str:
    points = [{"x": x, "y": y} for x, y in zip(found.roc.x, found.roc.y, strict=True)]
    spec = charts.lines(
        points, x="x", y="y", x_title="false positive rate", y_title="true positive rate", diagonal=True
    )
    return figure(spec, "ROC: how many positives are caught, at the price of how many false alarms")


def _calibration(found: Evaluation) -> str:
    if not found.calibration:
        return "<p>The scores are no probabilities, so there is no calibration to show.</p>"
    points = [{"x": b.predicted, "y": b.observed, "low": b.low, "high": b.high} for b in found.calibration]
    spec = charts.ranges(points, x="x", y="y", x_title="predicted probability", y_title="what happened", diagonal=True)
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
