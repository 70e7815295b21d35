"""The recorded arguments of an execution, so that it can be done again: plain values, and ids of artifacts."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, GenericAlias
from typing import Any, get_args, get_origin

from tidemill.core.errors import MaterialiserError, NotFoundError, shorten
from tidemill.core.records import Artifact
from tidemill.engine import materialisers
from tidemill.engine.arguments import artifact_of
from tidemill.engine.hints import element_of
from tidemill.engine.references import module_path
from tidemill.engine.step import Step
from tidemill.engine.tasks import Parts, Stored
from tidemill.store.artifacts import ArtifactStore

#: The name of the input event that holds the recipe.
RECIPE = "(arguments)"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where the function of an execution is defined, and how its arguments are made."""

    module: str
    qualname: str
    path: str | None
    arguments: Mapping[str, Any]


def recipe_of(
    function: Callable[..., Any], arguments: Mapping[str, Any], artifacts: ArtifactStore
) -> tuple[str, Artifact]:
    """Store which function an execution called, and how its arguments are made: an input event."""
    module, qualname, path = _location(function)
    written = {name: _write(value) for name, value in arguments.items()}
    recipe = {"module": module, "qualname": qualname, "path": path, "arguments": written}
    try:
        draft = materialisers.save(recipe, None, artifacts)
    except MaterialiserError:  # something has a digest but no stored form: the rest is kept
        recipe["arguments"] = {name: _storable(entry, artifacts) for name, entry in written.items()}
        draft = materialisers.save(recipe, None, artifacts)
    return RECIPE, artifact_of(draft)


def read_recipe(artifact: Artifact, artifacts: ArtifactStore) -> Recipe:
    """What `recipe_of` stored."""
    return Recipe(**materialisers.load(artifact, None, artifacts))


def arguments_from(recipe: Recipe, hints: Mapping[str, Any], find: Callable[[str], Artifact]) -> dict[str, Any]:
    """The arguments that a recipe describes, with `Stored` and `Parts` in the place of artifacts.

    Parameters
    ----------
    recipe
        What was recorded.
    hints
        The type hints of the step's parameters, which decide how artifacts are loaded.
    find
        The artifact with an id.

    Raises
    ------
    NotFoundError
        For an argument that had no stored form.
    """
    return {name: _read(name, entry, hints.get(name), find) for name, entry in recipe.arguments.items()}


@functools.lru_cache(maxsize=1024)
def _location(function: Callable[..., Any]) -> tuple[str, str, str | None]:
    return function.__module__, function.__qualname__, module_path(sys.modules.get(function.__module__))


def _write(value: Any) -> Any:
    if isinstance(value, Stored):
        return {"stored": value.artifact.id, "field": value.field}
    if isinstance(value, Parts):
        parts = {name: stored.artifact.id for name, stored in value.values.items()}
        return {"parts": parts, "of": _shape(value.annotation)}
    if isinstance(value, Step | FunctionType):
        function = value.function if isinstance(value, Step) else value
        return {"function": _path(function)}
    if isinstance(value, list | tuple) and any(map(_is_special, value)):
        return {"list" if isinstance(value, list) else "tuple": [_write(item) for item in value]}
    if isinstance(value, dict) and any(map(_is_special, value.values())):
        return {"dict": [[key, _write(item)] for key, item in value.items()]}
    return {"plain": value}


def _is_special(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_special, value))
    if isinstance(value, dict):
        return any(map(_is_special, value.values()))
    return isinstance(value, Stored | Parts | Step | FunctionType)


def _storable(entry: Any, artifacts: ArtifactStore) -> Any:
    try:
        materialisers.save(entry, None, artifacts)
    except MaterialiserError:
        return {"lost": shorten(entry)}
    return entry


def _read(path: str, entry: Any, annotation: Any, find: Callable[[str], Artifact]) -> Any:
    (kind, content), *_ = entry.items()
    if kind == "plain":
        return content
    if kind == "stored":
        return Stored(find(content), annotation if entry["field"] is None else None, entry["field"])
    if kind == "parts":
        if set(materialisers.parts(annotation) or ()) != set(content):  # the parameter says nothing about it
            annotation = _annotation(entry.get("of"))
        return Parts(annotation, {name: Stored(find(id_)) for name, id_ in content.items()})
    if kind == "function":
        return _found(content)
    if kind == "dict":
        return {key: _read(f"{path}[{key!r}]", item, element_of(annotation, key), find) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_read(f"{path}[{i}]", item, element_of(annotation, i), find) for i, item in enumerate(content)]
        return items if kind == "list" else tuple(items)
    raise NotFoundError(
        f"argument {path!r} of this execution was not stored", value=content, hint="Run the pipeline again."
    )


def _shape(annotation: Any) -> Any:
    """What puts parts together again, written down: the path of a class, or the shapes in a tuple; None for a part."""
    if not materialisers.parts(annotation):
        return None
    kind = get_origin(annotation) or annotation
    return [_shape(member) for member in get_args(annotation)] if kind is tuple else _path(kind)


def _annotation(shape: Any) -> Any:
    if isinstance(shape, list):
        return GenericAlias(tuple, tuple(_annotation(member) for member in shape))
    return Any if shape is None else _found(shape)


def _path(named: Any) -> str:
    return f"{named.__module__}:{named.__qualname__}"


def _found(path: str) -> Any:
    module, _, qualname = path.partition(":")
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return found
