"""The page that sections are set into: one file, no script, no request; readable on paper and on a phone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from tidemill.server.report.charts import Spec, to_svg

#: Text of more characters than this may wrap on a phone.
_SENTENCE = 30


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of the page; `body` is HTML that its maker has escaped."""

    title: str
    body: str
    anchor: str = ""
    summary: str = ""


def render(
    title: str,
    lead: str,
    badges: Iterable[tuple[str, str, str]],
    sections: Sequence[Section],
    *,
    styles: Iterable[str] = ("page.css",),
) -> str:
    """Render the whole page.

    Parameters
    ----------
    title, lead
        Heading, and the one sentence under it (plain text).
    badges
        (label, value, tone) with tone ``good``, ``bad``, ``warn`` or ``plain``.
    sections
        In the order of the page.
    styles
        Style sheets of this folder.
    """
    links = "".join(f'<a href="#{escape(s.anchor)}">{escape(s.title)}</a>' for s in sections if s.anchor)
    marks = "".join(
        f'<div class="badge {tone}"><span>{escape(label)}</span><strong>{escape(value)}</strong></div>'
        for label, value, tone in badges
    )
    parts = "".join(_section(section) for section in sections)
    style = "".join(map(_style, styles))
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><header><h1>{escape(title)}</h1><p class=lead>{escape(lead)}</p>"
        f'<div class="badges">{marks}</div><nav aria-label="Sections">{links}</nav></header><main>{parts}</main>'
        "</body></html>\n"
    )


def write_page(page: str, path: Path) -> Path:
    """Write a page to a file, whose folder is made: all of it, or what was there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _style(name: str) -> str:
    return files("tidemill.server.report").joinpath(name).read_text(encoding="utf-8")


def _section(section: Section) -> str:
    summary = f"<p class=summary>{escape(section.summary)}</p>" if section.summary else ""
    return f'<section id="{escape(section.anchor)}"><h2>{escape(section.title)}</h2>{summary}{section.body}</section>'


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, numeric: Iterable[str] = ()) -> str:
    """A table of escaped cells; the columns named in `numeric` are flushed right."""
    right = set(numeric)
    head = "".join(f"<th{_align(h in right)}>{escape(h)}</th>" for h in headers)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_align(h in right, c)}>{cell(c)}</td>" for h, c in zip(headers, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: object) -> str:
    """A value as escaped text: numbers to four digits, missing ones as a dash."""
    if value is None:
        return "–"
    if isinstance(value, Html):
        return value.text
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(str(value))


@dataclass(frozen=True, slots=True)
class Html:
    """Text that is HTML already."""

    text: str


def tag(text: str, tone: str) -> Html:
    """A small coloured word in a cell."""
    return Html(f'<span class="tag {tone}">{escape(text)}</span>')


def figure(spec: Spec, caption: str) -> str:
    """A chart with its caption; without the renderer, the caption says which extra draws it."""
    svg = to_svg(spec)
    if svg is None:
        return f'<p class="note">{escape(caption)}: to draw this chart, pip install "tidemill[report]".</p>'
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def row(*parts: str) -> str:
    """Parts beside each other, one under the other on a narrow page."""
    return f'<div class="row">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def _align(is_right: object, value: object = "") -> str:
    """Numbers are flushed right; a sentence gets room, so that it does not wrap word by word on a narrow page."""
    if is_right:
        return " class=n"
    return " class=t" if isinstance(value, str) and len(value) > _SENTENCE else ""
