"""Parts of a section about an evaluation: weak slices, groups, comparisons, and curves made from what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from tidemill.evaluation.fairness import FOUR_FIFTHS, RATES
from tidemill.evaluation.records import Comparison, Evaluation, Fairness, WeakSlice
from tidemill.measures.intervals import Estimate
from tidemill.server.report import charts
from tidemill.server.report.page import Html, figure, row, table, tag

_WORDS = {
    "biased": "says {expected:.1%}, happens {observed:.1%}",
    "overconfident": "is wrong more than it says: squared error {observed:.3g} where it implies {expected:.3g}",
    "blind": "ranks worse than among other values: {observed:.3f} against {expected:.3f}",
    "inaccurate": "mean error {observed:.4g} against {expected:.4g} elsewhere",
}


def interval(estimate: Estimate) -> str:
    """A value with its interval, or why there is none."""
    if estimate.value is None:
        return estimate.reason or "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"


def weak(found: Sequence[WeakSlice]) -> str:
    """The slices on which the model was found to be clearly worse."""
    heading = "<h3>Where it is clearly worse</h3>"
    if not found:
        return f"{heading}<p>No slice of the inputs was found on which the model is clearly worse than it says.</p>"
    rows = [
        (
            entry.name,
            entry.rows,
            _WORDS[entry.kind].format(expected=entry.expected, observed=entry.observed),
            interval(entry.inside),
            interval(entry.outside),
            chance(entry.p_value),
        )
        for entry in found
    ]
    leading = found[0].metric
    headers = ["rows where", "rows", "what", f"{leading} there", f"{leading} elsewhere", "p (adjusted)"]
    return heading + table(headers, rows, numeric=["rows", "p (adjusted)"])


def chance(p_value: float | None) -> str:
    """A p-value as people write it."""
    if p_value is None:
        return "–"
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def comparisons(found: Sequence[Comparison]) -> str:
    """The comparisons on all rows, then those on slices: with another model all, with baselines where it is worse."""
    parts = []
    for heading, chosen in (
        ("", [entry for entry in found if not entry.by]),
        ("<h3>Against the other model, slice by slice</h3>", [e for e in found if e.by and e.kind == "model"]),
        (
            "<h3>Slices on which a baseline is better</h3>",
            [e for e in found if e.by and e.kind == "baseline" and e.better is False],
        ),
    ):
        if chosen:
            headers = ["against", *(["on"] if heading else []), "metric", "its value", "difference", "p", ""]
            rows = [
                (
                    entry.other,
                    *([f"{entry.by} {entry.at}"] if heading else []),
                    entry.metric,
                    entry.other_value,
                    interval(entry.difference),
                    chance(entry.p_value),
                    _verdict(entry),
                )
                for entry in chosen
            ]
            parts.append(heading + table(headers, rows, numeric=["its value", "p"]))
    return "".join(parts)


def _verdict(entry: Comparison) -> Html:
    looks = {"better": "good", "worse": "bad", "not tested": "warn"}
    return tag(entry.verdict, looks.get(entry.verdict, "plain"))


def groups(found: Fairness) -> str:
    """Rates of the groups of an attribute, and how far they are apart."""
    names = list(dict.fromkeys(name for group in found.groups for name in group.rates))
    rows = [
        (group.value, group.rows, group.base_rate, *(interval(group.rates[name]) for name in names))
        for group in found.groups
    ]
    shown = table([found.attribute, "rows", "base rate", *names], rows, numeric=["rows", "base rate"])
    gaps = [
        (
            name.replace("_", " "),
            interval(gap),
            " and ".join(found.ends.get(name.rpartition("_")[0], ())),
            _four_fifths(found) if name == "selection_rate_ratio" else "",
        )
        for name, gap in found.gaps.items()
    ]
    known = "which the model reads" if found.is_input else "which the model does not read"
    small = f" Too few rows to compare: {', '.join(found.small)}." if found.small else ""
    meanings = "; ".join(f"{name}: {said}" for rates in RATES.values() for name, said in rates.items() if name in names)
    lines = [
        {"x": part.predicted, "y": part.observed, "group": f"{group.value}"}
        for group in found.groups
        for part in group.calibration
    ]
    chart = ""
    if lines:
        spec = charts.lines(
            lines, x="x", y="y", x_title="predicted", y_title="what happened", colour="group", diagonal=True
        )
        chart = figure(spec, f"Calibration by {found.attribute}")
    apart = table(["between groups", "value", "lowest and highest", ""], gaps)
    lead = f"<p>{escape(f'Groups of {found.attribute}, {known}.{small} {meanings}.')}</p>"
    return f"<h3>Fairness: {escape(found.attribute)}</h3>{lead}{shown}{row(apart, chart) if chart else apart}"


def _four_fifths(found: Fairness) -> Html | str:
    if found.four_fifths is None:
        return ""
    words = f"four-fifths rule ({FOUR_FIFTHS})"
    return tag(f"{words}: met", "good") if found.four_fifths else tag(f"{words}: not met", "bad")


def gains(found: Evaluation) -> str:
    """How many positives are among the highest scores, from the ROC curve and the base rate."""
    base, (alarms, hits) = found.base_rate or 0.0, (np.asarray(found.roc.x), np.asarray(found.roc.y))
    points = [
        {"x": x, "y": y} for x, y in zip((base * hits + (1 - base) * alarms).tolist(), hits.tolist(), strict=True)
    ]
    spec = charts.lines(
        points, x="x", y="y", x_title="share of rows, highest scores first", y_title="share of positives", diagonal=True
    )
    return figure(spec, "Gain: how many of the positives are among the rows with the highest scores")


def cost_curve(found: Evaluation) -> str:
    """What decisions cost at every threshold, from the ROC curve and the base rate."""
    if found.costs is None or not found.roc.x or found.base_rate is None:
        return ""
    costs, base = found.costs.costs, found.base_rate
    fp, fn, tp, tn = (
        costs.get(name, 0.0) for name in ("false_positive", "false_negative", "true_positive", "true_negative")
    )
    points = [
        {
            "x": threshold,
            "y": 1000 * (base * (hit * tp + (1 - hit) * fn) + (1 - base) * (alarm * fp + (1 - alarm) * tn)),
        }
        for alarm, hit, threshold in zip(found.roc.x, found.roc.y, found.roc.threshold, strict=True)
        if threshold <= 1
    ]
    spec = charts.lines(points, x="x", y="y", x_title="threshold", y_title="cost per 1,000 rows")
    return figure(spec, f"What decisions cost at each threshold; the model's is {found.costs.threshold:.3g}")


def residuals(found: Evaluation) -> str:
    """How far the truth is from predicted numbers, by what was predicted."""
    rows = [{"x": part.predicted, "y": part.mean, "low": part.low, "high": part.high} for part in found.residuals]
    spec = charts.ranges(rows, x="x", y="y", x_title="predicted", y_title="truth minus prediction")
    return figure(spec, "Residuals: mean and middle 80 % of rows with similar predictions")


def classes(found: Evaluation) -> str:
    """How each class fares, and what it is taken for."""
    matrix = np.asarray(found.confusion_matrix, dtype=np.float64)
    rows = []
    for place, name in enumerate(found.classes):
        actual, called, hits = matrix[place].sum(), matrix[:, place].sum(), matrix[place, place]
        wrong = matrix[place].copy()
        wrong[place] = 0
        taken = f"{found.classes[int(wrong.argmax())]} ({int(wrong.max()):,})" if wrong.max() > 0 else "–"
        recall, precision = (float(hits / whole) if whole else None for whole in (actual, called))
        rows.append((name, int(actual), int(called), recall, precision, taken))
    numeric = ["rows", "called", "recall", "precision"]
    return "<h3>Class by class</h3>" + table(["class", *numeric, "most often taken for"], rows, numeric=numeric)


def dependence(found: Evaluation) -> str:
    """How the mean answer moves with the most important inputs."""
    parts = []
    for entry in found.dependence:
        caption = f"The mean answer by {entry.column}, all else as it is"
        pairs = zip(entry.values, entry.answers, strict=True)
        if entry.is_number:
            points = [{"x": float(value), "y": answer} for value, answer in pairs]
            spec = charts.lines(points, x="x", y="y", x_title=entry.column, y_title="mean answer")
        else:
            bars = [{"value": value, "answer": answer} for value, answer in pairs]
            spec = charts.bars(bars, label="value", value="answer", title="mean answer", width=300)
        parts.append(figure(spec, caption))
    return row(*parts) if parts else ""
