"""The page of an exploration: one file that needs no script and asks for nothing, under 1 MB however wide the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tidemill.data.explore import Exploration
from tidemill.data.interest import most_interesting
from tidemill.data.semantic_types import counted
from tidemill.data.text_table import on_one_line
from tidemill.server.report import column_parts, finding_parts, relation_parts
from tidemill.server.report.page import Section, render, write_page
from tidemill.server.report.small_charts import said

#: So many columns have a card; the list and the cards may take so many bytes of the page.
_CARDS, _LIST_ROOM, _CARD_ROOM = 60, 360_000, 280_000
_REPEATED = ("duplicate_rows", "near_duplicates")


def write_exploration(found: Exploration, path: Path, *, title: str = "Exploration", lead: str = "") -> Path:
    """Write an exploration as one HTML file.

    Parameters
    ----------
    found
        What `tidemill.data.explore.explore` returned.
    path
        The file; its folder is made.
    title, lead
        What was explored, and the sentence under it.
    """
    return write_page(exploration_page(found, title=title, lead=lead), path)


def exploration_page(found: Exploration, *, title: str = "Exploration", lead: str = "") -> str:
    """The page as text."""
    carded = most_interesting(found, _CARDS)
    anchors = {name: f"c{place}" for place, name in enumerate(carded, start=1)}
    chosen = [column for column in found.columns if column.name in anchors]
    details, shown = column_parts.cards(chosen, found, anchors, _CARD_ROOM)
    anchors = {column.name: anchors[column.name] for column in chosen[:shown]}
    sections = [
        Section(section.title, section.body, f"s{place}", section.summary)
        for place, section in enumerate(_sections(found, anchors, details), start=1)
    ]
    heading = lead or "What the table holds, what is wrong with it, and what goes together."
    return render(on_one_line(title[:200]), heading, badges(found), sections, styles=("page.css", "explore.css"))


def badges(found: Exploration) -> list[tuple[str, str, str]]:
    """The table in a few numbers: (label, value, tone)."""
    cells = found.rows * len(found.columns)
    absent = sum(column.nulls for column in found.columns)
    shown = [("rows", f"{found.rows:,}", "plain"), ("columns", f"{len(found.columns):,}", "plain")]
    if cells:
        share = "none" if not absent else "<0.1%" if absent < 0.001 * cells else f"{absent / cells:.1%}"
        shown.append(("missing cells", share, "plain"))
    for severity, tone in (("error", "bad"), ("warning", "warn"), ("note", "plain")):
        count = sum(finding.severity == severity for finding in found.findings)
        if count:
            shown.append((f"{severity}s" if count > 1 else severity, f"{count:,}", tone))
    if not found.findings:
        shown.append(("findings", "none", "good"))
    return shown


def _sections(found: Exploration, anchors: dict[str, str], details: str) -> Iterator[Section]:
    if found.findings:
        text = (
            "An error is wrong in any reading; a warning will hurt a model unless somebody decides; a note is good to "
            "know."
        )
        yield Section("Findings", finding_parts.findings(found.findings, anchors), summary=text)
    if found.columns:
        listed, count = column_parts.overview(found.columns, found.semantic, anchors, _LIST_ROOM)
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in counted(found.semantic).items())
        part = f" The first {count:,} of {len(found.columns):,} columns." if count < len(found.columns) else ""
        yield Section("Columns", listed, summary=f"{kinds}.{part}" if kinds else part)
        few = len(anchors) < len(found.columns)
        which = f"The {len(anchors):,} most interesting of {len(found.columns):,} columns." if few else ""
        yield Section("Column by column", details, summary=which)
    yield from _together(found, anchors)
    yield from _basis(found)


def _together(found: Exploration, anchors: dict[str, str]) -> Iterator[Section]:
    if any(column.nulls for column in found.columns):
        body = relation_parts.missing(found.missing, found, anchors)
        yield Section("Missing values", body, summary=_note(found, "rows"))
    if found.relations:
        text = "What each column alone tells about the target; a column that tells too much may be known too late."
        yield Section("The target", relation_parts.relations(found.relations, anchors), summary=text)
    if found.associations:
        text = "From -1 (orange) to 1; the fuller the colour, the stronger. Weaker ones than 0.1 are not shown."
        yield Section("Associations", relation_parts.associations(found.associations, anchors), summary=text)
    repeated = [finding for finding in found.findings if finding.kind in _REPEATED]
    if found.keys or repeated:
        parts = [relation_parts.keys(found.keys) or "<p>No column, and no two or three, tell all rows apart.</p>"]
        parts += [f"<p>{said(finding.explanation, 300)}</p>" for finding in repeated]
        yield Section("Keys and duplicates", "".join(parts), summary="Each of these tells every row apart.")
    if found.coverage:
        yield Section(
            "Time", relation_parts.coverage(found.coverage, anchors), summary="What is covered, and where not."
        )
    if found.drift:
        text = "How far other parts are from the table, column by column; 0 is the same distribution."
        yield Section("Other parts", relation_parts.drift(found.drift, anchors), summary=text)


def _basis(found: Exploration) -> Iterator[Section]:
    if found.basis:
        lines = "".join(f"<li>{said(name)}: {said(text, 200)}</li>" for name, text in list(found.basis.items())[:40])
        yield Section("What this is from", f"<ul>{lines}</ul>")


def _note(found: Exploration, part: str) -> str:
    return f"From {found.basis[part]}." if part in found.basis else ""
