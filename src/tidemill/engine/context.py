"""The step that is running here: its ids, and what it has recorded about itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from tidemill.core.errors import UsageError


@dataclass(slots=True, eq=False)
class StepContext:
    """Which attempt of which step in which run is being executed.

    Parameters
    ----------
    run_id, execution_id
        Ids in the metadata store.
    step, node, attempt
        The step's name, its place in the run, and the attempt, from 1.
    project, pipeline
        What the run belongs to.
    key
        The key of the step: the same code, parameters and inputs have the same one, in any run.
    logged
        What `record` has appended, in order: ``(kind, payload)``.
    trained
        The names of the trainings that it has begun and that can go on from a checkpoint, in order.
    finished
        Whether the step has returned; a thread that it left behind can no longer record anything.
    """

    run_id: str
    execution_id: str
    step: str
    node: str
    attempt: int
    project: str
    pipeline: str
    key: str = ""
    logged: list[tuple[str, Any]] = field(default_factory=list, repr=False)
    trained: list[str] = field(default_factory=list, repr=False)
    finished: bool = False


_current: ContextVar[StepContext | None] = ContextVar("tidemill_step", default=None)


def current() -> StepContext | None:
    """The step that is running in this thread, or in the step that started this thread; None outside a step.

    >>> current() is None
    True
    >>> with use_context(StepContext("run", "execution", "fit", "fit#2", 1, "flights", "train")):
    ...     print(current().node)
    fit#2
    """
    return _current.get()


def record(kind: str, payload: Any) -> None:
    """Append a plain value to what the running step reports with its result.

    Parameters
    ----------
    kind
        What it is, such as ``"metric"`` or ``"tag"``; the coordinator of the run knows what to do with it.
    payload
        Plain values only: it may have to leave a worker process.

    Raises
    ------
    UsageError
        Outside a step, from a thread that outlived its step, or for a metric, parameter or tag without name and value.

    Examples
    --------
    >>> with use_context(StepContext("run", "execution", "fit", "fit", 1, "flights", "train")) as step:
    ...     record("metric", {"name": "roc_auc", "value": 0.74})
    >>> step.logged
    [('metric', {'name': 'roc_auc', 'value': 0.74})]
    """
    step = _current.get()
    if step is None:
        raise UsageError(
            "nothing can be recorded outside a step", value=kind, hint="Call it in a function marked @step."
        )
    if step.finished:
        raise UsageError(
            f"step {step.node!r} has finished, and a thread that it left running tried to record something",
            value=kind,
            hint="Join the threads that a step starts before it returns.",
        )
    if kind in _NAMED and not _is_named(kind, payload):
        number = "a number" if kind == "metric" else "anything"
        raise UsageError(
            f"a {kind} needs a name and a value", value=payload, hint=f'Write {{"name": text, "value": {number}}}.'
        )
    step.logged.append((kind, payload))


_NAMED = frozenset({"metric", "param", "tag"})


def _is_named(kind: str, payload: Any) -> bool:
    if not isinstance(payload, Mapping) or not isinstance(payload.get("name"), str) or "value" not in payload:
        return False
    return kind != "metric" or isinstance(payload["value"], Real)


@contextmanager
def use_context(step: StepContext) -> Iterator[StepContext]:
    """Make `step` the running step here, and in threads started from here, until the block ends."""
    token = _current.set(step)
    _inheritance.install()
    try:
        yield step
    finally:
        _inheritance.remove()
        step.finished = True
        _current.reset(token)


class _Inheritance:
    """Lets threads started by a step inherit its context, as they will by default in a later Python.

    Without it a print, a warning or a metric in a step's own thread pool would belong to nobody.
    `threading.Thread.start` is wrapped only while a step is running in this process, and what it does for threads
    started outside one does not change.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._original: Any = threading.Thread.start
        self._wrapper: Any = None

    def install(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._original = threading.Thread.start
                self._wrapper = self._wrapped(self._original)
                threading.Thread.start = self._wrapper  # type: ignore[method-assign]

    def remove(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and threading.Thread.start is self._wrapper:
                threading.Thread.start = self._original  # type: ignore[method-assign]

    @staticmethod
    def _wrapped(original: Any) -> Any:
        def start(self: threading.Thread) -> None:
            if _current.get() is not None:
                context, run = copy_context(), self.run
                self.run = lambda: context.run(run)  # type: ignore[method-assign]
            original(self)

        return start


_inheritance = _Inheritance()
