"""Warm starts: what earlier studies found best, and points that somebody knows to be good, are tried first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.engine.context import current
from tidemill.project import current_project, open_project_store
from tidemill.training.defaults import tuning_from_project
from tidemill.training.space import Conditional, Range, Space, contains
from tidemill.training.tuning.reading import read_study
from tidemill.training.tuning.records import Study

#: So many of the best trials of an earlier study are tried again.
_BEST = 5

Start = Study | Mapping[str, Any] | str


def with_studies(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `tune` with names of studies replaced by these, and what the project says filled in.

    This happens before the key of a step is made, so that a study that has changed since runs the step again.
    """
    given = arguments.get("start")
    several = [given] if isinstance(given, str | Mapping | Study) else list(given or ())
    if any(isinstance(one, str) for one in several):
        if current() is not None:
            raise UsageError(
                "a study cannot be found by its name inside a step: the result would depend on more than its key",
                value=next(one for one in several if isinstance(one, str)),
                hint="Call tm.tune in the body of the pipeline, or give the study itself.",
            )
        project = current_project()
        store = open_project_store(project)
        several = [read_study(store, project.name, one) if isinstance(one, str) else one for one in several]
    return tuning_from_project({**arguments, "start": several})


def first_points(start: Sequence[Start], space: Space, metric: str) -> tuple[list[dict[str, Any]], list[str]]:
    """What to try first, each point once, and what a reader should know about it.

    Parameters
    ----------
    start
        Earlier studies, of which the best trials are tried, and parameters.
    space
        Where the new study looks; what lies outside is left to the sampler.
    metric
        What the new study looks for.
    """
    points: list[dict[str, Any]] = []
    notes: list[str] = []
    for one in start:
        if isinstance(one, Study):
            found = _best(one)
            said = f"{len(found)} of the best trials of study {one.name!r} were tried first"
            notes.append(said if one.metric == metric else f"{said}; it looked for {one.metric}")
        elif isinstance(one, Mapping):
            found = [dict(one)]
        else:
            raise UsageError("a study starts from studies and parameters", value=one, hint="Give start=[study, {…}].")
        notes += _differences(found, space)
        points += [point for point in found if point not in points]
    return points, list(dict.fromkeys(notes))


def _best(study: Study) -> list[dict[str, Any]]:
    complete = [trial for trial in study.trials if trial.state == "complete"]
    front = [trial for trial in complete if trial.number in study.front]
    sign = -1.0 if study.greater_is_better else 1.0
    ranked = front or sorted(complete, key=lambda trial: sign * float(trial.value or 0.0))
    distinct: list[dict[str, Any]] = []
    for trial in ranked:
        if dict(trial.params) not in distinct:
            distinct.append(dict(trial.params))
    return distinct[:_BEST]


def _differences(points: Sequence[Mapping[str, Any]], space: Space) -> list[str]:
    """In what the earlier points do not fit the space; of conditional parts nothing can be said."""
    if not points or any(isinstance(where, Conditional) for where in space.values()):
        return []
    had = list(dict.fromkeys(name for point in points for name in point))
    gone = [name for name in had if name not in space]
    new = [name for name in space if name not in had and isinstance(space[name], Range)]
    notes = [f"{name!r} is not in the space any more" for name in gone]
    notes += [f"{name!r} is new in the space: the sampler chose it" for name in new]
    for name, where in space.items():
        outside = [point[name] for point in points if name in point and isinstance(where, Range)]
        outside = [value for value in outside if not contains(where, value)]
        if outside:
            notes.append(f"{name!r} was {outside[0]!r} before, and is {where} now: the sampler chose it")
    return notes
