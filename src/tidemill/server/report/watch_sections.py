"""Sections about the world after training: drift, and whatever else a step recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from tidemill.monitoring import ColumnDrift, DriftReport
from tidemill.server.report import charts
from tidemill.server.report.page import Section, figure, row, table, tag

_CHARTS_SHOWN = 4
_BINS_SHOWN = 14


def drift(report: DriftReport) -> Section:
    """Which columns changed, by how much, and the distributions of those that changed most."""
    labels = [replace(label, column=f"label {label.column}") for label in report.labels]
    every = [*report.columns, *([report.prediction] if report.prediction is not None else []), *labels]
    rows = [
        (
            tag("drifted", "warn") if column.drifted else tag("stable", "good"),
            column.column,
            column.psi,
            column.jensen_shannon,
            "; ".join(column.reasons),
        )
        for column in every
    ]
    changed = [column for column in every if column.drifted and column.reference_counts][:_CHARTS_SHOWN]
    body = table(["", "column", "PSI", "JS", "what changed"], rows, numeric=["PSI", "JS"])
    summary = (
        f"{len(report.drifted)} of {len(report.columns) + len(report.absent)} columns drifted: "
        f"{report.rows_reference:,} reference rows against {report.rows_current:,} current ones."
    )
    return Section("Drift", row(*(_distribution(column) for column in changed)) + body, summary=summary)


def _distribution(column: ColumnDrift) -> str:
    labels = _labels(column)
    rows: list[dict[str, Any]] = []
    for name, counts in (("reference", column.reference_counts), ("current", column.current_counts)):
        total = sum(counts) or 1
        rows += [
            {"bin": label, "share": count / total, "group": name}
            for label, count in list(zip(labels, counts, strict=False))[:_BINS_SHOWN]
        ]
    spec = charts.histograms(rows, bin_label="bin", share="share", group="group", title=column.column)
    return figure(spec, f"{column.column}: reference and current")


def _labels(column: ColumnDrift) -> Sequence[str]:
    if column.kind == "category":
        return [*column.categories, "other"]
    edges = [f"{edge:.4g}" for edge in column.edges]
    return [f"≤ {edges[0]}", *edges[1:], f"> {edges[-1]}"] if edges else ["all"]


def anything(value: Any, name: str) -> Section:
    """A record that no other section knows: its fields as they are."""
    kind = type(value)
    rows = []
    for field in fields(value):
        item = getattr(value, field.name)
        rows.append((field.name.replace("_", " "), item if isinstance(item, int | float | str | None) else _json(item)))
    summary = (kind.__doc__ or "").strip().partition("\n")[0]
    if summary.startswith(f"{kind.__name__}("):  # what a dataclass says of itself when nobody wrote anything
        summary = ""
    return Section(name, table(["", ""], rows), summary=summary)


def _json(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}…"
