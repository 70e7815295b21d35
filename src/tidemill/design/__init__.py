"""The question that the project answers: raw tables of `tidemill.toml` come in, canvas and requirements go out.

Public names: `Canvas`, `canvas_of`, `completeness`, `Requirement`, `requirements_of`, `Moment`, `MOMENTS`.
"""

from __future__ import annotations

from tidemill.design.canvas import Block, Canvas, Costs, Prediction, canvas_of, completeness
from tidemill.design.requirements import MOMENTS, Moment, Requirement, requirements_of

__all__ = [
    "MOMENTS",
    "Block",
    "Canvas",
    "Costs",
    "Moment",
    "Prediction",
    "Requirement",
    "canvas_of",
    "completeness",
    "requirements_of",
]
