"""What the current project declares about its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.project import current_project


def project_sources() -> tuple[Path, Mapping[str, Mapping[str, Any]]]:
    """The project's folder and its ``[sources.*]`` tables."""
    project = current_project()
    return project.root, project.sources


def project_prediction() -> Mapping[str, Any]:
    """What the canvas says about the prediction (``at``, ``target``, ``entity``); empty if there is no canvas."""
    prediction = current_project().canvas.get("prediction", {})
    return prediction if isinstance(prediction, Mapping) else {}
