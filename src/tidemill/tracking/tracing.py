"""Where something came from: from an artifact, a step, a run or a model version back to sources and commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from graphlib import TopologicalSorter
from typing import Any, Literal, TypeVar

from tidemill.core.errors import MaterialiserError, NotFoundError, StoreError, UsageError, shorten
from tidemill.core.records import Artifact, Execution, ModelVersion, Run
from tidemill.engine.recipe import RECIPE, read_recipe
from tidemill.store import Store, executions, lineage, models, runs
from tidemill.store.artifacts import ArtifactStore
from tidemill.store.database import Transaction
from tidemill.tracking.searching import place
from tidemill.tracking.views import is_bookkeeping

TraceKind = Literal["model version", "run", "execution", "artifact"]
Direction = Literal["upstream", "downstream"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TraceNode:
    """Something in the lineage, with what it came from (or, downstream, what came of it).

    Parameters
    ----------
    kind, id
        What it is, and its id in the store.
    name
        The name under which the thing above used or made it; ``fit`` for a step, ``flight-delay:3`` for a version.
    details
        What is worth knowing: digest, type and size of an artifact; pipeline, commit, user and
        time of a step's run, and the plain values that it was called with.
    links
        The next things. A thing that is reached in two ways is the same object in both places.
    """

    kind: TraceKind
    id: str
    name: str
    details: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[TraceNode, ...] = ()

    def walk(self) -> Iterator[TraceNode]:
        """The node and everything behind it, each once, nearest first."""
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            node = waiting.pop(0)
            if id(node) not in seen:
                seen.add(id(node))
                yield node
                waiting.extend(node.links)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping: the nodes by id, each with the ids of its links."""
        nodes = {node.id: {**_head(node), "links": [link.id for link in node.links]} for node in self.walk()}
        return {"root": self.id, "nodes": nodes}


def _head(node: TraceNode) -> dict[str, Any]:
    return {"kind": node.kind, "id": node.id, "name": node.name, "details": dict(node.details)}


def trace(subject: str, *, direction: Direction = "upstream", store: Store | None = None) -> TraceNode:
    """The lineage of something.

    Parameters
    ----------
    subject
        The id (or its beginning) of an artifact, an execution, a run or a model version; the digest of an artifact; or
        a version by name: ``flight-delay@champion``, ``flight-delay:3``.
    direction
        ``"upstream"`` for what it came from, ``"downstream"`` for what came of it.
    store
        Where to look; the current project's store by default.

    Raises
    ------
    NotFoundError
        If nothing has this id.
    UsageError
        If several things have ids that start so.
    """
    where, _ = place(store)
    with where.metadata.reading() as tx:
        return _Tracer(tx, where.artifacts, direction).node(_find(tx, subject))


def render(node: TraceNode) -> str:
    """The lineage as an indented text, one line for each thing; what was shown before is only named again.

    >>> print(render(TraceNode("execution", "01", "fit", {"commit": "4f2a"}, (TraceNode("artifact", "02", "data"),))))
    execution fit  01  commit=4f2a
      artifact data  02
    """
    lines: list[str] = []
    seen: set[int] = set()
    waiting = [(node, 0)]
    while waiting:
        item, depth = waiting.pop()
        again = id(item) in seen and bool(item.links)
        seen.add(id(item))
        details = "".join(
            f"  {name}={_short(value)}" for name, value in item.details.items() if value not in ("", None)
        )
        lines.append(f"{'  ' * depth}{item.kind} {item.name}  {item.id}{'  (shown above)' if again else details}")
        if not again:
            waiting.extend((link, depth + 1) for link in reversed(item.links))
    return "\n".join(lines)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else shorten(value, 120)


Subject = ModelVersion | Run | Execution | Artifact


def _find(tx: Transaction, subject: str) -> Subject:
    for separator in ("@", ":"):
        model, found, version = subject.rpartition(separator)
        if found and model:
            return models.get_version(tx, model, int(version) if version.isdecimal() else version)
    getters: tuple[Callable[[Transaction, str], Subject], ...] = (
        runs.get,
        executions.get,
        lineage.get_artifact,
        models.get_version_by_id,
    )
    matches = [match for getter in getters for match in _attempt(getter, tx, subject)]
    if not matches:
        raise NotFoundError(
            "nothing in the store has this id, name or digest", value=subject, hint="List runs with: tidemill runs"
        )
    if len(matches) > 1:
        kinds = ", ".join(f"{_kind(match)} {match.id}" for match in matches)
        raise UsageError("several things have ids that start so", value=subject, hint=f"Give more of one: {kinds}.")
    return matches[0]


def _attempt(getter: Callable[[Transaction, str], T], tx: Transaction, subject: str) -> list[T]:
    try:
        return [getter(tx, subject)]
    except NotFoundError:
        return []


def _kind(subject: Subject) -> TraceKind:
    kinds: dict[type, TraceKind] = {ModelVersion: "model version", Run: "run", Execution: "execution"}
    return kinds.get(type(subject), "artifact")


class _Tracer:
    """Builds the nodes of one trace; each thing becomes one node."""

    def __init__(self, tx: Transaction, artifacts: ArtifactStore, direction: Direction) -> None:
        self._tx = tx
        self._artifacts = artifacts
        self._walk = lineage.upstream if direction == "upstream" else lineage.downstream
        self._back = direction == "upstream"
        self._runs: dict[str, Run] = {}
        self._executions: dict[str, TraceNode] = {}

    def node(self, subject: Subject) -> TraceNode:
        """The node of what was asked for, with everything behind it."""
        if isinstance(subject, ModelVersion):
            return self._version(subject)
        if isinstance(subject, Run):
            return TraceNode("run", subject.id, subject.pipeline, _run_details(subject), self._ends(subject))
        if isinstance(subject, Execution):
            near = lineage.inputs if self._back else lineage.outputs
            things = [(name, artifact) for name, artifact in near(self._tx, subject.id) if not is_bookkeeping(name)]
            self._explore(artifact for _, artifact in things)
            links = tuple(self._artifact(name, artifact) for name, artifact in things)
            return TraceNode("execution", subject.id, subject.node, self._details(subject), links)
        self._explore([subject])
        return self._artifact(subject.type, subject)

    def _version(self, version: ModelVersion) -> TraceNode:
        package = lineage.get_artifact(self._tx, version.package)
        self._explore([package])
        details = {"stage": version.stage, "created_at": version.created_at, "run": version.run_id}
        links = [self._artifact("package", package)]
        if self._back and not links[0].links and version.execution_id is not None:
            # A model that was packaged while it was registered: its past is that of the step that registered it.
            links.append(self.node(executions.get(self._tx, version.execution_id)))
        return TraceNode("model version", version.id, f"{version.model}:{version.version}", details, tuple(links))

    def _ends(self, run: Run) -> tuple[TraceNode, ...]:
        """What a run made that no other step of it used; downstream, everything that it made."""
        made: dict[str, tuple[str, Artifact]] = {}
        used: set[str] = set()
        for execution in executions.of_run(self._tx, run.id):
            used.update(artifact.id for _, artifact in lineage.inputs(self._tx, execution.id))
            for name, artifact in lineage.outputs(self._tx, execution.id):
                if not is_bookkeeping(name):
                    made[artifact.id] = (execution.node if name == "output" else f"{execution.node}.{name}", artifact)
        ends = {id_: pair for id_, pair in made.items() if not (self._back and id_ in used)}
        self._explore(artifact for _, artifact in ends.values())
        return tuple(self._artifact(name, artifact) for name, artifact in ends.values())

    def _explore(self, artifacts: Iterable[Artifact]) -> None:
        """Make the nodes of all executions behind some artifacts, the farthest first."""
        edges = {edge for artifact in artifacts for edge in self._walk(self._tx, artifact.id)}
        near, far = ("output", "input") if self._back else ("input", "output")
        touching: dict[str, set[str]] = {}  # artifact -> executions whose nodes it links to
        behind: dict[str, list[tuple[str, str]]] = {}  # execution -> what its own node links to
        for edge in sorted(edges, key=lambda edge: (edge.execution_id, edge.name, edge.artifact_id)):
            behind.setdefault(edge.execution_id, [])
            if edge.direction == near:
                touching.setdefault(edge.artifact_id, set()).add(edge.execution_id)
            elif edge.direction == far and not is_bookkeeping(edge.name):
                behind[edge.execution_id].append((edge.name, edge.artifact_id))
        self._touching = touching
        order = TopologicalSorter(
            {key: {next_ for _, id_ in things for next_ in touching.get(id_, ())} for key, things in behind.items()}
        )
        for execution_id in order.static_order():
            if execution_id not in self._executions:
                execution = executions.get(self._tx, execution_id)
                links = [
                    self._artifact(name, lineage.get_artifact(self._tx, id_)) for name, id_ in behind[execution_id]
                ]
                self._executions[execution_id] = TraceNode(
                    "execution", execution_id, execution.node, self._details(execution), tuple(links)
                )

    def _artifact(self, name: str, artifact: Artifact) -> TraceNode:
        details = {"type": artifact.type, "digest": artifact.digest[:12], "size": artifact.size}
        for key in ("rows", "columns"):
            if isinstance(artifact.metadata.get(key), int):
                details[key] = artifact.metadata[key]
        keys = sorted(self._touching.get(artifact.id, ()))
        links = tuple(self._executions[key] for key in keys if key in self._executions)
        return TraceNode("artifact", artifact.id, name, details, links)

    def _details(self, execution: Execution) -> dict[str, Any]:
        run = self._runs.get(execution.run_id)
        if run is None:
            run = self._runs[execution.run_id] = runs.get(self._tx, execution.run_id)
        arguments = self._arguments(execution)
        details = {"step": execution.step, "status": execution.status, "run": run.id, **_run_details(run)}
        return {**details, "arguments": arguments} if arguments else details

    def _arguments(self, execution: Execution) -> dict[str, Any]:
        """The plain values that a step was called with: for one that reads a source, the source pinned to its bytes."""
        for name, artifact in lineage.inputs(self._tx, execution.id):
            if name == RECIPE:
                try:
                    recipe = read_recipe(artifact, self._artifacts)
                except (MaterialiserError, StoreError):  # a class has moved, a blob is gone: the lineage stands without
                    return {}
                given = {key: entry["plain"] for key, entry in recipe.arguments.items() if "plain" in entry}
                return {key: _plain(value) for key, value in given.items() if value is not None}
        return {}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _run_details(run: Run) -> dict[str, Any]:
    named = {name: getattr(run, name) for name in ("project", "pipeline", "commit", "user", "started_at")}
    return {name: value for name, value in named.items() if value != ""}
