"""Records as a notebook shows them: short, without a script, and in the notebook's own colours."""

from __future__ import annotations

from typing import Any

from tidemill.data.explore import Exploration
from tidemill.data.interest import most_interesting
from tidemill.data.results_shown import Listing
from tidemill.data.results_text import shown_of
from tidemill.server.report import column_parts, finding_parts, relation_parts
from tidemill.server.report.page import Html, table, tag
from tidemill.server.report.small_charts import said

_COLUMNS, _ROOM = 50, 120_000
_SENTENCE = 400
_TONES = {"fail": "bad", "quarantine": "warn", "warn": "plain"}
#: Every rule is for this box alone; its colours follow those of the page around it.
_BOX = "tidemill-box"
_RULES = {
    "": "font-size:13px;line-height:1.45;max-width:1080px;--tide:#0f9488;--amber:#d97706",
    " table": "font-size:inherit;border-collapse:collapse;width:100%",
    " th, td": "text-align:left!important;padding:3px 10px 3px 0;border-bottom:1px solid #8884;vertical-align:top",
    " td.n, th.n": "text-align:right!important;white-space:nowrap;font-variant-numeric:tabular-nums",
    " .scroll": "overflow-x:auto",
    " .w": "white-space:nowrap",
    " .note": "opacity:.7;font-size:12px",
    " .tag": "border-radius:4px;padding:0 6px;border:1px solid #8886;white-space:nowrap",
    " .tag.bad": "background:#b91c1c;color:#fff",
    " .tag.warn": "background:#d97706;color:#fff",
    " p": "margin:0 0 3px",
    " .finding": "margin:0 0 8px",
    " .do": "color:var(--tide)",
    " svg.c": "display:block;fill:var(--tide)",
    " svg .o": "fill:var(--amber)",
    " summary": "cursor:pointer;margin:6px 0;font-weight:600",
}


def exploration(found: Exploration) -> str:
    """Findings, the columns, and what goes together, as a box of HTML."""
    shown = set(most_interesting(found, _COLUMNS))
    columns = [column for column in found.columns if column.name in shown]
    listed, count = column_parts.overview(columns, found.semantic, {}, _ROOM)
    few = f"<p class=note>The {count} most interesting of {len(found.columns):,} columns.</p>"
    shape = f"{found.rows:,} rows × {len(found.columns):,} columns"
    parts = [f"<p><strong>{shape}</strong>, {said(finding_parts.tally(found.findings))}</p>"]
    if found.findings:
        parts.append(_folded("Findings", finding_parts.findings(found.findings, {}, prefix=""), is_open=True))
    if columns:
        parts.append(_folded("Columns", listed + (few if count < len(found.columns) else ""), is_open=True))
    if found.relations:
        parts.append(_folded("The target", relation_parts.relations(found.relations, {})))
    if found.associations:
        parts.append(_folded("Associations", relation_parts.associations(found.associations, {}, mapped=False)))
    if found.drift:
        parts.append(_folded("Other parts", relation_parts.drift(found.drift, {})))
    return boxed("".join(parts))


def result(record: Any) -> str:
    """What a verb made of a table: its counts, its tables, and where to look next, as a box of HTML."""
    shown = shown_of(record)
    parts = [f"<p><strong>{said(shown.headline, _SENTENCE)}</strong></p>", *map(_listing, shown.listings)]
    parts += [f"<p>{said(note, _SENTENCE)}</p>" for note in shown.notes]
    parts += [f"<p class=do>→ {said(text, _SENTENCE)}</p>" for text in shown.next]
    return boxed("".join(parts))


def _listing(listing: Listing) -> str:
    """A table without the columns that are empty."""
    kept = [place for place in range(len(listing.headers)) if any(row[place] for row in listing.rows)]
    headers = [listing.headers[place] for place in kept]
    cells = [[_cell(row[place], place, listing) for place in kept] for row in listing.rows]
    more = f"<p class=note>{said(listing.more)}</p>" if listing.more else ""
    return table(headers, cells, numeric=[listing.headers[place] for place in kept if place in listing.right]) + more


def _cell(text: str, place: int, listing: Listing) -> Html:
    if listing.headers[place] == "severity":
        return tag(text, _TONES[text])
    return Html(said(text))


def boxed(body: str) -> str:
    """HTML as a box whose rules are for itself alone."""
    return f'<div class="{_BOX}"><style>{_style()}</style>{body}</div>'


def _folded(title: str, body: str, *, is_open: bool = False) -> str:
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>{body}</details>"


def _style() -> str:
    rules = []
    for selectors, rule in _RULES.items():
        scoped = ",".join(f".{_BOX} {selector.strip()}".rstrip() for selector in selectors.split(","))
        rules.append(f"{scoped}{{{rule}}}")
    return "".join(rules)
