"""Finding the pipeline that a command names, among the project's modules."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tidemill.core.errors import ConfigError, NotFoundError, UsageError
from tidemill.design import canvas_of, requirements_of
from tidemill.engine import Pipeline
from tidemill.engine.finding import all_pipelines
from tidemill.project import Project, import_modules


def modules_of(project: Project) -> list[ModuleType]:
    """Import the project's modules; where one lacks a package that an extra brings, the error says which."""
    try:
        return import_modules(project)
    except ConfigError as error:
        extra = importlib.import_module("tidemill.cli.extras").extra_for(error.what)  # needed when things go wrong only
        if extra is None:
            raise
        raise ConfigError(error.what, value=error.value, hint=f'Run: pip install "tidemill[{extra}]"') from error


def find_pipeline(project: Project, name: str | None) -> Pipeline[Any, Any]:
    """The pipeline of this name, or the only one when no name is given."""
    canvas = canvas_of(project.canvas)  # what is promised wrongly is said before anything runs, not at the gate
    requirements = requirements_of(project.requirements)
    found = all_pipelines(modules_of(project))
    if requirements:
        # A project that promises nothing does not wait for the libraries that measure promises.
        names = importlib.import_module("tidemill.evaluation.metric_names")
        collected = importlib.import_module("tidemill.evaluation.user_tests").collected_tests(project.root)
        names.check_metric_names(
            requirements, canvas.prediction.kind, canvas.protected, [test.__name__ for test in collected]
        )
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if not found:
        hint = "Write one with @tm.pipeline in a module there that imports tidemill, or start a project: tidemill init"
        raise NotFoundError("there is no pipeline in this folder", value=str(project.root), hint=hint)
    known = ", ".join(sorted(found))
    if name is None:
        raise UsageError("this project has several pipelines: say which to take", hint=f"Pipelines here: {known}.")
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Pipelines here: {known}."
        raise NotFoundError("there is no pipeline of this name", value=name, hint=hint)
    return found[name]


def arguments_of(pipeline: Pipeline[Any, Any], pairs: Sequence[str], *, complete: bool = True) -> dict[str, Any]:
    """The arguments that ``--set`` gives, read by their annotations; `complete` asks for all that have no default."""
    arguments = pipeline.bind_text(parse_settings(pairs))
    needed = [name for name, item in pipeline.signature.parameters.items() if item.default is item.empty]
    missing = [name for name in needed if name not in arguments]
    if complete and missing:
        problem = f"pipeline {pipeline.name!r} needs a value that is not given"
        raise UsageError(problem, value=missing[0], hint=f"Give it: --set {missing[0]}=…")
    return arguments


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """``name=value`` pairs of ``--set`` as a mapping.

    >>> parse_settings(["trials=5", "until=2014-01-01"])
    {'trials': '5', 'until': '2014-01-01'}
    """
    out: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError("--set takes name=value", value=pair, hint="For example: --set trials=5")
        out[name.strip()] = value
    return out
