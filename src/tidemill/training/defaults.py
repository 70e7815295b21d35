"""What the project says about arguments that a call leaves out: the model's name, and what errors cost."""

from __future__ import annotations

from typing import Any

from tidemill.design.canvas import canvas_of
from tidemill.engine.context import current
from tidemill.project.current import current_project


def from_project(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fill in ``name`` from the project and ``costs`` from its canvas, where the verb has them and they are None.

    This happens before the key of a step is made, so that a changed canvas runs the step again. Inside a step nothing
    is filled in: what that step's key does not know must not change its result. Costs are of binary decisions, and
    empty ones (``{}``) mean none.
    """
    if current() is not None or all(arguments.get(key, "") is not None for key in ("name", "costs")):
        return arguments
    project = current_project()
    if project.file is None:
        return arguments
    filled = dict(arguments)
    if filled.get("name", "") is None:
        filled["name"] = project.name
    if filled.get("costs", "") is None:
        canvas = canvas_of(project.canvas)
        if canvas.costs is not None and canvas.prediction.kind == "binary":
            filled["costs"] = canvas.costs.to_dict()
    return filled
