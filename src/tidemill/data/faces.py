"""How records show themselves: for each class the functions that draw it, loaded when one is drawn."""

from __future__ import annotations

import importlib
from typing import Any

#: class -> "module:function" of its text, and of its HTML for a notebook; rooms above this one are named, not imported.
_RESULTS = (
    "ValidationReport", "Validated", "CleaningReport", "Cleaned", "JoinReport", "Enriched", "FuzzyEnriched", "Splits",
    "Evaluation", "Examination", "DriftReport",
)  # fmt: skip
_TEXT = {
    "Exploration": "tidemill.data.exploration_text:screen",
    **dict.fromkeys(_RESULTS, "tidemill.data.results_text:screen"),
}
_HTML = {
    "Exploration": "tidemill.server.report.notebook:exploration",
    **dict.fromkeys(_RESULTS, "tidemill.server.report.notebook:result"),
}


def as_text(record: Any) -> str:
    """The record as people read it on a terminal."""
    return _drawn(record, _TEXT)


def as_html(record: Any) -> str:
    """The record as a notebook shows it."""
    return _drawn(record, _HTML)


def _drawn(record: Any, table: dict[str, str]) -> str:
    module, _, name = table[type(record).__name__].partition(":")
    text: str = getattr(importlib.import_module(module), name)(record)
    return text
