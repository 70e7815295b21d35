"""The life of a run: begin, execute the body, end; whatever happens, the store says how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.core.clock import elapsed, now_us
from tidemill.core.errors import CancelledError, LeaseLostError, message_of
from tidemill.core.ids import new_id
from tidemill.core.records import Context, Lease, Run, RunStatus
from tidemill.engine import context, parameters, provenance
from tidemill.engine.active import scheduling
from tidemill.engine.caching import Cache, Hit
from tidemill.engine.coordinator import Coordinator
from tidemill.engine.crew import Crew
from tidemill.engine.ears import Ears
from tidemill.engine.events import Listener
from tidemill.engine.executors import Executor
from tidemill.engine.failures import first_error
from tidemill.engine.graph import Node
from tidemill.engine.handle import edge_of, handles_in, values_of
from tidemill.engine.journal import Journal
from tidemill.engine.lease import Heartbeat, LeaseSettings, acquire
from tidemill.engine.recorder import Recorder
from tidemill.engine.result import RunResult, StepSummary
from tidemill.engine.resume import Earlier, earlier_run, recover
from tidemill.engine.signals import Interrupts, Stopped, Why
from tidemill.store import Store, contexts, executions, runs
from tidemill.store.database import Transaction

Body = Callable[..., Any]
Bind = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a pipeline is run, apart from its arguments.

    Parameters
    ----------
    store, project, root
        Where to keep everything, the project's name, and its folder: code below it is part of the cache keys.
    listeners
        Who is told about progress.
    resume
        The run to go on from: an id, the beginning of one, or ``"last"``.
    cache
        Whether steps may be taken from earlier runs.
    threads
        How many inline steps may run at the same time.
    executors
        Executors to use instead of the usual ones, by name.
    lease
        How long a run may be silent before it counts as dead, and how often it speaks.
    stand_ins
        What stands in for the nodes that are not to be repeated, by node: reads and effects take it, and nothing else.
    """

    store: Store
    project: str
    root: Path
    listeners: Sequence[Listener] = ()
    resume: str | None = None
    cache: bool = True
    threads: int | None = None
    executors: Mapping[str, Executor] = field(default_factory=dict)
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    stand_ins: Mapping[str, Hit] | None = None


def run_body(name: str, body: Body, bind: Bind, options: RunOptions) -> RunResult:
    """Run a pipeline's body to its end.

    Parameters
    ----------
    name
        Of the pipeline.
    body
        The function that calls steps.
    bind
        Completes the arguments: given the recorded ones of the run to resume (none for a new run), it returns all.
    options
        Everything else.

    Returns
    -------
    RunResult
        Also for a run that failed or was cancelled from another process.

    Raises
    ------
    KeyboardInterrupt, CancelledError
        After Ctrl-C or SIGTERM; the run is then marked as cancelled.
    LeaseLostError
        Another process took over the run; nothing more was written.
    ConflictError, NotFoundError, UsageError
        The run to resume cannot be resumed.
    """
    began = elapsed()
    run, arguments, lease, earlier = _begin(name, bind, options)
    session = _Session(run, body, lease, earlier, options)
    return session.execute(arguments, began)


def _begin(name: str, bind: Bind, options: RunOptions) -> tuple[Run, dict[str, Any], Lease, Earlier | None]:
    around = context.current()
    surroundings, tables = provenance.recorded(options.root)
    with options.store.metadata.transaction() as tx:
        recover(tx)
        earlier = earlier_run(tx, options.project, name, options.resume) if options.resume is not None else None
        arguments = bind({} if earlier is None else earlier.run.arguments)
        run = Run(
            id=new_id(),
            project=options.project,
            pipeline=name,
            status="running",
            started_at=now_us(),
            parent_id=None if around is None else around.run_id,
            resumed_from=None if earlier is None else earlier.run.id,
            user=provenance.user(),
            host=provenance.host(),
            commit=provenance.commit(options.root),
            arguments=parameters.write(arguments),
            environment=surroundings,
        )
        for digest, table in tables.items():
            executions.put_fingerprint(tx, digest, table)
        runs.insert(tx, run)
        _place(tx, run)
        lease = acquire(tx, run.id, options.lease.ttl)
    return run, arguments, lease, earlier


def _place(tx: Transaction, run: Run) -> None:
    """Put a run into the contexts of its project and its pipeline."""
    project = contexts.put(tx, Context(new_id(), "project", run.project, run.started_at))
    pipeline = contexts.put(tx, Context(new_id(), "pipeline", run.pipeline, run.started_at, project.id))
    contexts.attach(tx, run.id, project.id)
    contexts.attach(tx, run.id, pipeline.id)


class _Session:
    """A run between its beginning and its end."""

    def __init__(self, run: Run, body: Body, lease: Lease, earlier: Earlier | None, options: RunOptions) -> None:
        self._run = run
        self._execute_body = body
        self._is_terminated = False
        store = options.store
        self._interrupts = Interrupts(self._postpone)
        self._heart = Heartbeat(store, run.id, lease, options.lease, self._stop)
        self._journal = Journal(store, self._heart.guard)
        self._recorder = Recorder(store, self._journal, run, str(options.root), options.listeners)
        finished = None if earlier is None else earlier.finished
        cache = Cache(store, options.root, finished, use=options.cache, within=body, stand_ins=options.stand_ins)
        ears = Ears(self._recorder.printed, self._postpone) if options.listeners else None
        self._crew = Crew(store.artifacts, options.threads, options.executors, None if ears is None else ears.hear)
        self._coordinator = Coordinator(self._recorder, cache, self._crew, self._interrupts, ears)

    def _stop(self, why: Why) -> None:
        self._interrupts.ask(why)

    def _postpone(self, why: Why | None = None) -> None:
        self._coordinator.wake(why)

    def execute(self, arguments: dict[str, Any], began: float) -> RunResult:
        """Run the body and everything that it schedules, and record the end."""
        try:
            result, status, error = self._to_the_end(arguments)
            if isinstance(error, LeaseLostError):
                raise error
            message = None if error is None else (message_of(error) or type(error).__name__)
            self._journal.later(self._heart.release)
            self._journal.later(lambda tx: runs.finish(tx, self._run.id, status, now_us(), message))
            self._journal.flush()
        finally:
            self._crew.close()  # last, since a cancelled step in a thread of this process can only be waited for
        seconds = elapsed() - began
        self._recorder.tell("run_finished", status=status, seconds=seconds, message=message or "")
        self._recorder.settle()
        if error is not None and (not isinstance(error, Exception) or self._is_terminated):
            raise error
        return self._result(status, error, seconds, result)

    def _to_the_end(self, arguments: dict[str, Any]) -> tuple[Any, RunStatus, BaseException | None]:
        self._heart.start()
        try:
            with self._interrupts.installed():
                result, error = self._body(arguments)
                status, error = self._settle(result, error)
        finally:
            self._coordinator.abandon()
            self._heart.stop()
        return result, status, error

    def _body(self, arguments: dict[str, Any]) -> tuple[Any, BaseException | None]:
        try:
            self._recorder.tell("run_started", details=self._run.arguments)
            with scheduling(self._coordinator):
                self._interrupts.open = True
                try:
                    result = self._execute_body(**arguments)
                finally:
                    self._interrupts.open = False
            self._coordinator.drain()
        except BaseException as error:  # it is recorded, then raised or returned
            return None, error
        return result, None

    def _settle(self, result: Any, error: BaseException | None) -> tuple[RunStatus, BaseException | None]:
        """Bring every node to an end, and say how the run ended."""
        if isinstance(error, Exception) and not isinstance(error, LeaseLostError):
            error = self._finish_branches(error)
        if isinstance(error, Stopped):
            self._is_terminated = error.why == "terminate"
            error = error.error()
        if isinstance(error, LeaseLostError):
            return "interrupted", error
        if isinstance(error, CancelledError) or (error is not None and not isinstance(error, Exception)):
            self._coordinator.stop()
            return "cancelled", error
        if error is not None:
            return "failed", error
        returned = [edge_of(handle).node for handle in handles_in(result)]
        failed = [node for node in self._coordinator.graph.nodes if node.state == "failed" and not node.seen]
        errors = list({id(node.error): node.error for node in [*returned, *failed] if node.error is not None}.values())
        return ("failed", first_error(errors)) if errors else ("succeeded", None)

    def _finish_branches(self, error: Exception) -> BaseException:
        """The body failed; the branches that it has started finish all the same."""
        try:
            self._coordinator.drain()
        except (Stopped, KeyboardInterrupt, LeaseLostError) as later:
            return later
        except Exception:  # the first error is the one to tell
            self._coordinator.stop()
        return error

    def _result(self, status: RunStatus, error: BaseException | None, seconds: float, result: Any) -> RunResult:
        return RunResult(
            id=self._run.id,
            pipeline=self._run.pipeline,
            project=self._run.project,
            status=status,
            steps=[_summary(node) for node in self._coordinator.graph.nodes],
            seconds=seconds,
            error=error,
            resumed_from=self._run.resumed_from,
            load=(lambda: values_of(result)) if status == "succeeded" else None,
        )


def _summary(node: Node) -> StepSummary:
    execution = node.execution
    if execution is None:  # the run ended before anything could be said about it
        return StepSummary(node.name, node.step.name, node.step.stage, "cancelled")
    return StepSummary(
        node=node.name,
        step=node.step.name,
        stage=node.step.stage,
        status=execution.status,
        seconds=execution.seconds,
        execution_id=execution.id,
        attempt=execution.attempt,
        rows_in=node.rows_in,
        rows_out=node.rows_out,
        outputs={name: artifact.id for name, artifact in node.outputs.items()},
        error="" if node.error is None else str(node.error),
    )
