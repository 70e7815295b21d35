"""`tune`: look for the hyperparameters that do best on validation rows, and keep what was tried."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tidemill.core.clock import elapsed
from tidemill.core.errors import ModelError, TidemillError, UsageError
from tidemill.core.tasks import Task
from tidemill.data.operations import CleaningPlan, Learned
from tidemill.data.split import Splits
from tidemill.engine.step import step
from tidemill.measures.registry import Metric, metrics_of
from tidemill.measures.registry import metric as metric_of
from tidemill.training.defaults import task_from_project
from tidemill.training.estimators import Build, best_iteration, scores_of
from tidemill.training.fitted import fit_estimator
from tidemill.training.fitting import Prepared, prepare
from tidemill.training.frameworks import Fitting
from tidemill.training.libraries import require
from tidemill.training.noting import note_metrics
from tidemill.training.space import Choice, Integers, Space, Uniform


@dataclass(frozen=True, slots=True)
class Trial:
    """One try: its parameters and how it went. `value` is None where it failed, and `error` says why.

    `seconds` differs from run to run and is no part of what the trial found: comparisons leave it out.
    """

    number: int
    params: Mapping[str, Any]
    value: float | None
    state: Literal["complete", "failed"]
    seconds: float = field(compare=False)
    error: str = ""
    iterations: int | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """What tuning found.

    Parameters
    ----------
    name, metric, greater_is_better
        What it is called, and what it looked for.
    best
        All parameters of the best trial, the fixed ones included: what `train` takes.
    value
        Its value on validation rows; optimistic, since the best of many was picked.
    trials
        All trials, in the order in which they ran.
    importance
        By parameter, the share of the trials' variance that it explains; empty when there are too few trials.
    seed, rows
        The seed, and how many training rows each trial was fitted on.
    """

    name: str
    metric: str
    greater_is_better: bool
    best: Mapping[str, Any]
    value: float
    trials: tuple[Trial, ...]
    importance: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    rows: int = 0


@step(stage="tune", resolve=task_from_project)
def tune(
    build: Build,
    space: Space,
    data: Splits,
    *,
    metric: str | None = None,
    trials: int = 20,
    timeout: float | None = None,
    rows: int | None = None,
    name: str | None = None,
    task: Task | None = None,
    cleaning: Sequence[Learned] | CleaningPlan = (),
    seed: int = 0,
    threads: int = 1,
    early_stopping: int = 30,
) -> Study:
    """Search a space of hyperparameters with Optuna's TPE, scored on validation rows; test rows are not read.

    Parameters
    ----------
    build
        Takes a dict of parameters and returns an unfitted estimator, as for `train`.
    space
        By parameter, a range made by `uniform`, `integers` or `choice`; any other value is passed on as it is.
    data
        Train and validation parts.
    metric
        A metric of the task; its leading one (``"roc_auc"``, ``"accuracy"``, ``"rmse"``) if left out.
    trials, timeout
        How many trials, and after how many seconds no new one begins. With a timeout the result depends on the speed
        of the machine.
    rows
        Fit the trials on this many training rows, drawn with the seed; all if left out.
    name
        What the study is called; the name of the target if left out.
    task, cleaning, seed, threads, early_stopping
        As for `train`.

    Returns
    -------
    Study

    Raises
    ------
    ModelError
        When every trial failed; with the first failure.
    UsageError
        For an empty space, an unknown metric or no trials.

    Examples
    --------
    >>> import polars as pl
    >>> from tidemill.data.split import by_share, split
    >>> from tidemill.training.space import integers
    >>> data = split(pl.DataFrame({"x": range(100), "late": [v > 60 for v in range(100)]}), by_share(), "late")
    >>> class Above:
    ...     def __init__(self, cut):
    ...         self.cut = cut
    ...
    ...     def fit(self, X, y):
    ...         return self
    ...
    ...     def predict(self, X):
    ...         return X[:, 0] > self.cut
    >>> found = tune(lambda params: Above(**params), {"cut": integers(0, 100)}, data, metric="accuracy", trials=30)
    >>> found.best, found.value
    ({'cut': 60}, 1.0)
    """
    if trials < 1:
        raise UsageError("tuning needs at least one trial", value=trials, hint="Use 20.")
    if not any(isinstance(value, Uniform | Integers | Choice) for value in space.values()):
        raise UsageError("the search space has no ranges", value=dict(space), hint="Use uniform, integers or choice.")
    optuna = require("optuna", extra="ml", purpose="Tuning")
    prepared = prepare(
        data, task=task, cleaning=cleaning, seed=seed, threads=threads, early_stopping=early_stopping, rows=rows
    )
    levels = prepared.signature.levels
    wanted = metric_of(metric or next(iter(metrics_of(prepared.task, levels))), prepared.task, levels)
    search = _Search(build, space, prepared, wanted)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        study = optuna.create_study(
            direction="maximize" if wanted.greater_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=seed),
        )
        until = math.inf if timeout is None else elapsed() + timeout
        while len(search.trials) < trials and elapsed() < until:
            asked = study.ask()
            found = search.run(asked)
            failed = optuna.trial.TrialState.FAIL if found.value is None else None
            study.tell(asked, found.value, state=failed)
        return search.study(name or data.spec.target, _importance(optuna, study, seed))
    finally:
        optuna.logging.set_verbosity(before)


class _Search:
    """One study's trials so far; encoded rows are shared by all of them."""

    def __init__(self, build: Build, space: Space, prepared: Prepared, metric: Metric) -> None:
        self.trials: list[Trial] = []
        self._build = build
        self._space = space
        self._prepared = prepared
        self._metric = metric
        self._first_failure: Exception | None = None

    def run(self, asked: Any) -> Trial:
        """Try the parameters that Optuna proposes; a failure is a result like another."""
        params = {name: _suggest(asked, name, where) for name, where in self._space.items()}
        started = elapsed()
        try:
            value, iterations = self._try(params)
            trial = Trial(asked.number, params, value, "complete", elapsed() - started, "", iterations)
        except Exception as error:
            self._first_failure = self._first_failure or error
            said = "".join(traceback.format_exception_only(error)).strip()
            trial = Trial(asked.number, params, None, "failed", elapsed() - started, said)
        self.trials.append(trial)
        note_metrics({self._metric.name: trial.value, "seconds": trial.seconds}, "tuning", step=trial.number)
        return trial

    def _try(self, params: dict[str, Any]) -> tuple[float, int | None]:
        fitting: Fitting = self._prepared.fitting
        task = self._prepared.task
        estimator = fit_estimator(self._build, params, fitting)
        scores = scores_of(estimator, fitting.validation, task, fitting.outputs)
        value = self._metric.prepare(self._prepared.facts, scores, 0.5)(None)
        if math.isnan(value):
            raise ModelError(
                f"{self._metric.name} is not defined on the validation rows: {self._metric.undefined}",
                hint="Widen the validation part, or tune another metric.",
            )
        return value, best_iteration(estimator)

    def study(self, name: str, importance: Mapping[str, float]) -> Study:
        """The record of a finished search; of equally good trials the first is the best."""
        complete = [trial for trial in self.trials if trial.value is not None]
        if not complete:
            cause = self._first_failure
            said = (
                f"all {len(self.trials)} trials failed; the first said: {self.trials[0].error}" if self.trials else ""
            )
            raise ModelError(
                said or "no trial began in time",
                hint=cause.hint if isinstance(cause, TidemillError) else "Try train() with fixed parameters first.",
            ) from cause
        sign = 1.0 if self._metric.greater_is_better else -1.0
        best = max(complete, key=lambda trial: sign * float(trial.value or 0.0))
        return Study(
            name=name,
            metric=self._metric.name,
            greater_is_better=self._metric.greater_is_better,
            best=best.params,
            value=float(best.value or 0.0),
            trials=tuple(self.trials),
            importance=importance,
            seed=self._prepared.fitting.seed,
            rows=len(self._prepared.fitting.truth),
        )


def _suggest(trial: Any, name: str, where: Any) -> Any:
    if isinstance(where, Uniform):
        return trial.suggest_float(name, where.low, where.high, log=where.log)
    if isinstance(where, Integers):
        return trial.suggest_int(name, where.low, where.high, log=where.log)
    if isinstance(where, Choice):
        return trial.suggest_categorical(name, list(where.options))
    return where


def _importance(optuna: Any, study: Any, seed: int) -> dict[str, float]:
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=16, seed=seed)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
