"""One step to execute: what goes in, what comes out, and `execute`, which every executor runs."""

from __future__ import annotations

import itertools
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tidemill.core import clock
from tidemill.core.errors import TidemillError, message_of
from tidemill.core.records import Artifact
from tidemill.engine import materialisers
from tidemill.engine.context import StepContext, use_context
from tidemill.engine.logs import StepLog, capture
from tidemill.engine.materialisers import Draft
from tidemill.engine.references import FunctionRef, resolve
from tidemill.engine.snapshots import snapshot
from tidemill.store.artifacts import ArtifactStore

__all__ = ["Argument", "FunctionRef", "Parts", "StepFailure", "StepResult", "StepTask", "Stored", "execute"]

FailureKind = Literal["user", "timeout", "died", "cancelled", "tidemill"]


@dataclass(frozen=True, slots=True)
class Stored:
    """An argument that is loaded from the artifact store where the step runs.

    Parameters
    ----------
    artifact
        What to load.
    annotation
        The type that the step asked for.
    field
        Take only this field of the loaded record.
    """

    artifact: Artifact
    annotation: Any = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """An argument that was stored as several artifacts and is put together where the step runs."""

    annotation: Any
    values: Mapping[str, Stored]


#: A plain value, `Stored`, `Parts`, or a list, tuple or mapping that contains them at any depth.
Argument = Any


@dataclass(frozen=True, slots=True)
class StepTask:
    """One attempt of one step: the function, its arguments and its limits.

    Parameters
    ----------
    execution_id, run_id, project, pipeline, step, node, attempt
        What the step sees as its context.
    function
        The function itself, or where another process finds it.
    arguments
        Keyword arguments.
    returns
        The annotation of the result; it decides how outputs are stored and split.
    artifacts_url, artifacts_options
        Where and how worker processes open the artifact store.
    timeout, memory, cpu, gpu
        Limits: seconds, bytes of resident memory, threads, devices. An executor honours or refuses them.
    root
        The project's folder, put on ``sys.path`` in worker processes.
    key
        The key of the step; empty where there is none.
    """

    execution_id: str
    run_id: str
    project: str
    pipeline: str
    step: str
    node: str
    attempt: int
    function: Callable[..., Any] | FunctionRef
    arguments: Mapping[str, Argument]
    returns: Any = None
    artifacts_url: str = ""
    artifacts_options: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    memory: int | None = None
    cpu: float | None = None
    root: str = ""
    gpu: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True)
class StepFailure:
    """Why a step has no result.

    Parameters
    ----------
    type, message
        The exception's class name and text, or the name of what happened to the process.
    traceback
        The traceback as text, without Tidemill's own frames; empty where the process is gone.
    kind
        The step's function raised ("user"), it took too long, its process died, somebody cancelled it, or Tidemill
        could not load its inputs, store its outputs or start it ("tidemill").
    exception
        The exception itself, where it was raised in this process or is Tidemill's own.
    """

    type: str
    message: str
    traceback: str = ""
    kind: FailureKind = "user"
    exception: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one attempt of a step.

    Parameters
    ----------
    outputs
        Named drafts of what was stored: one named ``"output"``, or the parts. Empty unless it succeeded.
    log
        What it printed, warned and logged.
    seconds, cpu_seconds
        Wall and CPU seconds, loading and storing included. In process, CPU seconds of other threads that the step
        used are counted only while no other step ran beside it.
    max_rss
        Peak resident bytes of the process during the step; 0 where it is not known (in process, when the peak was
        reached before).
    rows_in, rows_out
        Rows of the tables read and written; None where there was none.
    logged
        What the step recorded: ``(kind, payload)`` in order.
    """

    status: Literal["succeeded", "failed", "cancelled"]
    outputs: tuple[tuple[str, Draft], ...] = ()
    log: str = ""
    error: StepFailure | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_rss: int = 0
    rows_in: int | None = None
    rows_out: int | None = None
    logged: tuple[tuple[str, Any], ...] = ()


def execute(task: StepTask, artifacts: ArtifactStore, log: StepLog | None = None, *, tee: bool = False) -> StepResult:
    """Run one attempt of a step here and now: load, call, store, and turn whatever happens into a result.

    Parameters
    ----------
    task
        What to run.
    artifacts
        Where its inputs are and its outputs go.
    log
        Where its log goes; a new one by default. A closed log captures nothing: the caller watches the descriptors, or
        wants a debugger to see the terminal.
    tee
        Whether the real streams get the log as well.

    Returns
    -------
    StepResult
        Never raises for what the step does, except for KeyboardInterrupt.
    """
    log = StepLog() if log is None else log
    step = StepContext(
        task.run_id, task.execution_id, task.step, task.node, task.attempt, task.project, task.pipeline, task.key
    )  # fmt: skip
    meter = _Meter()
    outputs: tuple[tuple[str, Draft], ...] = ()
    error: StepFailure | None = None
    with nullcontext() if log.closed else capture(log, tee=tee), use_context(step), meter:
        try:
            outputs = _run(task, artifacts)
        except _UserError as failure:
            error = _failure(failure.original, "user")
        except Exception as failure:  # every failure of a step becomes its result
            error = _failure(failure, "tidemill")
    return StepResult(
        status="failed" if error else "succeeded",
        outputs=outputs,
        log=log.text(),
        error=error,
        seconds=meter.seconds,
        cpu_seconds=meter.cpu_seconds,
        max_rss=meter.max_rss,
        rows_in=_rows(_artifacts(task.arguments)),
        rows_out=_rows(draft for _, draft in outputs),
        logged=tuple(step.logged),
    )


class _UserError(Exception):
    """Carries what the step's function raised past the handler for Tidemill's own failures."""

    def __init__(self, original: BaseException) -> None:
        super().__init__(original)
        self.original = original


def _run(task: StepTask, artifacts: ArtifactStore) -> tuple[tuple[str, Draft], ...]:
    function = _resolved(task.function) if isinstance(task.function, FunctionRef) else task.function
    arguments = {name: _load(value, artifacts) for name, value in task.arguments.items()}
    try:
        value = function(**arguments)
    except (Exception, SystemExit) as error:
        raise _UserError(error) from None
    parts = None if task.returns is None else materialisers.parts(task.returns)
    if parts is None:
        return (("output", materialisers.save(value, task.returns, artifacts)),)
    values = materialisers.split(task.returns, value)
    return tuple((name, materialisers.save(values[name], parts[name], artifacts)) for name in parts)


def _resolved(ref: FunctionRef) -> Callable[..., Any]:
    try:
        return resolve(ref)
    except TidemillError:
        raise
    except (Exception, SystemExit) as error:  # the step's module raised while it was imported
        raise _UserError(error) from None


def _load(argument: Argument, artifacts: ArtifactStore) -> Any:
    if isinstance(argument, Stored):
        value = materialisers.load(argument.artifact, argument.annotation, artifacts)
        if argument.field is None:
            return value
        return value[argument.field] if isinstance(value, Mapping) else getattr(value, argument.field)
    if isinstance(argument, Parts):
        parts = {name: _load(stored, artifacts) for name, stored in argument.values.items()}
        return materialisers.assemble(argument.annotation, parts)
    if isinstance(argument, list):
        return [_load(item, artifacts) for item in argument]
    if isinstance(argument, tuple):
        items = (_load(item, artifacts) for item in argument)
        return type(argument)(*items) if hasattr(argument, "_fields") else tuple(items)
    if isinstance(argument, dict):
        return {name: _load(item, artifacts) for name, item in argument.items()}
    return snapshot(argument)  # what the function does to its own must not reach the next attempt


def _artifacts(argument: Argument) -> Iterable[Artifact]:
    """Every artifact inside an argument."""
    if isinstance(argument, Stored):
        yield argument.artifact
    elif isinstance(argument, Parts):
        yield from (stored.artifact for stored in argument.values.values())
    elif isinstance(argument, Mapping):
        yield from itertools.chain.from_iterable(map(_artifacts, argument.values()))
    elif isinstance(argument, list | tuple):
        yield from itertools.chain.from_iterable(map(_artifacts, argument))


def _rows(stored: Iterable[Artifact | Draft]) -> int | None:
    counts = [int(item.metadata["rows"]) for item in stored if "rows" in item.metadata]
    return sum(counts) if counts else None


def _failure(error: BaseException, kind: FailureKind) -> StepFailure:
    return StepFailure(
        type=type(error).__qualname__,
        message=message_of(error),
        traceback="" if kind == "tidemill" and isinstance(error, TidemillError) else trimmed_traceback(error),
        kind=kind,
        exception=error,
    )


_CALLERS = tuple(str(Path(__file__).parent / name) for name in ("tasks.py", "executors"))


def trimmed_traceback(error: BaseException) -> str:
    """The traceback of an exception and of what caused it, without the frames of the engine that called the step."""
    shown = traceback.TracebackException.from_exception(error, limit=None, compact=True)
    pending: list[traceback.TracebackException | None] = [shown]
    while pending:
        part = pending.pop()
        if part is not None:
            kept = [frame for frame in part.stack if not frame.filename.startswith(_CALLERS)]
            part.stack = traceback.StackSummary.from_list(kept)
            pending += [part.__cause__, part.__context__]
    return "".join(shown.format())


class _Meter:
    """Measures a block: wall, CPU, and the growth of the process's peak memory."""

    _lock = threading.Lock()
    _started = 0
    _running = 0

    seconds = 0.0
    cpu_seconds = 0.0
    max_rss = 0

    def __enter__(self) -> None:
        with self._lock:
            _Meter._started += 1
            _Meter._running += 1
            self._alone = _Meter._running == 1
            self._serial = _Meter._started
        self._rss = peak_rss()
        self._cpu = (time.process_time(), time.thread_time())
        self._start = clock.elapsed()

    def __exit__(self, *_: object) -> None:
        self.seconds = clock.elapsed() - self._start
        process, thread = time.process_time() - self._cpu[0], time.thread_time() - self._cpu[1]
        with self._lock:
            _Meter._running -= 1
            alone = self._alone and _Meter._started == self._serial
        self.cpu_seconds = process if alone else thread
        peak = peak_rss()
        self.max_rss = peak if peak > self._rss else 0


def peak_rss() -> int:
    """The largest resident size that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
