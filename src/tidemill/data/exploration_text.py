"""An exploration as one screen of text: what is wrong first, then the columns, then what goes together."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tidemill.data.bins import heights
from tidemill.data.explore import Exploration
from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.interest import grouped, most_interesting, strongest
from tidemill.data.profile import ColumnProfile
from tidemill.data.semantic_types import Semantic, counted
from tidemill.data.text_table import cut, fitted, on_one_line, wide, wrapped

#: Marks a word: (text, tone) with the tones ``error``, ``warning``, ``note``, ``title`` and ``muted``.
Style: TypeAlias = Callable[[str, str], str]

_WIDTH = 120
_NARROWEST = 60
_FINDINGS, _NAMED = 12, 4
_COLUMNS = 40
_RELATED = 8
_LABEL, _INDENT, _LONGEST_NAME, _SENTENCE = 10, 9, 32, 400
#: A difference between parts that chance makes less often than this is shown.
SURE = 1e-4
_BARS = " ▁▂▃▄▅▆▇█"
_SPARK = 10
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})")


def screen(found: Exploration, *, title: str = "", width: int | None = None, style: Style | None = None) -> str:
    """The screen.

    Parameters
    ----------
    found
        What `explore` returned.
    title
        What was explored; it heads the first line.
    width
        Of the terminal; by default that of this one, or 120.
    style
        How to mark words; by default not at all.
    """
    room = max(_NARROWEST, width or shutil.get_terminal_size((_WIDTH, 50)).columns)
    mark = style or _plainly
    parts = (
        _head(found, title, room, mark),
        _findings(found, room, mark),
        _columns(found, room, mark),
        _rest(found, room, mark),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _plainly(text: str, tone: str) -> str:  # noqa: ARG001 (no tones)
    return text


def _head(found: Exploration, title: str, width: int, mark: Style) -> Iterator[str]:
    shape = f"{found.rows:,} rows × {len(found.columns):,} columns"
    heading = cut(on_one_line(title), width - wide(shape) - 2)
    yield f"{mark(heading, 'title')}  {shape}" if title else mark(shape, "title")
    if found.semantic:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counted(found.semantic).items())
        yield from (mark(line, "muted") for line in wrapped(kinds, width))
    if "table" in found.basis:
        yield mark(f"explored: {found.basis['table']}", "muted")


def _findings(found: Exploration, width: int, mark: Style) -> Iterator[str]:
    if not found.findings:
        yield "No defects found."
        return
    tally = [(sum(item.severity == kind for item in found.findings), kind) for kind in ("error", "warning", "note")]
    counts = ", ".join(f"{count:,} {kind}{'s' if count > 1 else ''}" for count, kind in tally if count)
    yield mark(f"Findings: {counts}", "title")
    groups = grouped(found.findings)
    for group in groups[:_FINDINGS]:
        yield from _group(group, width, mark)
    left = sum(map(len, groups[_FINDINGS:]))
    if left:
        yield mark(f"… and {left:,} more findings of {len(groups) - _FINDINGS} other kinds.", "muted")


def _group(group: Sequence[Finding], width: int, mark: Style) -> Iterator[str]:
    first = group[0]
    columns = ", ".join(_name(finding.column) for finding in group[:_NAMED] if finding.column != "*")
    more = f" and {number_of(len(group) - _NAMED, 'more column')}" if len(group) > _NAMED else ""
    rows = f"  {first.count:,} row{'s' if first.count > 1 else ''}" if len(group) == 1 and first.count else ""
    head = cut(f"{first.kind.replace('_', ' ')}  {columns}{more}{rows}".rstrip(), width - _INDENT)
    yield f"{mark(first.severity.ljust(_INDENT - 2), first.severity)}  {head}"
    said = f"{'For one: ' if len(group) > 1 else ''}{on_one_line(first.explanation)}"
    for text, lead in ((said, ""), (on_one_line(first.suggestion), "→ ")):
        indent = " " * _INDENT
        yield from wrapped(cut(text, _SENTENCE), width, first=indent + lead, rest=indent)


def _columns(found: Exploration, width: int, mark: Style) -> Iterator[str]:
    if not found.columns:
        return
    shown = set(most_interesting(found, _COLUMNS))
    headers = ("column", "type", "missing", "distinct", "least", "median", "most", "distribution")
    rows = [_column(column, found.semantic.get(column.name)) for column in found.columns if column.name in shown]
    # What gives way on a narrow terminal, the first one first.
    lines = fitted(headers, rows, width, right={2, 3, 4, 5, 6}, drop=(4, 6, 3, 5, 2))
    yield mark(next(lines), "muted")
    yield from lines
    if len(found.columns) > len(shown):
        yield mark(f"… the {len(shown)} most interesting of {len(found.columns):,} columns.", "muted")


def _column(column: ColumnProfile, semantic: Semantic | None) -> tuple[str, ...]:
    missing = column.nulls / column.rows if column.rows else 0.0
    share = "" if not column.nulls else "<0.1%" if missing < 0.001 else f"{missing:.1%}"
    is_text = not column.quantiles
    least, most = ("", "") if is_text else (_value(column.minimum), _value(column.maximum))
    return (
        on_one_line(column.name), column.type if semantic is None else semantic.type, share, f"{column.distinct:,}",
        least, _value(column.quantiles.get("0.5")), most, distribution(column),
    )  # fmt: skip


def distribution(column: ColumnProfile) -> str:
    """A histogram in one line for numbers, the most frequent values with their shares for others.

    >>> from tidemill.data.profile import measure_column
    >>> import polars as pl
    >>> distribution(measure_column(pl.Series([n * n for n in range(100)])).profile)
    '█▃▃▂▂▂▂▂▁▂'
    >>> distribution(measure_column(pl.Series(["EWR", "EWR", "JFK"])).profile)
    'EWR 67%, JFK 33%'
    """
    if column.distinct == 1:
        return f"always {_value(column.minimum)}"
    dense = heights(column, _SPARK)
    if dense:
        return sparkline(dense)
    present = column.rows - column.nulls
    if not present or not column.top or column.quantiles:
        return ""
    if column.top[0][1] == 1:
        return f"such as {_value(column.top[0][0])}"
    return ", ".join(f"{_value(value)} {_share(count / present)}" for value, count in column.top[:3])


def _share(share: float) -> str:
    return "<1%" if share < 0.01 else f"{share:.0%}"


def sparkline(counts: Sequence[float]) -> str:
    """Counts as a row of bars; what is not zero can be seen.

    >>> sparkline([0, 1, 50, 100])
    ' ▁▄█'
    """
    top = max(counts, default=0)
    if not top:
        return ""
    last = len(_BARS) - 1
    return "".join(_BARS[max(1, round(count / top * last))] if count else _BARS[0] for count in counts)


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if 10_000 <= abs(value) < 1e12 else f"{value:.4g}"
    text = on_one_line(str(value))
    moment = _MOMENT.match(text)
    if moment is not None:
        text = moment[1] if moment[2] == "00:00" else f"{moment[1]} {moment[2]}"
    return cut(text, 19)


def _rest(found: Exploration, width: int, mark: Style) -> Iterator[str]:
    """What goes together, what tells about the target, what names rows, and which time is covered."""
    for label, items in _related(found):
        if items:
            text = items[0] if len(items) == 1 else ", ".join(items)
            lines = list(wrapped(text, width, first=" " * _LABEL, rest=" " * _LABEL))
            yield mark(label.ljust(_LABEL), "muted") + lines[0][_LABEL:]
            yield from lines[1:]


def _related(found: Exploration) -> Iterator[tuple[str, list[str]]]:
    pairs = strongest(found.associations)[:_RELATED]
    yield "together", [f"{_name(item.left)} ~ {_name(item.right)} {item.value:.2f}" for item in pairs]
    told = [f"{_name(item.column)} {item.value:.2f}" for item in found.relations[:_RELATED]]
    if told:
        told[-1] += f" ({found.relations[0].measure.replace('_', ' ')} of each column alone)"
    yield "target", told
    yield "keys", [" + ".join(map(_name, key)) for key in found.keys[:_RELATED]]
    for span in found.coverage[:_RELATED]:
        holes = f", {span.empty:,} of {span.periods:,} {span.unit}s without a row" if span.empty else ""
        yield "time", [f"{_name(span.column)} from {_value(span.first)} to {_value(span.last)}{holes}"]
    moved = [item for item in found.drift if item.p_value < SURE][:_RELATED]
    yield "drift", [f"{_name(item.column)} {item.value:.2f} in {_name(item.part)}" for item in moved]


def _name(text: str) -> str:
    return cut(on_one_line(text), _LONGEST_NAME)
