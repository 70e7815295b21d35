"""Charts of a tuning study: its history, its slices, its parallel coordinates, its front, and how trials went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidemill.server.report.charts import AMBER, MUTED, TIDE, Spec, drawn, points
from tidemill.training import Study, Trial

#: So many trials are drawn; of more, the best ones.
_MOST = 400
_FAINT, _DEEP = "#99d5cf", "#0b4f4a"


def complete(study: Study) -> list[Trial]:
    """The trials that have a value, best first."""
    found = [trial for trial in study.trials if trial.value is not None]
    return sorted(found, key=lambda trial: float(trial.value or 0.0), reverse=study.greater_is_better)


def history(study: Study) -> Spec:
    """Each trial's value in order, and the best so far."""
    rows: list[dict[str, Any]] = []
    best: float | None = None
    for trial in study.trials:
        if trial.value is None:
            continue
        better = best is None or (trial.value > best) == study.greater_is_better
        best = trial.value if better else best
        rows.append({"trial": trial.number, "value": trial.value, "best": best})
    return points(rows, x="trial", y="value", x_title="trial", y_title=study.metric)


def slices(study: Study) -> list[tuple[str, Spec]]:
    """For each parameter that varies, the value of each trial over it; later trials are darker."""
    found = []
    for name in varied(study):
        rows = [
            {"x": _told(trial.params[name]), "value": trial.value, "trial": trial.number}
            for trial in complete(study)[:_MOST]
            if name in trial.params
        ]
        is_number = all(isinstance(row["x"], int | float) for row in rows)
        where: Spec = {"field": "x", "title": name, "type": "quantitative" if is_number else "nominal"}
        if is_number:
            known = study.space.get(name)
            is_log = "by logarithm" in known if known else _is_wide([row["x"] for row in rows])
            where["scale"] = {"zero": False, "type": "log" if is_log else "linear"}
        encoding: Spec = {
            "x": where,
            "y": {"field": "value", "type": "quantitative", "title": study.metric, "scale": {"zero": False}},
            "color": {
                "field": "trial",
                "type": "quantitative",
                "legend": None,
                "scale": {"range": [_FAINT, _DEEP]},
            },
        }
        mark = {"type": "point", "filled": True, "size": 36, "opacity": 0.9}
        found.append((name, drawn(rows, {"mark": mark, "encoding": encoding}, width=210, height=150)))
    return found


def parallel(study: Study) -> Spec | None:
    """A line for each trial through its parameters to its value; the best is amber. None for fewer than two axes."""
    trials = complete(study)[:_MOST]
    axes = [*[name for name in varied(study) if all(name in trial.params for trial in trials)], study.metric]
    if len(axes) < 3 or len(trials) < 2:
        return None
    rows: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    for axis in axes:
        values = [trial.value if axis == study.metric else _told(trial.params[axis]) for trial in trials]
        places, low, high = _places(values)
        ends += [{"axis": axis, "place": 0.0, "said": low}, {"axis": axis, "place": 1.0, "said": high}]
        for rank, (trial, place) in enumerate(zip(trials, places, strict=True)):
            line = {"axis": axis, "place": place, "trial": trial.number, "value": trial.value, "is_best": rank == 0}
            rows.append(line)
    x = {"field": "axis", "type": "nominal", "sort": None, "title": None, "axis": {"labelAngle": 0, "domain": False}}
    y: Spec = {"field": "place", "type": "quantitative", "axis": None, "scale": {"domain": [-0.08, 1.08]}}
    shade = {"field": "value", "type": "quantitative", "title": study.metric, "scale": {"range": [_FAINT, _DEEP]}}
    line = {"x": x, "y": y, "detail": {"field": "trial"}}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "!datum.is_best"}],
            "mark": {"type": "line", "strokeWidth": 1.2, "opacity": 0.6},
            "encoding": {**line, "color": shade},
        },
        {
            "transform": [{"filter": "datum.is_best"}],
            "mark": {"type": "line", "strokeWidth": 3, "color": AMBER},
            "encoding": line,
        },
        {
            "data": {"values": ends},
            "mark": {"type": "text", "fontSize": 10, "color": MUTED, "dy": {"expr": "datum.place > 0 ? -9 : 9"}},
            "encoding": {"x": x, "y": y, "text": {"field": "said"}},
        },
    ]
    return drawn(rows, {"layer": layers}, width=min(820, 150 * len(axes)), height=240)


def front(study: Study) -> Spec:
    """The first two metrics of every trial; those that no other beats are amber."""
    one, other = list(study.metrics)[:2]
    rows = [
        {"a": trial.values[one], "b": trial.values[other], "on": trial.number in study.front}
        for trial in complete(study)
    ]
    encoding = {
        "x": {"field": "a", "type": "quantitative", "title": one, "scale": {"zero": False}},
        "y": {"field": "b", "type": "quantitative", "title": other, "scale": {"zero": False}},
        "color": {"condition": {"test": "datum.on", "value": AMBER}, "value": TIDE},
        "opacity": {"condition": {"test": "datum.on", "value": 1}, "value": 0.45},
    }
    return drawn(rows, {"mark": {"type": "point", "filled": True}, "encoding": encoding}, width=420, height=240)


def reported(study: Study) -> Spec:
    """What the trials reported on their way; pruned ones are amber."""
    rows = [
        {"step": step, "value": value, "trial": trial.number, "pruned": trial.state == "pruned"}
        for trial in study.trials[:_MOST]
        for step, value in trial.reported
    ]
    encoding = {
        "x": {"field": "step", "type": "quantitative", "title": "step", "axis": {"tickMinStep": 1}},
        "y": {"field": "value", "type": "quantitative", "title": "reported", "scale": {"zero": False}},
        "detail": {"field": "trial"},
        "color": {"condition": {"test": "datum.pruned", "value": AMBER}, "value": TIDE},
    }
    mark = {"type": "line", "strokeWidth": 1.2, "opacity": 0.7, "point": {"size": 12, "filled": True}}
    return drawn(rows, {"mark": mark, "encoding": encoding}, width=420, height=200)


def varied(study: Study) -> list[str]:
    """The parameters that were not the same in every trial, the most important first."""
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.params))
    several = [
        name for name in names if len({repr(trial.params[name]) for trial in study.trials if name in trial.params}) > 1
    ]
    return sorted(several, key=lambda name: -study.importance.get(name, 0.0))


def _is_wide(values: Sequence[float]) -> bool:
    """Whether values are better seen by logarithm, where the space does not say."""
    return min(values) > 0 and max(values) / min(values) >= 100


def _told(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _places(values: Sequence[Any]) -> tuple[list[float], str, str]:
    """Where values stand on an axis from 0 to 1, and what its ends are."""
    if all(isinstance(value, int | float) for value in values):
        low, high = min(values), max(values)
        spread = (high - low) or 1.0
        return [(value - low) / spread for value in values], f"{low:.4g}", f"{high:.4g}"
    options = sorted({str(value) for value in values})
    step = 1.0 / max(1, len(options) - 1)
    return [options.index(str(value)) * step for value in values], options[0], options[-1]
