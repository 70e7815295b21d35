"""What the verbs take from the project where the caller says nothing."""

from __future__ import annotations

from typing import Any

from tidemill.design.canvas import Canvas, canvas_of
from tidemill.engine.context import current
from tidemill.project import current_project

_FILLED = ("name", "target", "costs", "task", "fairness")


def from_project(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fill in ``name`` from the project, the rest of `_FILLED` from its canvas, where the verb has them as None.

    This happens before the key of a step is made, so that a changed canvas runs the step again. Inside a step nothing
    is filled in: what that step's key does not know must not change its result. Costs are of binary decisions, and
    empty ones (``{}``) mean none; a `threshold` that is given stands in their place. The ``target`` is that of the
    project's own model: one that is called otherwise may predict something else.
    """
    names = tuple(name for name in _FILLED if name != "costs" or arguments.get("threshold") is None)
    return _filled(arguments, names)


def task_from_project(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fill in only the ``task``, as `from_project` does."""
    return _filled(arguments, ("task",))


def tuning_from_project(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fill in the ``task``, and the canvas's ``costs`` where several metrics are tuned for: they choose among them."""
    weighed = not isinstance(arguments.get("metric"), str | None)
    return _filled(arguments, ("task", "costs") if weighed else ("task",))


def _filled(arguments: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    wanted = [name for name in names if name in arguments and arguments[name] is None]
    if not wanted or current() is not None:
        return arguments
    project = current_project()
    if project.file is None:
        return arguments
    filled = dict(arguments)
    canvas = canvas_of(project.canvas)
    if "name" in wanted:
        filled["name"] = project.name
    if "target" in wanted and canvas.prediction.target and filled.get("name") == project.name:
        filled["target"] = canvas.prediction.target
    if "costs" in wanted and canvas.costs is not None and _is_binary(arguments, canvas):
        filled["costs"] = canvas.costs.to_dict()
    if "fairness" in wanted:
        filled["fairness"] = list(canvas.protected)
    if "task" in wanted:
        filled["task"] = canvas.prediction.kind
    return filled


def _is_binary(arguments: dict[str, Any], canvas: Canvas) -> bool:
    """Whether the canvas asks for a yes or no, and the caller for nothing else."""
    return canvas.prediction.kind == "binary" and arguments.get("task") in {None, "binary"}
