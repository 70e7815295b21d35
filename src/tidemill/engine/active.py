"""Who schedules a step call: the run or the plan whose pipeline body is being executed in this context, if any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from tidemill.engine import context


class Scheduler(Protocol):
    """What a pipeline body talks to without knowing it: a run that executes, or a plan that only looks.

    The steps and handles that it speaks of are those of `tidemill.engine.step` and `tidemill.engine.handle`, which
    stand on this module.
    """

    def schedule(self, step: Any, arguments: Mapping[str, Any]) -> Any:
        """Add a node for one step call."""
        ...

    def schedule_map(self, step: Any, parameter: str, items: Iterable[Any], fixed: Mapping[str, Any]) -> Any:
        """Add a node per item."""
        ...

    def load(self, handle: Any) -> object:
        """Wait for the node of a handle and load what the handle stands for."""
        ...


_active: ContextVar[tuple[Scheduler | None, context.StepContext | None]] = ContextVar(
    "tidemill_scheduler", default=(None, None)
)


def scheduler() -> Scheduler | None:
    """The scheduler of the pipeline body that is being executed here; None inside a step and outside of pipelines."""
    scheduler, around = _active.get()
    # A step runs in a context that its pipeline's body did not have: calls from there are plain calls.
    return scheduler if scheduler is not None and context.current() is around else None


@contextmanager
def scheduling(with_scheduler: Scheduler | None) -> Iterator[None]:
    """Let step calls in this context go to a scheduler, or (with None) be plain calls."""
    token = _active.set((with_scheduler, context.current()))
    try:
        yield
    finally:
        _active.reset(token)
