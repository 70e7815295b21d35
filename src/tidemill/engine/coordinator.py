"""Runs the nodes of a pipeline's body: everything here happens in the one thread that executes the body.

A node starts when what it depends on is done: at once in a worker or a thread of the pool, or, when it is the only one
and runs in process, in this thread as soon as the body waits for something (which saves two changes of thread a step).
Executors report through a queue, which is looked at whenever the body calls a step or waits.
"""

from __future__ import annotations

import heapq
import itertools
import queue
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from tidemill.core.clock import elapsed
from tidemill.core.errors import CancelledError, PipelineError, TidemillError, message_of
from tidemill.core.records import Artifact
from tidemill.engine import materialisers
from tidemill.engine.active import scheduling
from tidemill.engine.arguments import artifact_of, taken, upstream_of
from tidemill.engine.caching import Cache
from tidemill.engine.crew import Crew
from tidemill.engine.ears import Ears
from tidemill.engine.failures import failure_of
from tidemill.engine.graph import Graph, Node
from tidemill.engine.handle import Edge, Handle, MapHandle, edge_of
from tidemill.engine.materialisers.plain import NAME as PLAIN
from tidemill.engine.materialisers.registry import name_for
from tidemill.engine.recorder import Recorder
from tidemill.engine.signals import Interrupts, Stopped, Why
from tidemill.engine.step import Step
from tidemill.engine.tasks import StepResult
from tidemill.store.artifacts import ArtifactStore

#: A node has ended; the run must stop; or a step has printed something.
Report = tuple[Node, Future[StepResult]] | Why | None

_LONGEST_PAUSE = 60.0


class Coordinator:
    """The scheduler of one run.

    Parameters
    ----------
    recorder
        Writes what happens to the store and tells the listeners.
    cache
        Keys and look-ups.
    crew
        The executors.
    interrupts
        Opened while a step runs in this thread.
    ears
        Where the lines wait that steps print elsewhere; None if nobody listens.
    """

    def __init__(
        self, recorder: Recorder, cache: Cache, crew: Crew, interrupts: Interrupts, ears: Ears | None = None
    ) -> None:
        self.graph = Graph()
        self._recorder = recorder
        self._cache = cache
        self._crew = crew
        self._interrupts = interrupts
        self._ears = ears
        self._store = recorder.store
        self._runnable: defaultdict[str, deque[Node]] = defaultdict(deque)
        self._load: Counter[str] = Counter()
        self._running: dict[Node, str] = {}
        self._twins: dict[str, list[Node]] = {}
        self._order = itertools.count()
        self._retries: list[tuple[float, int, Node]] = []
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()

    # What a pipeline's body calls

    def schedule(self, step: Step[..., Any], arguments: Mapping[str, Any]) -> Handle:
        """Add a node for one step call, and start whatever can start."""
        with self._at_work():
            handle = self._add(step, arguments)
            self._advance(waiting=False)
        return handle

    def schedule_map(
        self, step: Step[..., Any], parameter: str, items: Iterable[Any], fixed: Mapping[str, Any]
    ) -> MapHandle:
        """Add a node per item, named by the digest of the item or by the node that makes it."""
        listed = list(items)
        with self._at_work():
            upstream_of(fixed)
            shared = taken(fixed, self._stored_once)
            handles = []
            for item in listed:
                if isinstance(item, Handle):
                    suffix = edge_of(item).node.suffix or edge_of(item).node.name
                else:
                    item = taken({parameter: item}, self._stored_once)[parameter]
                    suffix = item_digest(item, self._store.artifacts)[:8]
                handles.append(self._add(step, step.bind((), {parameter: item, **shared}), suffix, is_taken=True))
            self._advance(waiting=False)
        return MapHandle(handles)

    def load(self, handle: Handle) -> Any:
        """Wait for the node of a handle, then load what the handle stands for; a failed node raises its error."""
        edge = edge_of(handle)
        if not edge.node.is_finished:
            with self._at_work():
                self.wait(edge.node)
        if edge.node.error is not None:
            edge.node.seen = True
            raise edge.node.error
        return value_of(edge, self._store.artifacts)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """The engine's own code, called by the body: signals wait, and the books are in order when the body goes on."""
        self._interrupts.open = False
        try:
            yield
            self._recorder.settle()
        finally:
            self._interrupts.open = True

    def _add(
        self, step: Step[..., Any], arguments: Mapping[str, Any], suffix: str = "", *, is_taken: bool = False
    ) -> Handle:
        if step.options.resolve is not None and not self._cache.has_stand_in(step):
            with scheduling(None):
                arguments = step.resolved(dict(arguments))
        upstream = upstream_of(arguments)
        if not is_taken:
            # A node that need not wait is prepared at once, and that stores its arrays and frames.
            waits = any(not node.is_done for node in upstream)
            arguments = taken(arguments, self._stored_once if waits else None)
        node, skipped = self.graph.add(step, arguments, upstream, suffix=suffix, parts=step.parts)
        self._skipped(skipped)
        return Handle(self, node, step.returns)

    # Waiting

    def wait(self, node: Node) -> None:
        """Work until a node is finished."""
        while not node.is_finished:
            assert self._has_work(), f"nothing is left to do, but {node.name} is {node.state}"
            self._turn()

    def drain(self) -> None:
        """Work until every node is finished."""
        for node in self.graph.nodes:  # a finished node stays finished, and nothing adds nodes here
            self.wait(node)
        self._recorder.settle()

    def _has_work(self) -> bool:
        waiting = self._running or self._retries or self.graph.ready or self._waiting_to_run()
        return bool(waiting) or not self._reports.empty()

    def wake(self, why: Why | None = None) -> None:
        """Called from another thread: the run must stop, or, without a reason, a step has printed something."""
        self._reports.put(why)

    def stop(self) -> None:
        """Mark everything unfinished as cancelled."""
        error = CancelledError("the run was cancelled")
        for node in self.graph.nodes:
            if not node.is_finished:
                node.state, node.error = "cancelled", error
                self._recorder.cancelled(node)

    def abandon(self) -> None:
        """Tell what still runs to stop; nobody waits for it any more."""
        self._crew.cancel(self._running.values())
        self._running.clear()

    def _turn(self) -> None:
        """Start what can start, then take one report, waiting for it if nothing else is to do."""
        self._advance(waiting=True)
        pause = None
        if self._retries:
            pause = max(0.0, self._retries[0][0] - elapsed())
        elif not self._running:
            return
        self._recorder.settle()
        with suppress(queue.Empty):
            self._take(self._reports.get(timeout=pause))

    def _take(self, report: Report) -> None:
        if self._ears is not None:
            self._ears.speak()
        if report is None:
            return
        if isinstance(report, str):
            raise Stopped(report)
        node, future = report
        self._mark_ended(node)
        try:
            result = future.result()
        except Exception as error:
            self._failed(node, _refusal(error))
            return
        self._ended(node, result)

    # Starting

    def _advance(self, *, waiting: bool) -> None:
        while not self._reports.empty():
            self._take(self._reports.get())
        while self._retries and self._retries[0][0] <= elapsed():
            self._make_runnable(heapq.heappop(self._retries)[2])
        while self.graph.ready:
            self._prepare(self.graph.ready.popleft())
        while self._waiting_to_run():
            if self._can_run_here():
                if waiting:
                    self._run_here(self._runnable["inline"].popleft())
                return
            nodes = self._take_what_has_room()
            if not nodes:
                return
            self._submit(nodes)

    def _waiting_to_run(self) -> int:
        return sum(map(len, self._runnable.values()))

    def _take_what_has_room(self) -> list[Node]:
        """Runnable nodes, as many as their executors can work on; the rest waits here and not in their queues."""
        taken: list[Node] = []
        for name, nodes in self._runnable.items():
            room = self._crew.capacity(name) - self._load[name]
            taken += [nodes.popleft() for _ in range(min(room, len(nodes)))]
        return taken

    def _prepare(self, node: Node) -> None:
        """Make the key of a node, then finish it from the cache or put it among those to run."""
        try:
            prepared = node.prepared = self._cache.prepare(node)
            key = prepared.key.digest
            if self._is_cacheable(node) and key in self._twins:
                self._twins[key].append(node)  # the same work is being done: wait for it
                return
            hit = self._cache.find(node, prepared)
        except TidemillError as error:
            self._failed(node, error)
            return
        if hit is not None:
            node.outputs = hit.outputs
            self._recorder.cached(node, prepared, hit)
            self._skipped(self.graph.finish(node, "cached"))
            return
        if self._is_cacheable(node):
            self._twins[key] = []
        self._make_runnable(node)

    def _make_runnable(self, node: Node) -> None:
        self._runnable[node.step.options.runs_on].append(node)

    def _is_cacheable(self, node: Node) -> bool:
        return node.step.options.cache and not node.step.options.effect

    def _can_run_here(self) -> bool:
        is_alone = self._waiting_to_run() == 1 and not self._running and not self._retries
        return is_alone and len(self._runnable["inline"]) == 1

    def _run_here(self, node: Node) -> None:
        task = self._recorder.started(node, self._cache)
        self._recorder.flush()
        self._mark_running(node, task.execution_id)
        try:
            self._interrupts.open = True
            result = self._crew.run(task)
        except Exception as error:
            self._mark_ended(node)
            self._failed(node, _refusal(error))
            return
        finally:
            self._interrupts.open = False
        self._mark_ended(node)
        self._ended(node, result)

    def _submit(self, nodes: list[Node]) -> None:
        tasks = [self._recorder.started(node, self._cache) for node in nodes]
        self._recorder.flush()
        for node, task in zip(nodes, tasks, strict=True):
            self._mark_running(node, task.execution_id)
            try:
                future = self._crew.submit(node.step.options.runs_on, task)
            except Exception as error:
                self._mark_ended(node)
                self._failed(node, _refusal(error))
                continue
            future.add_done_callback(lambda done, node=node: self._reports.put((node, done)))  # type: ignore[misc]

    def _mark_running(self, node: Node, execution_id: str) -> None:
        node.state = "running"
        self._running[node] = execution_id
        self._load[node.step.options.runs_on] += 1

    def _mark_ended(self, node: Node) -> None:
        del self._running[node]
        self._load[node.step.options.runs_on] -= 1

    # Ending

    def _ended(self, node: Node, result: StepResult) -> None:
        if self._ears is not None:
            self._ears.speak()  # what its threads printed comes before its end
        node.rows_in, node.rows_out = result.rows_in, result.rows_out
        if result.status == "succeeded":
            node.outputs = {name: artifact_of(draft) for name, draft in result.outputs}
            self._recorder.succeeded(node, result)
            self._skipped(self.graph.finish(node, "succeeded"))
            self._release_twins(node)
            return
        assert result.error is not None
        options, execution = node.step.options, node.execution
        assert execution is not None
        if result.error.kind in ("user", "died") and execution.attempt <= options.retries:
            pause = min(_LONGEST_PAUSE, options.backoff * 2.0 ** (execution.attempt - 1))
            self._recorder.will_retry(node, result, pause)
            heapq.heappush(self._retries, (elapsed() + pause, next(self._order), node))
            return
        prepared = node.prepared
        assert prepared is not None
        error = failure_of(node.name, result.error, prepared.bound.uses, result.log, execution.run_id)
        node.error = error
        self._recorder.failed(node, result)
        self._skipped(self.graph.finish(node, "failed"))
        self._release_twins(node)

    def _failed(self, node: Node, error: TidemillError) -> None:
        """A node that could not even be started."""
        error.add_note(f"in step {node.name!r}")
        node.error = error
        self._recorder.refused(node, error)
        self._skipped(self.graph.finish(node, "failed"))
        self._release_twins(node)

    def _skipped(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._recorder.skipped(node)

    def _release_twins(self, node: Node) -> None:
        """Nodes that waited for the same work are looked up again: in the cache if it was done, else they run."""
        prepared = node.prepared
        twins = [] if prepared is None else self._twins.pop(prepared.key.digest, [])
        if twins:
            self._recorder.flush()
            self.graph.ready.extend(twins)

    def _stored_once(self, value: Any) -> Any:
        """A frame, array or model that many nodes share, or that could change before it is used, is stored here."""
        if isinstance(value, Handle | MapHandle) or materialisers.digest_of(value) is not None:
            return value
        if name_for(type(value)) in (None, PLAIN):  # a container or code: looked at when the step is prepared
            return value
        return artifact_of(materialisers.save(value, None, self._store.artifacts))


def _refusal(error: Exception) -> TidemillError:
    """Why an executor did not execute a step; whatever it raises, the step must end, or its run would wait for ever."""
    if isinstance(error, TidemillError):
        return error
    wrapped = PipelineError(f"its executor raised {type(error).__name__}: {message_of(error)}")
    wrapped.__cause__ = error
    return wrapped


def item_digest(item: Any, artifacts: ArtifactStore) -> str:
    """The digest that names the node of an item of a map."""
    if isinstance(item, Artifact):
        return item.digest
    return materialisers.digest_of(item) or materialisers.save(item, None, artifacts).digest


def value_of(edge: Edge, artifacts: ArtifactStore) -> Any:
    """Load what a handle of a finished node stands for."""
    node = edge.node
    names = materialisers.inside(node.parts, edge.part)
    if node.parts is not None and names is not None:
        values = {
            short: materialisers.load(node.outputs[name], node.parts[name], artifacts) for short, name in names.items()
        }
        return materialisers.assemble(edge.annotation, values)
    name = "output" if edge.part is None else edge.part
    whole = node.step.returns if node.parts is None else node.parts[name]
    value = materialisers.load(node.outputs[name], whole, artifacts)
    return value if edge.field is None else getattr(value, edge.field)
