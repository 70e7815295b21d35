"""Figures as a table: one row for each thing measured, one column for each tool, and how many times ours it is."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measuring import Figure


def show(name: str, about: str, figures: Sequence[Figure]) -> str:
    """A table in plain text."""
    whos = list(dict.fromkeys(one.who for one in figures))
    whats = list(dict.fromkeys((one.what, one.unit) for one in figures))
    by_place = {(one.who, one.what): one for one in figures}
    header = ["", "unit", *whos, "target"]
    rows = [header]
    for what, unit in whats:
        ours = by_place.get((whos[0], what))
        cells = [_cell(by_place.get((who, what)), ours if who != whos[0] else None) for who in whos]
        target = "" if ours is None or ours.target is None else f"≤ {ours.target:g} {_verdict(ours)}"
        rows.append([what, unit, *cells, target])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    runs = figures[0].runs if figures else 0
    return "\n".join(
        [f"\n{name}: {about} (medians of {runs} runs; × = times {whos[0] if whos else ''})", "", *lines, ""]
    )


def _cell(one: Figure | None, ours: Figure | None) -> str:
    if one is None:
        return "-"
    shown = f"{one.value:.3g}" if one.value < 1000 else f"{one.value:,.0f}"
    return f"{shown} ({one.value / ours.value:.0f}×)" if ours is not None and ours.value > 0 else shown


def _verdict(ours: Figure) -> str:
    return "met" if ours.target is not None and ours.value <= ours.target else "MISSED"
