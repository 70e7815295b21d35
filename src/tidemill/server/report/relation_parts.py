"""What columns have to do with each other: associations, the target, missing values, keys, time, and other parts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from tidemill.data.exploration_text import SURE
from tidemill.data.explore import Exploration
from tidemill.data.findings.parts import PartDrift
from tidemill.data.interest import strongest
from tidemill.data.relations.associations import Association, Relation
from tidemill.data.relations.coverage import TimeCoverage
from tidemill.data.relations.missing import MissingPattern
from tidemill.server.report.column_parts import value
from tidemill.server.report.finding_parts import linked
from tidemill.server.report.page import Html, table, tag
from tidemill.server.report.small_charts import Bar, bars, heat_map, histogram, said, timeline

_MAPPED, _LISTED, _RELATED, _LEVELS = 24, 15, 25, 12
_KEYS, _SPANS, _DRIFTS = 20, 12, 60

_MEASURES = {
    "cramers_v": "Cramér's V", "auc": "AUC", "ks": "Kolmogorov-Smirnov", "jensen_shannon": "Jensen-Shannon",
}  # fmt: skip
_CLOCK = re.compile(r"T(\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?(?:[+-]\d{2}:\d{2})?")

Anchors = Mapping[str, str]


def associations(found: Sequence[Association], anchors: Anchors, *, mapped: bool = True) -> str:
    """The strongest associations, as a map of the columns that have most of them and as a list."""
    pairs = strongest(found)
    rows = [
        (
            Html(linked(item.left, anchors)),
            Html(linked(item.right, anchors)),
            _measure(item.measure),
            item.value,
            item.rows,
        )
        for item in pairs[:_LISTED]
    ]
    headers = ("column", "with", "measure", "value", "rows")
    listed = table(headers, rows, numeric=("value", "rows"))
    if not mapped or len(pairs) < 2:
        return listed
    return f'<div class="scroll">{_map(pairs)}</div>{listed}'


def _map(pairs: Sequence[Association]) -> str:
    names: dict[str, None] = {}
    for item in pairs:  # the strongest first, until there are enough columns
        wanted = [name for name in (item.left, item.right) if name not in names]
        if len(names) + len(wanted) <= _MAPPED:
            names.update(dict.fromkeys(wanted))
    place = {name: index for index, name in enumerate(names)}
    cells = {}
    for item in pairs:
        if item.left in place and item.right in place:
            low, high = sorted((place[item.left], place[item.right]))
            cells[high, low] = (item.value, _measure(item.measure))
    return heat_map(list(names), cells)


def _measure(name: str) -> str:
    return _MEASURES.get(name, name.replace("_", " ").capitalize())


def relations(found: Sequence[Relation], anchors: Anchors) -> str:
    """What each column alone tells about the target, with the mean of the target where the column's values are."""
    rows = [
        (Html(linked(item.column, anchors)), _measure(item.measure), item.value, *map(Html, _levels(item)))
        for item in found[:_RELATED]
    ]
    left = len(found) - len(rows)
    headers = ("column", "measure", "value", "mean target", "from … to", "over")
    more = f'<p class="note">… and {left:,} columns that tell less.</p>' if left else ""
    return table(headers, rows, numeric=("value",)) + more


def _levels(relation: Relation) -> tuple[str, str, str]:
    """The mean target over the column's values as a chart, its least and greatest, and the first and last values."""
    shown = [level for level in relation.levels[:_LEVELS] if math.isfinite(level.mean)]
    if not shown:
        return "", "", ""
    means = [level.mean for level in shown]
    base = min(means) if min(means) < 0 or min(means) > max(means) / 2 else 0.0
    words = "; ".join(f"{level.label}: {level.mean:.3g}" for level in shown)
    label = f"mean target by {relation.column}: {words}"
    chart = histogram(
        range(len(shown) + 1), [mean - base for mean in means], label=label, width=120, height=24, fixed=True
    )
    first, last = (_CLOCK.sub(r" \1", level.label) for level in (shown[0], shown[-1]))
    ends = f"{said(first, 36)} → {said(last, 36)}"
    return chart, f"{min(means):.3g} … {max(means):.3g}", ends


def missing(found: Sequence[MissingPattern], exploration: Exploration, anchors: Anchors) -> str:
    """How much is missing in which columns, and what is missing together."""
    gappy = sorted((column for column in exploration.columns if column.nulls), key=lambda column: -column.nulls)
    shares = bars(
        Bar(column.name, column.nulls / column.rows, f"{column.nulls / column.rows:.1%}")
        for column in gappy[:_LISTED]
    )  # fmt: skip
    left = f'<p class="note">… and {len(gappy) - _LISTED:,} more columns.</p>' if len(gappy) > _LISTED else ""
    rows = []
    for pattern in found:
        names = ", ".join(linked(name, anchors, 30) for name in pattern.columns[:8])
        more = f" and {len(pattern.columns) - 8:,} more" if len(pattern.columns) > 8 else ""
        rows.append((pattern.rows, f"{pattern.share:.2%}", Html(f"{names}{more}")))
    together = table(("rows", "share", "exactly these are missing"), rows, numeric=("rows", "share")) if rows else ""
    return f"{shares}{left}<h3>Missing together</h3>{together}" if together else shares + left


def keys(found: Sequence[tuple[str, ...]]) -> str:
    """Columns, or sets of columns, that tell every row apart."""
    return "".join(f"<p>{' + '.join(said(name, 40) for name in key)}</p>" for key in found[:_KEYS])


def coverage(found: Sequence[TimeCoverage], anchors: Anchors) -> str:
    """Each time column as a band with its gaps."""
    parts = []
    for span in found[:_SPANS]:
        empty = f"{span.empty:,} of {span.periods:,} {said(span.unit)}s have no row" if span.empty else "no holes"
        lines = "".join(
            f"<li>{gap.periods:,} {said(span.unit)}s from {said(value(gap.after))} to {said(value(gap.before))}</li>"
            for gap in span.gaps[:5]
        )
        band = timeline(_holes(span), label=f"{span.column} from {span.first} to {span.last}: {empty}")
        gaps = f'<ul class="note">{lines}</ul>' if lines else ""
        parts.append(
            f"<h3>{linked(span.column, anchors)}</h3>{band}<p class=ends><span>{said(value(span.first))}</span>"
            f"<span>{empty}</span><span>{said(value(span.last))}</span></p>{gaps}"
        )
    return "".join(parts)


def _holes(span: TimeCoverage) -> list[tuple[float, float]]:
    """The gaps as shares of the span."""
    try:
        first, last = _seconds(span.first), _seconds(span.last)
        return [
            ((_seconds(gap.after) - first) / (last - first), (_seconds(gap.before) - first) / (last - first))
            for gap in span.gaps
        ]
    except (ValueError, OverflowError, OSError, ZeroDivisionError):  # a year that Python does not have
        return []


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def drift(found: Sequence[PartDrift], anchors: Anchors) -> str:
    """How far the distributions in other parts are from those in the table."""
    rows = [
        (
            item.part, Html(linked(item.column, anchors)),
            tag("differs", "warn") if item.p_value < SURE else tag("as expected", "good"),
            _measure(item.measure), item.value,
            f"{item.missing:+.1%}" if round(item.missing, 3) else "",
        )
        for item in found[:_DRIFTS]
    ]  # fmt: skip
    left = len(found) - len(rows)
    more = f'<p class="note">… and {left:,} columns that differ less.</p>' if left else ""
    return (
        table(("part", "column", "", "distance", "value", "more missing"), rows, numeric=("value", "more missing"))
        + more
    )
