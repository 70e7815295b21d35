"""How a study shows itself in a notebook: drawn by a room above this one, which is named here and not imported."""

from __future__ import annotations

import importlib
from typing import Any

_HTML = "tidemill.server.report.studies:notebook"


def as_html(study: Any) -> str:
    """The study as a notebook shows it."""
    module, _, name = _HTML.partition(":")
    text: str = getattr(importlib.import_module(module), name)(study)
    return text
