"""What a step sees around it, the same in a worker as where it was submitted: environment, folder, project, clock."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path

from tidemill.core import clock
from tidemill.engine.executors.resources import thread_environment
from tidemill.engine.tasks import StepTask
from tidemill.project import Project, use_project


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A process's environment variables, working folder, import path and arguments, and the project and clock in use.

    Parameters
    ----------
    now_us
        Where a clock other than the machine's stood when the step was submitted.
    """

    environ: dict[str, str]
    folder: str
    path: list[str]
    argv: list[str]
    project: Project | None
    now_us: int | None

    def with_devices(self, names: tuple[str, ...]) -> Surroundings:
        """The same, with only these devices visible."""
        return replace(self, environ={**self.environ, "CUDA_VISIBLE_DEVICES": ",".join(names)})


def surroundings_of(task: StepTask) -> Surroundings:
    """What a task submitted here and now shall see."""
    in_use = {variable.name: value for variable, value in copy_context().items()}
    project, current = in_use.get("tidemill_project"), in_use.get("tidemill_clock")
    return Surroundings(
        environ={**os.environ, **thread_environment(task.cpu)},
        folder=str(Path.cwd()),
        path=list(sys.path) if not task.root or task.root in sys.path else [task.root, *sys.path],
        argv=list(sys.argv),
        project=project,
        now_us=None if current is None else clock.now_us(),
    )


def settle(surroundings: Surroundings) -> None:
    """Make this process's environment variables, folder, import path and arguments those."""
    for name in [name for name in os.environ if name not in surroundings.environ]:
        del os.environ[name]
    for name, value in surroundings.environ.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    time.tzset()
    os.chdir(surroundings.folder)
    sys.path[:], sys.argv[:] = surroundings.path, surroundings.argv


@contextmanager
def within(surroundings: Surroundings | None) -> Iterator[None]:
    """Use the project and the clock of the surroundings in this context."""
    with ExitStack() as stack:
        if surroundings is not None and surroundings.project is not None:
            stack.enter_context(use_project(surroundings.project))
        if surroundings is not None and surroundings.now_us is not None:
            stack.enter_context(clock.use_clock(clock.VirtualClock(clock.from_us(surroundings.now_us))))
        yield
