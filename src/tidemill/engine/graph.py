"""The graph of one run: nodes, edges and which node may start next. It executes nothing and stores nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tidemill.core.records import Artifact, Execution
from tidemill.engine.prepared import Prepared
from tidemill.engine.step import Step

NodeState = Literal["waiting", "ready", "running", "succeeded", "cached", "failed", "skipped", "cancelled"]

#: States that a node does not leave.
FINISHED: frozenset[NodeState] = frozenset({"succeeded", "cached", "failed", "skipped", "cancelled"})
#: States of a node whose outputs exist.
DONE: frozenset[NodeState] = frozenset({"succeeded", "cached"})


@dataclass(slots=True, eq=False)
class Node:
    """One step call in one run.

    Parameters
    ----------
    name
        Unique in the run: ``fit``, ``fit#2``, ``fit[3f9a12bc]``.
    step, arguments
        What is called, with handles among the arguments where there are edges.
    suffix
        The part of the name in brackets, for an item of a map.
    parts
        The names of its outputs and their annotations, when it has several.
    upstream, dependants
        Nodes that it waits for (shrinks as they finish) and nodes that wait for it.
    outputs
        Its artifacts by name, once it is done; a single output is called ``output``.
    execution
        Its latest execution, once there is one.
    prepared
        Its arguments, code and key, once everything upstream is done.
    error
        Why it failed or was skipped.
    seen
        Whether the body was told of the error, by an exception that it may have handled.
    """

    name: str
    step: Step[..., Any]
    arguments: Mapping[str, Any]
    suffix: str = ""
    parts: Mapping[str, Any] | None = None
    upstream: set[Node] = field(default_factory=set)
    dependants: list[Node] = field(default_factory=list)
    state: NodeState = "waiting"
    outputs: Mapping[str, Artifact] = field(default_factory=dict)
    execution: Execution | None = None
    error: Exception | None = None
    seen: bool = False
    prepared: Prepared | None = None
    rows_in: int | None = None
    rows_out: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether its state will not change any more."""
        return self.state in FINISHED

    @property
    def is_done(self) -> bool:
        """Whether it has outputs."""
        return self.state in DONE


class Graph:
    """Nodes in the order of their calls, and a queue of those that may start.

    A node becomes ready when everything upstream is done. When something upstream fails, the node and all that depends
    on it are skipped.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ready: deque[Node] = deque()
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}

    def add(
        self,
        step: Step[..., Any],
        arguments: Mapping[str, Any],
        upstream: Iterable[Node],
        *,
        suffix: str = "",
        parts: Mapping[str, Any] | None = None,
    ) -> tuple[Node, list[Node]]:
        """Add a node after those that it needs.

        Returns
        -------
        The node, and the nodes that were skipped at once: itself, when something upstream has already failed.
        """
        node = Node(self._name(step.name, suffix), step, arguments, suffix, parts)
        self.nodes.append(node)
        for other in upstream:
            if other.is_done:
                continue
            if other.is_finished:
                return node, self._skip([node], other)
            if other not in node.upstream:
                node.upstream.add(other)
                other.dependants.append(node)
        if not node.upstream:
            self._make_ready(node)
        return node, []

    def finish(self, node: Node, state: NodeState) -> list[Node]:
        """Set the final state of a node; ready or skip what depends on it. Returns the skipped nodes."""
        node.state = state
        if state not in DONE:
            return self._skip(node.dependants, node)
        for dependant in node.dependants:
            dependant.upstream.discard(node)
            if not dependant.upstream and dependant.state == "waiting":
                self._make_ready(dependant)
        return []

    def _make_ready(self, node: Node) -> None:
        node.state = "ready"
        self.ready.append(node)

    def _skip(self, nodes: Iterable[Node], cause: Node) -> list[Node]:
        skipped: list[Node] = []
        todo = [(node, cause) for node in nodes]
        while todo:
            node, because = todo.pop(0)
            if node.is_finished:
                continue
            node.state = "skipped"
            node.error = because.error
            skipped.append(node)
            todo += [(dependant, node) for dependant in node.dependants]
        return skipped

    def _name(self, step: str, suffix: str) -> str:
        base = f"{step}[{suffix}]" if suffix else step
        count = self._counts.get(base, 0)
        while True:
            count += 1
            name = base if count == 1 else f"{base}#{count}"
            if name not in self._names:
                break
        self._counts[base] = count
        self._names.add(name)
        return name
