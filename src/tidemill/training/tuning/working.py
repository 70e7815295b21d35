"""Trials in worker processes: the rows are laid down once and shared, each trial is a task of its own."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError, PipelineError, UsageError
from tidemill.core.ids import new_id
from tidemill.engine.context import record
from tidemill.engine.executors import WorkerExecutor
from tidemill.engine.references import reference
from tidemill.engine.tasks import StepFailure, StepResult, StepTask
from tidemill.project import current_project
from tidemill.store.artifacts import open_artifacts
from tidemill.training.frameworks import Fitting
from tidemill.training.tuning.asking import Asked, Asking, Precedents, judge_by
from tidemill.training.tuning.outcomes import Outcome, Reports
from tidemill.training.tuning.trying import Trying, attempt

_OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class LaidDown:
    """Rows as files: each array of a `Fitting` in one, all else beside it."""

    folder: str
    folds: tuple[Mapping[str, Any], ...]


class Workers:
    """Carries trials out in worker processes; a context, which ends them.

    Parameters
    ----------
    trying, folds
        What each trial does, and on which rows.
    workers
        How many run at the same time.
    """

    def __init__(self, trying: Trying, folds: Sequence[Fitting], workers: int) -> None:
        try:
            reference(trying.build)
        except PipelineError as error:
            raise UsageError(
                f"parallel trials run in worker processes: {error.what}",
                value=error.value,
                hint="Move it to the top level of a module, or leave parallel out.",
            ) from error
        self._trying = trying
        self._folder = TemporaryDirectory(prefix="tidemill-study-")
        self._laid_down = lay_down(Path(self._folder.name), folds)
        self._artifacts = open_artifacts(str(Path(self._folder.name) / "artifacts"), create=True)
        self._executor = WorkerExecutor(workers)
        self._threads = folds[0].threads
        self._tasks: list[str] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.close()
        self._folder.cleanup()

    def submit(self, asked: Asked, asking: Asking) -> Future[Outcome]:
        """Send a trial to the next worker that is free."""
        project = current_project()
        task = StepTask(
            execution_id=new_id(),
            run_id="",
            project=project.name,
            pipeline="trial",
            step="trial",
            node=f"trial {asked.number}",
            attempt=1,
            function=carry_out_trial,
            arguments={
                "trying": self._trying,
                "laid_down": self._laid_down,
                "params": asked.params,
                "precedents": asking.precedents(asked),
            },
            cpu=float(self._threads),
            root=str(project.root),
        )
        done: Future[Outcome] = Future()
        sent = self._executor.submit(task, self._artifacts)
        sent.add_done_callback(lambda result: _pass_on(result, done))
        return done


def lay_down(folder: Path, folds: Sequence[Fitting]) -> LaidDown:
    """Write the rows of each fold into a folder."""
    rest = []
    for place, fold in enumerate(folds):
        values = {item.name: getattr(fold, item.name) for item in fields(fold)}
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                np.save(folder / f"{place}-{name}.npy", value)
        rest.append({name: value for name, value in values.items() if not isinstance(value, np.ndarray)})
    return LaidDown(str(folder), tuple(rest))


def carry_out_trial(trying: Trying, laid_down: LaidDown, params: dict[str, Any], precedents: Precedents | None) -> None:
    """In a worker: one trial, whose outcome travels with what the step records."""
    folds = _picked_up(laid_down.folder, len(laid_down.folds))
    folds = [replace(fold, **rest) for fold, rest in zip(folds, laid_down.folds, strict=True)]
    judge = None if precedents is None else judge_by(precedents)
    reports = Reports(greater_is_better=next(iter(trying.metrics.values())), judge=judge)
    outcome = attempt(trying, folds, params, reports)
    record(_OUTCOME, replace(outcome, exception=None))


@functools.lru_cache(maxsize=1)
def _picked_up(folder: str, count: int) -> list[Fitting]:
    """The rows of a folder: mapped, so that the workers of a study share them; what one writes is its own."""
    found = []
    for place in range(count):
        arrays = {
            path.stem.partition("-")[2]: np.load(path, mmap_mode="c").view(np.ndarray)
            for path in Path(folder).glob(f"{place}-*.npy")
        }
        found.append(Fitting(**{"names": (), **arrays}))
    return found


def _pass_on(sent: Future[StepResult], done: Future[Outcome]) -> None:
    failure = None if sent.cancelled() else sent.exception()
    if failure is None:
        result = sent.result()
        failure = _not_the_trials(result.error)
    if failure is not None:
        done.set_exception(failure)
    else:
        done.set_result(_outcome(result))


def _not_the_trials(error: StepFailure | None) -> BaseException | None:
    """What went wrong before the trial began, such as a worker that does not find `build`: others would fail too."""
    if error is None or error.kind != "tidemill":
        return None
    return error.exception or ModelError(f"{error.type}: {error.message}", hint="Leave parallel out to try it here.")


def _outcome(result: StepResult) -> Outcome:
    """What a task's result says of the trial; a trial whose process is gone has failed, alone."""
    for kind, payload in result.logged:
        if kind == _OUTCOME:
            return payload  # type: ignore[no-any-return]  # it was an outcome where it was recorded
    if result.status == "cancelled" or result.error is None:
        return Outcome("stopped", seconds=result.seconds, error="the study was stopped")
    return Outcome("failed", seconds=result.seconds, error=f"{result.error.type}: {result.error.message}")
