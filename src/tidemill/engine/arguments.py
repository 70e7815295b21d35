"""From the arguments of a node to what its key is made of, what its lineage says, and what its executor needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

from tidemill.core.clock import now_us
from tidemill.core.errors import PipelineError, TidemillError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Artifact
from tidemill.engine.graph import Node
from tidemill.engine.handle import Edge, Handle, MapHandle, edge_of, handles_in
from tidemill.engine.hints import element_of, says_nothing, without_none
from tidemill.engine.materialisers import Draft, digest_of, inside, narrowed, parts, save, split
from tidemill.engine.materialisers.plain import NAME as PLAIN
from tidemill.engine.materialisers.registry import name_for
from tidemill.engine.prepared import Bound
from tidemill.engine.snapshots import snapshot
from tidemill.engine.tasks import Parts, Stored
from tidemill.store.artifacts import ArtifactStore

_SCALARS = frozenset({str, int, float, bool, type(None)})


def artifact_of(draft: Draft) -> Artifact:
    """The record of a value that has just been stored."""
    return Artifact(
        id=new_id(),
        digest=draft.digest,
        type=draft.type,
        materialiser=draft.materialiser,
        size=draft.size,
        created_at=now_us(),
        inline=draft.inline,
        blob=draft.blob,
        metadata=draft.metadata,
    )


def bind(
    arguments: Mapping[str, Any],
    hints: Mapping[str, Any],
    artifacts: ArtifactStore,
    digest_code: Callable[[object], str],
) -> Bound:
    """Digest the plain arguments, store those that must be stored, and point the handles at their artifacts.

    Parameters
    ----------
    arguments
        Of a node whose upstream is done.
    hints
        The type hints of the step's parameters.
    artifacts
        Where frames, arrays, models and files that were passed as values are stored.
    digest_code
        The digest of a parameter that is a function or holds one.

    Raises
    ------
    PipelineError
        For an argument that can neither be digested nor stored; it names the argument.
    """
    bound = Bound()
    binder = _Binder(bound, artifacts, digest_code)
    for name, value in arguments.items():
        if type(value) in _SCALARS:
            bound.parameters[name] = digest_of(value)  # type: ignore[assignment]  # scalars always have one
            bound.arguments[name] = value
            continue
        try:
            bound.arguments[name] = binder.place(name, value, hints.get(name))
        except RecursionError:
            raise _too_deep(name) from None
    return bound


class _Binder:
    """Walks the arguments of one node and fills in what was found."""

    def __init__(self, bound: Bound, artifacts: ArtifactStore, digest_code: Callable[[object], str]) -> None:
        self._bound = bound
        self._artifacts = artifacts
        self._digest_code = digest_code

    def place(self, path: str, value: Any, annotation: Any) -> Any:
        """The argument for the executor, after its digests have been noted under its path."""
        if isinstance(value, Handle):
            return self._edge(path, edge_of(value), annotation)
        if isinstance(value, Artifact):
            self._bound.saved.append(value)
            return self._use(path, value, annotation, None)
        if isinstance(value, MapHandle):
            value = list(value)
        if isinstance(value, list | tuple | dict) and (self._holds_handles(value) or digest_of(value) is None):
            return self._container(path, value, annotation)
        digest = digest_of(value)
        if digest is None:
            return self._other(path, value, annotation)
        self._bound.parameters[path] = digest
        return value

    def _holds_handles(self, value: Any) -> bool:
        return next(handles_in(value), None) is not None

    def _container(self, path: str, value: Any, annotation: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: self.place(f"{path}[{key!r}]", item, element_of(annotation, key)) for key, item in value.items()
            }
        items = [self.place(f"{path}[{i}]", item, element_of(annotation, i)) for i, item in enumerate(value)]
        if isinstance(value, list):
            return items
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)

    def _other(self, path: str, value: Any, annotation: Any) -> Any:
        """A value without a digest of its own is stored first; what is or holds code is keyed by what it reaches."""
        kind = type(value)
        narrow = narrowed(without_none(annotation), kind)
        if narrow is not None:
            return self._in_parts(path, value, narrow)
        if name_for(kind) not in (None, PLAIN):
            return self._store(path, value, annotation)
        try:
            self._bound.parameters[path] = self._digest_code(value)
        except UsageError as error:
            if not parts(kind):
                raise PipelineError(
                    f"argument {path!r} can neither be stored nor be part of a cache key: {error.what}",
                    value=error.value,
                    hint=_IN_WHAT if type(error.value) is Handle else error.hint,
                ) from error
            return self._in_parts(path, value, kind)
        return value

    def _in_parts(self, path: str, value: Any, kind: type) -> Parts:
        names, values = parts(kind) or {}, split(kind, value)
        return Parts(kind, {name: self._store(f"{path}.{name}", values[name], names[name]) for name in names})

    def _store(self, path: str, value: Any, annotation: Any) -> Stored:
        try:
            artifact = artifact_of(save(value, annotation, self._artifacts))
        except TidemillError as error:
            raise PipelineError(
                f"argument {path!r} cannot be stored: {error.what}", value=value, hint=error.hint
            ) from error
        self._bound.saved.append(artifact)
        return self._use(path, artifact, annotation, None)

    def _edge(self, path: str, edge: Edge, annotation: Any) -> Stored | Parts:
        node = edge.node
        names = inside(node.parts, edge.part)
        if node.parts is not None and names is not None and edge.field is None:
            narrow = narrowed(without_none(annotation), edge.annotation)
            read = names if narrow is None else parts(narrow) or {}
            values = {
                short: self._use(f"{path}.{short}", node.outputs[name], node.parts[name], None)
                for short, name in names.items()
                if short in read
            }
            return Parts(narrow or _with_parts(annotation, edge.annotation, values), values)
        name = "output" if edge.part is None else edge.part
        artifact = node.outputs[name]
        if edge.field is None:
            return self._use(path, artifact, _chosen(annotation, edge.annotation), None)
        whole = node.step.returns if node.parts is None else node.parts[name]
        return self._use(path, artifact, whole, edge.field)

    def _use(self, path: str, artifact: Artifact, annotation: Any, field: str | None) -> Stored:
        self._bound.inputs[path] = artifact.digest if field is None else f"{artifact.digest}.{field}"
        self._bound.uses.append((path, artifact))
        return Stored(artifact, annotation, field)


_IN_WHAT = "Pass a handle by itself or in lists, tuples and dicts, or pass its .value() on."


def _chosen(wanted: Any, produced: Any) -> Any:
    """The receiver's annotation decides; without one, the value arrives as it was produced."""
    return produced if says_nothing(wanted) else without_none(wanted)


def _with_parts(wanted: Any, produced: Any, values: Mapping[str, Any]) -> Any:
    """The receiver's annotation if it has these parts; a base class, for one, has others."""
    chosen = _chosen(wanted, produced)
    return chosen if set(parts(chosen) or ()) == set(values) else produced


def upstream_of(arguments: Mapping[str, Any]) -> list[Node]:
    """The nodes that the handles among the arguments come from.

    Raises
    ------
    PipelineError
        For a method of a handle (what was meant is a field of its name), and for what contains itself.
    """
    others = [(name, value) for name, value in arguments.items() if type(value) not in _SCALARS]
    for name, value in others:
        if isinstance(value, MethodType) and isinstance(value.__self__, Handle):
            method = value.__name__
            raise PipelineError(
                f"argument {name!r} is the method .{method} of a handle; a field of that name cannot be reached by it",
                value=value.__self__,
                hint=f"Pass the handle and take the field in the step, pass handle.value().{method}, or rename it.",
            )
    return [edge_of(handle).node for name, value in others for handle in _handles(name, value)]


def _handles(name: str, value: Any) -> list[Handle]:
    try:
        return list(handles_in(value))
    except RecursionError:
        raise _too_deep(name) from None


def taken(arguments: Mapping[str, Any], other: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """The arguments as they are now; for `other` see `tidemill.engine.snapshots.snapshot`.

    Raises
    ------
    PipelineError
        For what is nested too deeply.
    """
    out = {}
    for name, value in arguments.items():
        try:
            out[name] = snapshot(value, other)
        except RecursionError:
            raise _too_deep(name) from None
    return out


def _too_deep(name: str) -> PipelineError:
    return PipelineError(
        f"argument {name!r} is nested too deeply, or contains itself",
        hint="Pass a table, or a flat list of what is in it.",
    )
