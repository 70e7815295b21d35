"""Charts as Vega-Lite specifications, and as SVG where the renderer is installed.

Each function takes rows of plain values and returns a specification: a notebook, a page or a report draws the same one.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

INK, MUTED, GRID = "#1f2a37", "#6b7280", "#e5e7eb"
TIDE, AMBER, RED = "#0f766e", "#d97706", "#b91c1c"

_CONFIG: Spec = {
    "background": None,
    "padding": {"left": 14, "top": 6, "right": 10, "bottom": 6},
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelLimit": 240,
    },
    "legend": {"labelColor": MUTED, "titleColor": MUTED, "titleFontWeight": "normal", "orient": "top"},
    "range": {"category": [TIDE, AMBER, RED, "#4f46e5", "#0284c7", "#65a30d"]},
}


def intervals(rows: Rows, *, label: str, title: str, reference: float | None = None, width: int = 420) -> Spec:
    """A dot with its confidence interval for each row (`label`, ``value``, ``low``, ``high``), in the given order.

    A vertical line marks `reference`, such as a requirement's bound.
    """
    y = {"field": label, "type": "nominal", "sort": None, "title": None}
    domain = {"scale": {"zero": False}, "title": title}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "color": TIDE, "strokeWidth": 2},
            "encoding": {"y": y, "x": {"field": "low", "type": "quantitative", **domain}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "color": TIDE, "opacity": 1},
            "encoding": {"y": y, "x": {"field": "value", "type": "quantitative", **domain}},
        },
    ]
    if reference is not None:
        layers.append(
            {
                "mark": {"type": "rule", "color": RED, "strokeDash": [4, 3]},
                "encoding": {"x": {"datum": reference, "type": "quantitative"}},
            }
        )
    return _spec(rows, {"layer": layers}, width=width, height={"step": 20})


def lines(
    rows: Rows, *, x: str, y: str, x_title: str, y_title: str, colour: str | None = None, diagonal: bool = False
) -> Spec:
    """A line through the rows in order of `x`; one line per value of `colour`."""
    encoding: Spec = {
        "x": {"field": x, "type": "quantitative", "title": x_title},
        "y": {"field": y, "type": "quantitative", "title": y_title},
    }
    if colour is not None:
        encoding["color"] = {"field": colour, "type": "nominal", "title": None}
    layers: list[Spec] = [{"mark": {"type": "line", "strokeWidth": 2, "color": TIDE}, "encoding": encoding}]
    if diagonal:
        layers.append(
            {
                "data": {"values": [{"a": 0, "b": 0}, {"a": 1, "b": 1}]},
                "mark": {"type": "line", "color": MUTED, "strokeDash": [4, 3], "strokeWidth": 1},
                "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}},
            }
        )
    return _spec(rows, {"layer": layers}, width=300, height=260)


def ranges(rows: Rows, *, x: str, y: str, x_title: str, y_title: str, diagonal: bool = False) -> Spec:
    """A dot per row at (`x`, `y`) with a bar from its ``low`` to its ``high``, and a line through the dots.

    A grey line marks where both are equal, or else where `y` is zero.
    """
    across = {"field": x, "type": "quantitative", "title": x_title, "scale": {"zero": False}}
    up = {"type": "quantitative", "title": y_title}
    marks = [{"a": 0, "b": 0}, {"a": 1, "b": 1}] if diagonal else [{"a": row[x], "b": 0} for row in rows]
    layers: list[Spec] = [
        {
            "data": {"values": marks},
            "mark": {"type": "line", "color": MUTED, "strokeDash": [4, 3], "strokeWidth": 1},
            "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}},
        },
        {
            "mark": {"type": "rule", "color": TIDE, "strokeWidth": 2, "opacity": 0.5},
            "encoding": {"x": across, "y": {"field": "low", **up}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "line", "color": TIDE, "point": {"filled": True, "size": 40, "color": TIDE}},
            "encoding": {"x": across, "y": {"field": y, **up}},
        },
    ]
    return _spec(rows, {"layer": layers}, width=300, height=260)


def bars(rows: Rows, *, label: str, value: str, title: str, width: int = 420, highlight: str | None = None) -> Spec:
    """A horizontal bar per row, in the given order; rows whose field `highlight` is true stand out."""
    encoding: Spec = {
        "y": {"field": label, "type": "nominal", "sort": None, "title": None},
        "x": {"field": value, "type": "quantitative", "title": title},
    }
    if highlight is not None:
        encoding["color"] = {"condition": {"test": f"datum['{highlight}']", "value": AMBER}, "value": TIDE}
    return _spec(rows, {"mark": {"type": "bar", "color": TIDE}, "encoding": encoding}, width=width, height={"step": 20})


def histograms(rows: Rows, *, bin_label: str, share: str, group: str, title: str, width: int = 300) -> Spec:
    """Two or more distributions over the same bins, side by side: rows of (`bin_label`, `share`, `group`)."""
    return _spec(
        rows,
        {
            "mark": "bar",
            "encoding": {
                "x": {
                    "field": bin_label,
                    "type": "nominal",
                    "sort": None,
                    "title": title,
                    "axis": {"labelAngle": -40, "labelOverlap": "greedy"},
                },
                "xOffset": {"field": group, "sort": None},
                "y": {"field": share, "type": "quantitative", "title": None, "axis": {"format": "%"}},
                "color": {"field": group, "type": "nominal", "title": None, "sort": None},
            },
        },
        width=width,
        height=160,
    )


def points(rows: Rows, *, x: str, y: str, x_title: str, y_title: str) -> Spec:
    """A dot per row, and a line through the best so far when the rows have a field ``best``."""
    layers: list[Spec] = [
        {
            "mark": {"type": "point", "filled": True, "color": TIDE, "opacity": 0.7},
            "encoding": {
                "x": {"field": x, "type": "quantitative", "title": x_title},
                "y": {"field": y, "type": "quantitative", "title": y_title, "scale": {"zero": False}},
            },
        }
    ]
    if rows and "best" in rows[0]:
        layers.append(
            {
                "mark": {"type": "line", "interpolate": "step-after", "color": AMBER},
                "encoding": {"x": {"field": x, "type": "quantitative"}, "y": {"field": "best", "type": "quantitative"}},
            }
        )
    return _spec(rows, {"layer": layers}, width=420, height=200)


def drawn(rows: Rows, body: Spec, *, width: int, height: Any) -> Spec:
    """A chart of one's own (`body`: mark and encoding, or layers) over rows, in the style of the others."""
    return _spec(rows, body, width=width, height=height)


def to_svg(spec: Spec) -> str | None:
    """The chart as an SVG element, or None when the ``[report]`` extra is not installed."""
    try:
        renderer = importlib.import_module("vl_convert")
    except ModuleNotFoundError:
        return None
    svg: str = renderer.vegalite_to_svg(spec)
    return _fluid(svg)


def _fluid(svg: str) -> str:
    """Let the chart shrink with the page instead of overflowing a narrow one."""
    style = r'<svg \1style="max-width:\2px;width:100%;overflow:visible"'
    return re.sub(r'<svg ([^>]*?)width="([\d.]+)" height="([\d.]+)"', style, svg, count=1)


def _spec(rows: Rows, body: Spec, *, width: int, height: Any) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "config": _CONFIG,
        "data": {"values": [dict(row) for row in rows]},
        "width": width,
        "height": height,
        **body,
    }
