"""Charts small enough to stand in a row of a table: a few hundred bytes of SVG or HTML each, without any renderer.

They take their colours from the page, so that they are right in a light and in a dark one, and they shrink with it.
What they show in a picture they also say in a text for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from tidemill.data.text_table import cut, on_one_line

#: Longer texts from the data are cut.
LONGEST = 60
_CELL, _LABELS, _FOOT = 18, 150, 110


class Bar(NamedTuple):
    """One of several bars below each other: its label, its length from 0 to 1, and what it says at its end."""

    label: str
    length: float
    text: str


def said(text: object, longest: int = LONGEST) -> str:
    r"""A text from the data as it may stand in a page: on one line, not too long, escaped.

    >>> said("<b>\x00 and " + "x" * 9, 12)
    '&lt;b&gt;· and xx…'
    """
    line = str(text)[: 4 * longest]
    return escape(cut(on_one_line(line), longest))


def histogram(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    label: str,
    width: int = 260,
    height: int = 60,
    fixed: bool = False,
) -> str:
    """Bars over the stretches between `edges`; their areas are as the counts, so that stretches may differ.

    A `fixed` one keeps its width, the others fill their place.

    >>> histogram([0, 1, 2], [1, 2], label="x").count("<path")
    1
    """
    span = edges[-1] - edges[0] if edges else 0.0
    if not counts or not max(counts) > 0:
        return ""
    if not 0 < span < float("inf"):
        return _svg(f'<path d="M{width / 2 - 4:g} {height}v-{height}h8v{height}z"/>', width, height, label, fixed=fixed)
    widths = [(right - left) / span for left, right in pairwise(edges)]
    heights = [count / max(wide, 1e-6) for count, wide in zip(counts, widths, strict=False)]
    top = max(heights)
    parts = []
    for left, wide, high in zip(edges, widths, heights, strict=False):
        if high > 0:
            x, w = (left - edges[0]) / span * width, wide * width
            h = max(1.0, high / top * height)
            parts.append(f"M{_short(x)} {height}v-{_short(h)}h{_short(max(0.6, w - 0.8))}v{_short(h)}z")
    return _svg(f'<path d="{"".join(parts)}"/>', width, height, label, fixed=fixed)


def spark(edges: Sequence[float], counts: Sequence[float], *, label: str) -> str:
    """A histogram for a cell of a table."""
    return histogram(edges, counts, label=label, width=90, height=20, fixed=True)


def box(quantiles: Mapping[str, Any], low: float, high: float) -> str:
    """Where the middle half and nine tenths of the values lie between `low` and `high`."""
    places = [quantiles.get(key) for key in ("0.05", "0.25", "0.5", "0.75", "0.95")]
    span = high - low
    if not 0 < span < float("inf") or not all(isinstance(place, int | float) for place in places):
        return ""
    at = [_short(min(1.0, max(0.0, (float(place or 0) - low) / span)) * 260) for place in places]
    body = (
        f'<path class="a" d="M0 7h260"/><path class="t" d="M{at[0]} 7H{at[4]}"/>'
        f'<path d="M{at[1]} 2H{at[3]}v10H{at[1]}z"/><path class="o" d="M{at[2]} 0v14"/>'
    )
    return _svg(body, 260, 14, "the middle half of the values as a box, nine tenths as a line, the median as a mark")


def bars(rows: Iterable[Bar]) -> str:
    """Bars below each other with their labels, as HTML."""
    lines = "".join(
        f'<div><span>{said(row.label, 28)}</span><i><b style="width:{_short(100 * row.length)}%"></b></i>'
        f"<em>{said(row.text)}</em></div>"
        for row in rows
    )
    return f'<div class="bars">{lines}</div>' if lines else ""


def heat_map(names: Sequence[str], values: Mapping[tuple[int, int], tuple[float, str]]) -> str:
    """A triangle of cells, one for each two names.

    Parameters
    ----------
    names
        Of the rows and columns.
    values
        By (row, column) with row > column: a value from -1 to 1, and what it is.
    """
    cells = []
    for (row, column), (value, what) in sorted(values.items()):
        tone = ' class="o"' if value < 0 else ""
        text = f"{said(names[row], 40)} and {said(names[column], 40)}: {value:.2f} ({escape(what)})"
        place = f'x="{_LABELS + column * _CELL}" y="{(row - 1) * _CELL}" fill-opacity="{abs(value):.2f}"'
        cells.append(f'<rect{tone} {place} width="17" height="17"><title>{text}</title></rect>')
    rows = "".join(
        f'<text x="{_LABELS - 6}" y="{(row - 1) * _CELL + 13}" text-anchor="end">{said(names[row], 18)}</text>'
        for row in range(1, len(names))
    )
    foot = (len(names) - 1) * _CELL
    columns = "".join(
        f'<text transform="translate({_LABELS + place * _CELL + 12} {foot + 10})rotate(-55)" text-anchor="end">'
        f"{said(name, 18)}</text>"
        for place, name in enumerate(names[:-1])
    )
    wide, high = _LABELS + foot + 4, foot + _FOOT
    return _svg("".join([*cells, rows, columns]), wide, high, "how strongly each two columns go together", fixed=True)


def timeline(gaps: Sequence[tuple[float, float]], *, label: str) -> str:
    """A span of time as a band, with its gaps (from and to, each from 0 to 1) left out."""
    holes = "".join(
        f'<path class="o" d="M{_short(start * 600)} 3h{_short(max(1.5, (end - start) * 600))}v12h-'
        f'{_short(max(1.5, (end - start) * 600))}z"/>'
        for start, end in gaps
    )
    return _svg(f'<path d="M0 3h600v12H0z"/>{holes}', 600, 18, label)


def _svg(body: str, width: int, height: int, label: str, *, fixed: bool = False) -> str:
    size = f'width="{width}" ' if fixed else ""
    return (
        f'<svg class="c" {size}viewBox="0 0 {width} {height}" role="img" aria-label="{said(label, 120)}">{body}</svg>'
    )


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
