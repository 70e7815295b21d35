"""What each input adds to the answers, as bars with intervals and as one dot for each of some rows."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.evaluation.records import Contribution, Contributions
from tidemill.server.report import charts
from tidemill.server.report.page import figure

_SHOWN = 15
#: Dots of an input that are so near to each other (as a share of the axis) are drawn one above the other.
_NEAR = 1 / 60
_LOW, _HIGH = "#2563eb", "#dc2626"


def contributions(found: Contributions) -> str:
    """The section's part about contributions."""
    by = "by shap" if found.method == "shap" else f"exactly, by {found.method}"
    scale = "the answer" if found.scale == "answer" else f"the {found.scale}"
    rows = [
        {"input": one.column, "value": one.size.value, "low": one.size.low, "high": one.size.high}
        for one in found.columns[:_SHOWN]
    ]
    rows = [{**one, "low": one["value"] if one["low"] is None else one["low"],
             "high": one["value"] if one["high"] is None else one["high"]} for one in rows]  # fmt: skip
    bars = figure(
        charts.intervals(rows, label="input", title=f"mean size of the contribution to {scale}", width=260),
        f"What each input adds to {scale}, {by}, on {found.rows:,} rows",
    )
    drawn = [one for one in found.columns if one.points]
    return bars + figure(_swarm(drawn, scale), _caption(drawn, found)) if drawn else bars


def _caption(drawn: Sequence[Contribution], found: Contributions) -> str:
    many = max(len(one.points) for one in drawn)
    start = "" if found.base is None else f" Answers start at {found.base:.4g}."
    return f"A dot for each of {many} rows: red where the value is high, blue where low, grey without order.{start}"


def _swarm(drawn: Sequence[Contribution], scale: str) -> charts.Spec:
    ends = [told for one in drawn for told, _ in one.points]
    width = (max(ends) - min(ends) or 1.0) * _NEAR
    shifts = [_shifts([told for told, _ in one.points], width) for one in drawn]
    rows = [
        {"input": one.column, "x": told, "shift": shift, "value": share or 0.0, "known": share is not None}
        for one, moved in zip(drawn, shifts, strict=True)
        for (told, share), shift in zip(one.points, moved, strict=True)
    ]
    across = {"field": "x", "type": "quantitative", "title": f"contribution to {scale}"}
    colour = {
        "condition": {
            "test": "datum.known", "field": "value", "type": "quantitative", "title": "value, from low to high",
            "scale": {"domain": [0, 1], "range": [_LOW, _HIGH]}, "legend": {"values": [0, 1], "gradientLength": 120},
        },
        "value": charts.MUTED,
    }  # fmt: skip
    most = max(abs(shift) for moved in shifts for shift in moved) or 1
    layers: list[charts.Spec] = [
        {
            "data": {"values": [{"zero": 0}]},
            "mark": {"type": "rule", "color": charts.MUTED, "strokeDash": [4, 3]},
            "encoding": {"x": {"field": "zero", "type": "quantitative"}},
        },
        {
            "mark": {"type": "circle", "size": 12, "opacity": 0.75},
            "encoding": {
                "x": across,
                "y": {"field": "input", "type": "nominal", "sort": None, "title": None},
                "yOffset": {"field": "shift", "type": "quantitative", "scale": {"domain": [-most - 1, most + 1]}},
                "color": colour,
            },
        },
    ]
    return charts.drawn(rows, {"layer": layers}, width=260, height={"step": 28})


def _shifts(values: Sequence[float], width: float) -> list[int]:
    """How far above or below its line each dot is, so that dots of like values do not hide each other."""
    counts: dict[int, int] = {}
    found = []
    for value in values:
        place = round(value / width)
        count = counts.get(place, 0)
        counts[place] = count + 1
        found.append((count + 1) // 2 * (-1 if count % 2 else 1))
    return found
