"""Steps in processes forked from one that has only imported: warm ones that are used again, or a fresh one each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from typing import ClassVar

from tidemill.engine.executors.jobs import OnLine
from tidemill.engine.executors.pool import ForkPool
from tidemill.engine.tasks import StepResult, StepTask
from tidemill.store.artifacts import ArtifactStore


class _ForkExecutor:
    """What the two executors share: a pool, which differs in whether its processes are used again."""

    name: ClassVar[str]
    _is_reused: ClassVar[bool]

    def __init__(
        self, workers: int | None = None, *, preload: Sequence[str] = (), on_line: OnLine | None = None
    ) -> None:
        count = workers or os.cpu_count() or 1
        self._pool = ForkPool(count, is_reused=self._is_reused, preload=preload, on_line=on_line)

    def submit(self, task: StepTask, artifacts: ArtifactStore) -> Future[StepResult]:
        """Run a step in the next process that is free for it.

        Raises
        ------
        PipelineError
            The function or an argument cannot travel, or the machine has not what the step declares.
        """
        return self._pool.submit(task, artifacts)

    def cancel(self, execution_id: str) -> None:
        """Stop a step: its process group is killed if it runs."""
        self._pool.cancel(execution_id)

    def close(self) -> None:
        """End every process; what has not finished is cancelled."""
        self._pool.close()


class WorkerExecutor(_ForkExecutor):
    """Runs steps in a pool of processes that live as long as the executor.

    A step that declares `memory` or `gpu` gets a fresh process all the same, so that what earlier steps left behind
    is not counted against it.

    Parameters
    ----------
    workers
        How many steps run at the same time; by default one per core.
    preload
        Modules to import once, before the first fork, besides those that the steps are in.
    on_line
        Called with the task and each line that it prints, as it is printed.
    """

    name = "worker"
    _is_reused = True


class IsolatedExecutor(_ForkExecutor):
    """Runs each step in a fresh process that nothing has run in before, and that is gone afterwards.

    Parameters are those of `WorkerExecutor`.
    """

    name = "isolated"
    _is_reused = False
