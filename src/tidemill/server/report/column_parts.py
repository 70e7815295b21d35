"""The columns of a table: all of them in a list, the most interesting ones each on a card."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tidemill.data.bins import bins_of
from tidemill.data.exploration_text import distribution
from tidemill.data.explore import Exploration
from tidemill.data.findings.finding import Finding
from tidemill.data.profile import ColumnProfile
from tidemill.data.semantic_types import Semantic
from tidemill.server.report.finding_parts import TONES, anchor_of, linked
from tidemill.server.report.page import Html, table
from tidemill.server.report.small_charts import Bar, bars, box, histogram, said, spark

_TOP = 6
#: Where the values of a time column lie is known at these places.
_PLACES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})")
_HEADERS = ("column", "stands for", "distribution", "missing", "distinct", "least", "median", "most")


def overview(
    columns: Iterable[ColumnProfile], semantic: Mapping[str, Semantic], anchors: Mapping[str, str], room: int
) -> tuple[str, int]:
    """A row for each column while there is room (in bytes); the table, and how many columns are in it."""
    rows: list[tuple[object, ...]] = []
    for column in columns:
        row = _row(column, semantic.get(column.name), anchors)
        room -= sum(len(cell.text.encode()) if isinstance(cell, Html) else len(str(cell)) for cell in row) + 120
        if room < 0:
            break
        rows.append(row)
    return table(_HEADERS, rows, numeric=["missing", "distinct", "least", "median", "most"]), len(rows)


def _row(column: ColumnProfile, semantic: Semantic | None, anchors: Mapping[str, str]) -> tuple[object, ...]:
    ordered = (column.minimum, column.quantiles.get("0.5"), column.maximum) if column.quantiles else (None,) * 3
    shown = column.type if semantic is None else semantic.type
    why = "" if semantic is None else f' title="{said(semantic.evidence, 120)}"'
    return (
        Html(linked(column.name, anchors)),
        Html(f'<span class="tag"{why}>{said(shown, 20)}</span>'),
        Html(_small(column)),
        missing(column),
        column.distinct,
        *map(value, ordered),
    )


def _small(column: ColumnProfile) -> str:
    edges, counts = bins_of(column)
    if edges and column.distinct > 1:
        return spark(edges, counts, label="histogram")
    return f'<span class="w">{said(distribution(column), 28)}</span>'


def missing(column: ColumnProfile) -> str:
    """The share of missing values; nothing where there are none.

    >>> missing(ColumnProfile("x", "int64", 1000, 25, 3))
    '2.5%'
    """
    if not column.nulls:
        return ""
    share = column.nulls / column.rows
    return "<0.1%" if share < 0.001 else f"{share:.1%}"


def value(of: Any) -> str:
    """A value as it may stand in a cell: numbers to four digits, times without what is zero."""
    if of is None:
        return ""
    if isinstance(of, bool):
        return "true" if of else "false"
    if isinstance(of, int):
        return str(of) if abs(of) < 10_000 else f"{of:,}" if abs(of) < 10**15 else f"{of:.4g}"
    if isinstance(of, float):
        return f"{of:,.0f}" if 10_000 <= abs(of) < 1e12 else f"{of:.4g}"
    moment = _MOMENT.match(str(of))
    return str(of) if moment is None else moment[1] if moment[2] == "00:00" else f"{moment[1]} {moment[2]}"


def cards(
    columns: Sequence[ColumnProfile], found: Exploration, anchors: Mapping[str, str], room: int
) -> tuple[str, int]:
    """A card for each of the columns while there is room (in bytes); the cards, and how many there are."""
    by_column: dict[str, list[Finding]] = {}
    for finding in found.findings:
        by_column.setdefault(finding.column, []).append(finding)
    parts: list[str] = []
    for column in columns:
        card = _card(column, found.semantic.get(column.name), by_column.get(column.name, []), anchors)
        room -= len(card.encode())
        if room < 0:
            break
        parts.append(card)
    return f'<div class="cards">{"".join(parts)}</div>', len(parts)


def _card(
    column: ColumnProfile, semantic: Semantic | None, findings: Sequence[Finding], anchors: Mapping[str, str]
) -> str:
    kind = column.type if semantic is None else semantic.type
    why = said(column.type, 40) if semantic is None else f"{said(column.type, 40)}; {said(semantic.evidence, 120)}"
    marks = "".join(
        f' <a class="tag {TONES[item.severity]}" href="#{anchor_of(item)}">{said(item.kind.replace("_", " "))}</a>'
        for item in findings[:4]
        if item.kind != kind
    )
    anchor, body = anchors[column.name], f"{_picture(column)}{_facts(column)}"
    head = f'{linked(column.name, {}, 60)} <span class="tag">{said(kind)}</span>{marks}'
    return f'<article class="card" id="{anchor}"><h3>{head}</h3><p class="note">{why}</p>{body}</article>'


def _picture(column: ColumnProfile) -> str:
    if column.distinct < 2:
        return ""
    edges, counts = bins_of(column)
    if edges:
        shown = column.histogram["edges"]
        ends = f'<p class="ends"><span>{value(shown[0])}</span><span>{value(shown[-1])}</span></p>'
        return histogram(edges, counts, label=f"histogram of {column.name}") + ends
    if column.quantiles:
        return _times(column)
    return _most_frequent(column)


def _most_frequent(column: ColumnProfile) -> str:
    present = column.rows - column.nulls
    if not column.top or column.top[0][1] < 2:
        return f'<p class="note">{said(distribution(column))}</p>' if column.top else ""
    most = column.top[0][1]
    rows = [Bar(value(of), count / most, _percent(count / present)) for of, count in column.top[:_TOP]]
    shown = sum(count for _, count in column.top[:_TOP])
    if shown < present:
        rows.append(Bar(f"({column.distinct - min(_TOP, len(column.top)):,} others)", 0, _percent(1 - shown / present)))
    return bars(rows)


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _times(column: ColumnProfile) -> str:
    """A histogram of times from what is known of them: how many lie between each two quantiles."""
    ends = [column.minimum, *column.quantiles.values(), column.maximum]
    try:
        moments = [datetime.fromisoformat(str(end)).timestamp() for end in ends]
    except (ValueError, OverflowError, OSError):  # a time of day, a duration, or a year that Python does not have
        return ""
    edges: list[float] = [moments[0]]
    counts: list[float] = []
    for (low, high), (left, right) in zip(pairwise(_PLACES), pairwise(moments), strict=True):
        if right > left:
            edges.append(right)
            counts.append(high - low)
        elif counts:
            counts[-1] += high - low
    foot = f'<p class="ends"><span>{said(value(column.minimum))}</span><span>{said(value(column.maximum))}</span></p>'
    return histogram(edges, counts, label=f"distribution of {column.name}") + foot if counts else ""


def _facts(column: ColumnProfile) -> str:
    facts = [("distinct", f"{column.distinct:,}"), ("missing", missing(column) or "none")]
    facts += [(label, value(of)) for label, of in (("mean", column.mean),) if of is not None and math.isfinite(of)]
    if column.quantiles and column.distinct > 1:
        named = {"5 %": "0.05", "25 %": "0.25", "median": "0.5", "75 %": "0.75", "95 %": "0.95"}
        ordered = [(label, column.quantiles.get(key)) for label, key in named.items()]
        ordered = [("least", column.minimum), *ordered, ("most", column.maximum)]
        facts += [(label, value(of)) for label, of in ordered]
    if column.std is not None and math.isfinite(column.std) and column.distinct > 1:
        facts.append(("deviation", value(column.std)))
    facts += [
        (label, f"{count:,}") for label, count in (("zeros", column.zeros), ("negative", column.negatives)) if count
    ]
    edges, _ = bins_of(column)
    strip = box(column.quantiles, edges[0], edges[-1]) if edges and column.distinct > 1 else ""
    cells = "".join(f"<div><dt>{label}</dt><dd>{said(text, 24)}</dd></div>" for label, text in facts)
    return f"{strip}<dl>{cells}</dl>"
