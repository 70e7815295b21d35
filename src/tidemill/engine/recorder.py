"""Writes the life of each node to the store, and tells the listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tidemill.core.clock import now_us
from tidemill.core.errors import TidemillError, message_of
from tidemill.core.ids import new_id
from tidemill.core.records import INLINE_LIMIT, Artifact, Execution, Run, StepStatus
from tidemill.engine.caching import Cache, Hit
from tidemill.engine.events import EventKind, Listener, RunEvent
from tidemill.engine.graph import Node
from tidemill.engine.journal import Journal
from tidemill.engine.logged import LOGGED, keep_logged, put_logged, read_logged
from tidemill.engine.prepared import Prepared
from tidemill.engine.recipe import recipe_of
from tidemill.engine.tasks import StepFailure, StepResult, StepTask
from tidemill.store import Store, checkpoints, executions
from tidemill.store.database import Transaction


class Recorder:
    """The book-keeper of one run.

    Parameters
    ----------
    store, journal, run
        Where it writes, through what, and for which run.
    root
        The project's folder, for worker processes.
    listeners
        Who is told.
    """

    def __init__(self, store: Store, journal: Journal, run: Run, root: str, listeners: Sequence[Listener]) -> None:
        self.store = store
        self.run = run
        self._journal = journal
        self._root = root
        self._listeners = tuple(listeners)
        self._complaint: Exception | None = None
        self._codes: set[str] = set()
        self._nodes: dict[str, Node] = {}
        self._heard: set[str] = set()

    def flush(self) -> None:
        """Make everything so far durable."""
        self._journal.flush()

    def settle(self) -> None:
        """Make what must not be lost durable (rows about cached steps may wait), then raise what a listener raised."""
        self._journal.settle()
        complaint, self._complaint = self._complaint, None
        if complaint is not None:
            raise complaint

    def started(self, node: Node, cache: Cache) -> StepTask:
        """A node's next attempt begins."""
        prepared = node.prepared
        assert prepared is not None
        attempt = 1 if node.execution is None else node.execution.attempt + 1
        execution = node.execution = self._execution(node, prepared, "running", attempt)
        reasons: tuple[str, ...] = ()
        if self._listeners and attempt == 1:
            self._journal.flush()
            with self.store.metadata.reading() as tx:
                reasons = tuple(cache.why(tx, self.run.project, self.run.pipeline, node, prepared))
        write_code = self._code_write(prepared)

        def write(tx: Transaction) -> None:
            write_code(tx)
            executions.start(tx, execution)

        self._journal.soon(write)
        self._nodes[execution.id] = node
        self.tell("step_started", node, reasons=reasons)
        options = node.step.options
        return StepTask(
            execution_id=execution.id,
            run_id=self.run.id,
            project=self.run.project,
            pipeline=self.run.pipeline,
            step=node.step.name,
            node=node.name,
            attempt=attempt,
            function=node.step.function,
            arguments=prepared.bound.arguments,
            returns=node.step.returns,
            artifacts_url=self.store.artifacts.url,
            timeout=options.timeout,
            memory=options.memory,
            cpu=options.cpu,
            root=self._root,
            gpu=options.gpu,
            key=prepared.key.digest,
        )

    def succeeded(self, node: Node, result: StepResult) -> None:
        """An attempt succeeded: its outputs and its end become visible in one transaction."""
        self._end(node, "succeeded", result, list(node.outputs.items()))
        self.tell("step_finished", node, status="succeeded", seconds=result.seconds)

    def failed(self, node: Node, result: StepResult) -> None:
        """The last attempt failed."""
        self._end(node, "failed", result)
        self.tell("step_finished", node, status="failed", seconds=result.seconds, message=_told(node.error))

    def will_retry(self, node: Node, result: StepResult, pause: float) -> None:
        """An attempt failed, and there will be another after a pause in seconds."""
        self._end(node, "failed", result)
        assert result.error is not None
        self.tell("step_retry", node, status="failed", seconds=pause, message=_error_text(result.error))

    def cached(self, node: Node, prepared: Prepared, hit: Hit) -> None:
        """The outputs of an earlier execution stand in for the node."""
        now = now_us()
        source = hit.execution.cached_from or hit.execution.id
        execution = node.execution = replace(
            self._execution(node, prepared, "cached", 1), ended_at=now, cached_from=source
        )
        bound, write_code = prepared.bound, self._code_write(prepared)
        inputs = [(name, artifact.id) for name, artifact in bound.uses]
        outputs = list(hit.outputs.items())
        logged = []
        if hit.logged is not None:
            outputs.append((LOGGED, hit.logged))
            logged = read_logged(hit.logged, self.store.artifacts)

        def write(tx: Transaction) -> None:
            write_code(tx)
            executions.put_artifacts(tx, bound.saved)
            executions.record(tx, execution, inputs, outputs)
            put_logged(tx, execution, logged)

        self._journal.later(write)
        node.rows_in = _rows(artifact for _, artifact in bound.uses)
        node.rows_out = _rows(hit.outputs.values())
        self.tell("step_finished", node, status="cached")

    def skipped(self, node: Node) -> None:
        """Something upstream failed."""
        self._without_attempt(node, "skipped", f"skipped: {_first_line(node.error)}")

    def refused(self, node: Node, error: Exception) -> None:
        """The node could not be started."""
        if node.execution is not None and node.execution.status == "running":
            self._end(node, "failed", StepResult("failed", error=StepFailure(type(error).__name__, str(error))))
            self.tell("step_finished", node, status="failed", message=str(error))
        else:
            self._without_attempt(node, "failed", str(error))

    def cancelled(self, node: Node) -> None:
        """The run was stopped before the node ended."""
        if node.execution is not None and node.execution.status == "running":
            self._end(node, "cancelled", StepResult("cancelled"))
            self.tell("step_finished", node, status="cancelled")
        else:
            self._without_attempt(node, "cancelled", str(node.error))

    def printed(self, execution_id: str, text: str) -> None:
        """A running step has printed one or more lines."""
        node = self._nodes.get(execution_id)
        if node is not None:
            self._heard.add(execution_id)
            self.tell("log", node, message=text)

    def tell(self, kind: EventKind, node: Node | None = None, **values: Any) -> None:
        """Tell the listeners."""
        if not self._listeners:
            return
        run = self.run
        if node is not None:
            step, execution = node.step, node.execution
            values.update(
                step=step.name, node=node.name, stage=step.stage, rows_in=node.rows_in, rows_out=node.rows_out
            )
            if execution is not None:
                values.update(execution_id=execution.id, attempt=execution.attempt)
        event = RunEvent(kind, run.id, run.pipeline, run.project, now_us(), **values)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # kept until the books are in order: see `settle`
                self._complaint = self._complaint or error
                self._listeners = tuple(other for other in self._listeners if other is not listener)

    def _execution(self, node: Node, prepared: Prepared, status: StepStatus, attempt: int) -> Execution:
        options = node.step.options
        return Execution(
            id=new_id(),
            run_id=self.run.id,
            step=node.step.name,
            node=node.name,
            status=status,
            started_at=now_us(),
            attempt=attempt,
            key=prepared.key.digest if options.cache and not options.effect else "",
            code=prepared.code.digest,
            key_parts=prepared.key.parts,
            executor=options.runs_on,
        )

    def _code_write(self, prepared: Prepared) -> Callable[[Transaction], None]:
        code = prepared.code
        if code.digest in self._codes:
            return lambda tx: None  # noqa: ARG005 — it is in the store already
        self._codes.add(code.digest)
        return lambda tx: executions.put_fingerprint(tx, code.digest, code.parts)

    def _end(
        self, node: Node, status: StepStatus, result: StepResult, outputs: Sequence[tuple[str, Artifact]] = ()
    ) -> None:
        prepared, begun = node.prepared, node.execution
        assert prepared is not None
        assert begun is not None
        log = result.log
        blob = self.store.artifacts.put(log.encode("utf-8", "replace")).digest if len(log) > INLINE_LIMIT else None
        execution = node.execution = replace(
            begun,
            status=status,
            ended_at=now_us(),
            error=None if result.error is None else _error_text(result.error),
            log_text="" if blob else log,
            log=blob,
            seconds=result.seconds,
            cpu_seconds=result.cpu_seconds,
            max_rss=result.max_rss,
        )
        bound = prepared.bound
        recipe = recipe_of(node.step.function, bound.arguments, self.store.artifacts)
        saved = [*bound.saved, recipe[1]]
        inputs = [(name, artifact.id) for name, artifact in (*bound.uses, recipe)]
        logged = result.logged
        made = [*outputs, *keep_logged(logged, self.store.artifacts)] if logged else outputs

        def write(tx: Transaction) -> None:
            executions.put_artifacts(tx, saved)
            executions.finish(tx, execution, inputs, made)
            if status == "succeeded":
                checkpoints.drop(tx, prepared.key.digest)
            put_logged(tx, execution, logged)

        self._journal.soon(write)
        self._nodes.pop(begun.id, None)
        if log and begun.id not in self._heard:  # an executor that does not say while it goes on
            self.tell("log", node, message=log)

    def _without_attempt(self, node: Node, status: StepStatus, error: str) -> None:
        now = now_us()
        execution = node.execution = Execution(
            id=new_id(),
            run_id=self.run.id,
            step=node.step.name,
            node=node.name,
            status=status,
            started_at=now,
            ended_at=now,
            executor=node.step.options.runs_on,
            error=error,
        )
        self._journal.soon(lambda tx: executions.record(tx, execution))
        self.tell("step_finished", node, status=status, message=error)


def _error_text(error: StepFailure) -> str:
    return f"{error.type}: {error.message}" + (f"\n{error.traceback}" if error.traceback else "")


def _first_line(error: Exception | None) -> str:
    return _told(error).partition("\n")[0] or "a step that it needs failed"


def _rows(artifacts: Iterable[Artifact]) -> int | None:
    counts = [int(artifact.metadata["rows"]) for artifact in artifacts if "rows" in artifact.metadata]
    return sum(counts) if counts else None


def _told(error: Exception | None) -> str:
    """What is told of an error while a run goes on: what happened on the first line, what to do below it."""
    if not isinstance(error, TidemillError):
        return "" if error is None else message_of(error)
    return "\n".join(filter(None, [error.what, error.hint, error.details]))
