"""Steps in processes of their own, forked from one that has only imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future

from tidemill.engine.executors.jobs import OnLine
from tidemill.engine.executors.pool import ForkPool
from tidemill.engine.tasks import StepResult, StepTask
from tidemill.store.artifacts import ArtifactStore


class IsolatedExecutor:
    """Runs each step in a fresh process that nothing has run in before, and that is gone afterwards.

    Parameters
    ----------
    workers
        How many steps run at the same time; by default one per core.
    preload
        Modules to import once, before the first fork, besides those that the steps are in.
    on_line
        Called with the task and each line that it prints, as it is printed.
    """

    name = "isolated"

    def __init__(
        self, workers: int | None = None, *, preload: Sequence[str] = (), on_line: OnLine | None = None
    ) -> None:
        self._pool = ForkPool(workers or os.cpu_count() or 1, is_reused=False, preload=preload, on_line=on_line)

    def submit(self, task: StepTask, artifacts: ArtifactStore) -> Future[StepResult]:
        """Run a step in a new process.

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
