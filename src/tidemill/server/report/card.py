"""A model card as one HTML file, with the charts of its reports."""

from __future__ import annotations

from html import escape
from pathlib import Path

from tidemill.registry.card_parts import CardSection, CardTable
from tidemill.registry.cards import ModelCard
from tidemill.server.report.model_sections import evaluation, examination
from tidemill.server.report.page import Section, render, table, write_page


def write_card(card: ModelCard, path: Path) -> Path:
    """Write a card as one HTML file, whose folder is made."""
    return write_page(card_page(card), path)


def card_page(card: ModelCard) -> str:
    """The page as text: the card, then the reports drawn."""
    sections = [_section(section) for section in card.sections]
    if card.evaluation is not None:
        sections.append(evaluation(card.evaluation))
    if card.examination is not None:
        sections.append(examination(card.examination))
    numbered = [Section(one.title, one.body, f"s{place}", one.summary) for place, one in enumerate(sections, start=1)]
    return render(card.title, card.lead, _badges(card), numbered)


def _section(section: CardSection) -> Section:
    first, *more = section.text or ("",)
    body = "".join(_paragraph(text) for text in more) + "".join(_table(one) for one in section.tables)
    return Section(section.title, body, summary=first)


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(found: CardTable) -> str:
    caption = f"<h3>{escape(found.caption)}</h3>" if found.caption else ""
    rows = [[cell if cell != "" else None for cell in row] for row in found.rows]
    return caption + table(found.headers, rows, numeric=found.numeric)


def _badges(card: ModelCard) -> list[tuple[str, str, str]]:
    """The leading number of the test and whether anything is known to be wrong: (label, value, tone)."""
    shown: list[tuple[str, str, str]] = []
    if card.examination is not None:
        name, estimate = next(iter(card.examination.evaluation.metrics.items()))
        shown.append((f"test {name}", "–" if estimate.value is None else f"{estimate.value:.4f}", "plain"))
    limits = next((one for one in card.sections if one.title == "Limitations"), None)
    count = sum(len(one.rows) for one in limits.tables) if limits is not None else 0
    shown.append(("limitations", f"{count}" if count else "none found", "warn" if count else "good"))
    return shown
