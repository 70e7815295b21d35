"""The pipelines that a project's modules define."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.engine.pipeline import Pipeline


def all_pipelines(modules: Sequence[ModuleType]) -> dict[str, Pipeline[Any, Any]]:
    """Every pipeline that the modules define, by name; one that another module only imports counts once."""
    found: dict[str, Pipeline[Any, Any]] = {}
    for module in modules:
        for value in vars(module).values():
            if not isinstance(value, Pipeline):
                continue
            known = found.setdefault(value.name, value)
            if known.function is not value.function:
                places = [f"{p.function.__module__}.{p.function.__qualname__}" for p in (known, value)]
                raise UsageError(
                    f"two pipelines are called {value.name!r}",
                    value=places,
                    hint='Rename one, or name it: @pipeline(name="…").',
                )
    return found
