"""What a run would do, and why: the body is walked and the cache is asked, but no step runs and nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal

from tidemill.core.errors import TidemillError
from tidemill.engine.active import scheduling
from tidemill.engine.arguments import taken, upstream_of
from tidemill.engine.caching import Cache
from tidemill.engine.coordinator import item_digest, value_of
from tidemill.engine.graph import Graph, Node
from tidemill.engine.handle import Handle, MapHandle, edge_of
from tidemill.engine.prepared import Prepared
from tidemill.engine.run import RunOptions
from tidemill.engine.step import Step

Action = Literal["run", "cached", "effect", "unknown"]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What would become of one step call.

    Parameters
    ----------
    node, step, stage
        Its place in the run, its name, and the label for summaries.
    action
        ``cached``: taken from an earlier run; ``run``: executed; ``effect``: executed, as always; ``unknown``: it
        depends on a step that would run, and would be executed unless that gives the same result as before.
    reasons
        Why, one sentence each.
    """

    node: str
    step: str
    stage: str
    action: Action
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What running a pipeline would do.

    Parameters
    ----------
    pipeline
        Its name.
    nodes
        The step calls, in order.
    stopped
        Where the plan had to stop since the body needs a value that no earlier run has made, and why; empty if the
        plan reaches the end.
    """

    pipeline: str
    nodes: tuple[PlannedStep, ...]
    stopped: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether the plan reaches the end of the body."""
        return not self.stopped

    def count(self, action: Action) -> int:
        """How many steps have this action."""
        return sum(node.action == action for node in self.nodes)


def plan_body(name: str, body: Callable[..., Any], arguments: Mapping[str, Any], options: RunOptions) -> Plan:
    """Walk a pipeline's body without running steps."""
    planner = _Planner(name, body, options)
    stopped = ""
    try:
        with scheduling(planner):
            body(**arguments)
    except _Unknown as unknown:
        stopped = f"{_place(body, unknown)} needs the value of {unknown.node!r}, which no earlier run has made"
    return Plan(name, tuple(planner.planned.values()), stopped)


class _Unknown(BaseException):
    """The body asks for a value that only a run can make; not an Exception, so that the body cannot swallow it."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.node = node


class _Planner:
    """The scheduler that looks and does not run."""

    def __init__(self, pipeline: str, body: Callable[..., Any], options: RunOptions) -> None:
        self._pipeline = pipeline
        self._options = options
        self._store = options.store
        self._cache = Cache(options.store, options.root, use=options.cache, within=body)
        self._graph = Graph()
        self.planned: dict[str, PlannedStep] = {}

    def schedule(self, step: Step[..., Any], arguments: Mapping[str, Any], suffix: str = "") -> Handle:
        """Look at one step call."""
        if step.options.resolve is not None:
            with scheduling(None):
                arguments = step.resolved(dict(arguments))
        upstream = upstream_of(arguments)
        node, _ = self._graph.add(step, taken(arguments), upstream, suffix=suffix, parts=step.parts)
        action, reasons = self._decide(node)
        self.planned[node.name] = PlannedStep(node.name, step.name, step.stage, action, tuple(reasons))
        if action == "cached":
            self._graph.finish(node, "cached")
        return Handle(self, node, step.returns)

    def schedule_map(
        self, step: Step[..., Any], parameter: str, items: Iterable[Any], fixed: Mapping[str, Any]
    ) -> MapHandle:
        """Look at one step call per item."""
        handles = []
        for item in items:
            if isinstance(item, Handle):
                suffix = edge_of(item).node.suffix or edge_of(item).node.name
            else:
                suffix = item_digest(item, self._store.artifacts)[:8]
            handles.append(self.schedule(step, step.bind((), {parameter: item, **fixed}), suffix))
        return MapHandle(handles)

    def load(self, handle: Handle) -> Any:
        """The value from an earlier run, or the end of the plan."""
        edge = edge_of(handle)
        if edge.node.state != "cached":
            raise _Unknown(edge.node.name)
        return value_of(edge, self._store.artifacts)

    def _decide(self, node: Node) -> tuple[Action, list[str]]:
        is_effect = node.step.options.effect
        if node.upstream:
            names = ", ".join(sorted(repr(other.name) for other in node.upstream))
            return ("effect" if is_effect else "unknown"), [f"it depends on {names}, which would run"]
        try:
            prepared = node.prepared = self._cache.prepare(node)
        except TidemillError as error:
            return "unknown", [str(error)]
        if is_effect:
            return "effect", ["it is an effect, which every run executes"]
        if not node.step.options.cache:
            return "run", ["it is declared with cache=False"]
        if not self._options.cache:
            return "run", ["the run is asked not to use the cache"]
        hit = self._cache.find(node, prepared)
        if hit is not None:
            node.outputs = hit.outputs
            return "cached", [f"nothing has changed since run {hit.execution.run_id}"]
        return "run", self._why(node, prepared)

    def _why(self, node: Node, prepared: Prepared) -> list[str]:
        with self._store.metadata.reading() as tx:
            reasons = self._cache.why(tx, self._options.project, self._pipeline, node, prepared)
        return reasons or ["its earlier outputs are no longer in the store"]


def _place(body: Callable[..., Any], error: BaseException) -> str:
    """The line of the body that an exception came through."""
    code = body.__code__ if isinstance(body, FunctionType) else None
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code is code:
            line = trace.tb_lineno
        trace = trace.tb_next
    return "the body" if line is None else f"line {line} of the body"
