"""One study from its plan to its record: rows made ready, a place in the store, the search, and what it found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from tidemill.core.errors import CancelledError, ModelError, StoreError
from tidemill.core.tasks import TASKS, Task
from tidemill.data.operations import CleaningPlan, Derive, Learned
from tidemill.data.split import TrainingParts
from tidemill.engine.key import value_digest
from tidemill.measures.intervals import Estimate
from tidemill.project import current_project
from tidemill.training.estimators import Build
from tidemill.training.frameworks import Fitting
from tidemill.training.noting import note_metrics
from tidemill.training.preparing import Prepared, prepare, query_of
from tidemill.training.recipes import Recipe, recipe_of
from tidemill.training.space import Conditional, Range, Space
from tidemill.training.targets import infer_task
from tidemill.training.tuning.folds import folds_of
from tidemill.training.tuning.following import Told, following
from tidemill.training.tuning.keeping import Kept, keep
from tidemill.training.tuning.records import Study, Trial
from tidemill.training.tuning.searching import Budget, Here, Runner, Search, Searched
from tidemill.training.tuning.starting import Start, first_points
from tidemill.training.tuning.trying import COST, Trying, wanted_metrics
from tidemill.training.weighing import ClassWeight, class_weights_by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to search, apart from the rows; fields as the parameters of `tune`."""

    build: Build
    space: Space
    metric: str | Sequence[str] | None
    task: Task | None
    cleaning: Sequence[Learned | Derive] | CleaningPlan
    costs: Mapping[str, float] | None
    rows: int | None
    sampler: Any
    pruner: Any
    seed: int
    threads: int
    early_stopping: int
    budget: Budget
    folds: int | None = None
    repeats: int = 1
    outer: int | None = None
    start: Sequence[Start] = ()
    group: str = ""
    levels: Sequence[float] = ()
    class_weight: ClassWeight | None = None
    weights: str = ""
    recipe: Recipe | Mapping[str, Any] | None = None

    def prepared(self, data: TrainingParts) -> Prepared:
        """The rows of a split, ready for fitting."""
        return prepare(
            data,
            task=self.task,
            group=self.group,
            levels=self.levels,
            class_weight=self.class_weight,
            weights=self.weights,
            cleaning=self.cleaning,
            recipe=self.recipe,
            seed=self.seed,
            threads=self.threads,
            early_stopping=self.early_stopping,
            rows=self.rows,
        )

    @property
    def question(self) -> dict[str, Any]:
        """What `train` must be told besides, without what was left out and without `cleaning`; JSON-able."""
        recipe, weight = recipe_of(self.recipe), self.class_weight
        asked = {
            "task": self.task,
            "group": self.group,
            "levels": list(self.levels),
            "class_weight": class_weights_by_name(weight) if isinstance(weight, Mapping) else weight,
            "weights": self.weights,
            "recipe": recipe.to_dict() if recipe else None,
        }
        return {name: value for name, value in asked.items() if value}

    def query(self, data: TrainingParts) -> str:
        """The column of queries, whose rows no fold may part; empty if this is no ranking."""
        return query_of(data, self.task, self.group)

    def trying(self, task: Task, metrics: Mapping[str, bool]) -> Trying:
        """What each trial does."""
        return Trying(self.build, task, metrics, self.costs or {}, self.class_weight)


def carry_out(
    plan: Plan,
    data: TrainingParts,
    *,
    name: str | None,
    resume: bool | None = None,
    is_kept: bool = True,
    judge: Callable[[], Estimate] | None = None,
) -> Study:
    """Search on the training and validation rows of a split, and say what was found.

    Parameters
    ----------
    plan, data, name, resume
        As for `tune`.
    is_kept
        Whether it may be kept in the store.
    judge
        Called when the search is done: what the whole procedure is worth.

    Raises
    ------
    ModelError
        When no trial completed.
    UsageError
        For an unknown metric, sampler or pruner.
    """
    prepared, folds = rows_of(plan, data)
    metrics = wanted_metrics(plan.metric, prepared.task, plan.costs, prepared.signature.levels)
    points, notes = first_points(plan.start, plan.space, next(iter(metrics)))
    title = name or data.spec.target
    optuna = importlib.import_module("tidemill.training.tuning.asking")  # the module that needs Optuna
    with optuna.quiet:
        asking = optuna.Asking(
            plan.space,
            directions=list(metrics.values()),
            sampler=plan.sampler,
            pruner=plan.pruner,
            seed=plan.seed,
            parallel=plan.budget.parallel,
        )
        for number, point in enumerate(points):
            asking.plan(number, point)
        measured = (
            {**metrics, COST: False} if len(metrics) > 1 and plan.costs and prepared.task == "binary" else metrics
        )
        trying = plan.trying(prepared.task, measured)
        kept = (
            keep(name, title, lambda: _parts(plan, data), _about(plan, metrics, measured), resume=resume)
            if is_kept
            else None
        )
        with _Closing(kept) as closing:
            with _runner(plan, trying, folds) as runner, _following(plan, title, metrics) as told:
                searched = Search(asking, runner, metrics, kept, plan.budget, told).run()
            study = _study(plan, title, metrics, searched, len(folds[0].truth))
            study = replace(study, importance=asking.importance(plan.seed), number=kept.number if kept else 0)
            study = replace(study, notes=(*notes, *_notes(asking, kept)))
            if judge is not None and study.ended != "interrupted":
                study = replace(study, outer=judge())
            closing.study = study
    if is_kept:  # after those of the trials, so that the last value of a metric is that of the best
        note_metrics(next(trial.values for trial in study.trials if trial.params is study.best), "tuning")
    return study


def rows_of(plan: Plan, data: TrainingParts) -> tuple[Prepared, list[Fitting]]:
    """The rows that each trial is fitted and scored on: those of the split, or of each fold."""
    if plan.folds is None:
        prepared = plan.prepared(data)
        return prepared, [prepared.fitting]
    target = data.train[data.spec.target] if data.spec.target in data.train.columns else pl.Series([0.0])
    classifies = TASKS[plan.task or infer_task(target)].classifies and not target.dtype.is_nested()
    folds = folds_of(
        data, plan.folds, repeats=plan.repeats, seed=plan.seed, stratify=classifies, group=plan.query(data)
    )
    several = [plan.prepared(fold) for fold in folds]
    return several[-1], [prepared.fitting for prepared in several]


def _following(plan: Plan, title: str, metrics: Mapping[str, bool]) -> AbstractContextManager[Told]:
    leading, greater = next(iter(metrics.items()))
    return following(title, plan.budget.trials, leading, greater_is_better=greater)


def _runner(plan: Plan, trying: Trying, folds: Sequence[Fitting]) -> AbstractContextManager[Runner]:
    """Where the trials are carried out: several at a time in worker processes, otherwise here."""
    if plan.budget.parallel == 1:
        return nullcontext(Here(trying, folds))
    working = importlib.import_module("tidemill.training.tuning.working")  # it needs Optuna as well
    workers: AbstractContextManager[Runner] = working.Workers(trying, folds, plan.budget.parallel)
    return workers


@dataclass(eq=False)
class _Closing:
    """Says in the store how a study ended, whatever happens; a study that somebody stopped can be gone on with."""

    kept: Kept | None
    study: Study | None = None

    def __enter__(self) -> _Closing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self.kept is None:
            return
        if self.study is not None:
            self.kept.close("stopped" if self.study.ended == "interrupted" else "finished", **_found(self.study))
        elif isinstance(error, StoreError):  # the store is full or gone: that the process is gone will tell the next
            return
        else:
            is_stopped = not isinstance(error, Exception) or isinstance(error, CancelledError)
            self.kept.close("stopped" if is_stopped else "failed")


def _study(plan: Plan, title: str, metrics: Mapping[str, bool], searched: Searched, rows: int) -> Study:
    """The record of a finished search; of equally good trials the first is the best."""
    complete = [trial for trial in searched.trials if trial.state == "complete"]
    if not complete:
        raise _nothing(searched) from searched.exception
    leading, greater = next(iter(metrics.items()))
    front = pareto_front(complete, metrics) if len(metrics) > 1 else ()
    best = _best(complete, leading, front, greater=greater)
    return Study(
        name=title,
        metric=leading,
        greater_is_better=greater,
        best=best.params,
        value=best.values[leading],
        trials=searched.trials,
        seed=plan.seed,
        rows=rows,
        metrics=dict(metrics),
        front=front,
        sampler=named(plan.sampler),
        pruner=named(plan.pruner),
        space=shown(plan.space),
        question=plan.question,
        ended=searched.ended,
    )


def _notes(asking: Any, kept: Kept | None) -> tuple[str, ...]:
    """What a reader of the study should know."""
    notes = []
    if kept is not None and kept.known:
        notes.append(f"{len(kept.known)} trials were taken from before this study was interrupted")
    if kept is not None and kept.known and asking.strayed:
        notes.append(
            f"the sampler would have tried other parameters than before in trials {list(asking.strayed)}: "
            "an uninterrupted study might have found something else"
        )
    return tuple(notes)


def _best(complete: Sequence[Trial], leading: str, front: Sequence[int], *, greater: bool) -> Trial:
    among = [trial for trial in complete if trial.number in front] or list(complete)
    if front and all(COST in trial.values for trial in among):
        return min(among, key=lambda trial: trial.values[COST])
    sign = 1.0 if greater else -1.0
    return max(among, key=lambda trial: sign * trial.values[leading])


def pareto_front(trials: Sequence[Trial], metrics: Mapping[str, bool]) -> tuple[int, ...]:
    """The numbers of the trials that no other beats: none is as good in every metric and better in one.

    >>> fast = Trial(0, {}, 0.81, "complete", 0.1, values={"roc_auc": 0.81, "latency_p99_ms": 0.2})
    >>> good = Trial(1, {}, 0.84, "complete", 0.1, values={"roc_auc": 0.84, "latency_p99_ms": 2.9})
    >>> poor = Trial(2, {}, 0.80, "complete", 0.1, values={"roc_auc": 0.80, "latency_p99_ms": 0.3})
    >>> pareto_front([fast, good, poor], {"roc_auc": True, "latency_p99_ms": False})
    (0, 1)
    """
    points = {
        trial.number: tuple(trial.values[name] if greater else -trial.values[name] for name, greater in metrics.items())
        for trial in trials
    }

    def is_beaten(point: tuple[float, ...]) -> bool:
        return any(
            other != point and all(o >= p for o, p in zip(other, point, strict=True)) for other in points.values()
        )

    return tuple(number for number, point in points.items() if not is_beaten(point))


def _nothing(searched: Searched) -> ModelError:
    """Why there is no best trial."""
    trials = searched.trials
    if not trials:
        return ModelError("no trial began in time", hint="Give it more seconds: timeout=….")
    failed = [trial for trial in trials if trial.state == "failed"]
    count = (
        f"all {len(trials)} trials failed" if len(failed) == len(trials) else f"none of {len(trials)} trials completed"
    )
    first = (failed or list(trials))[0]
    said = searched.hint and searched.hint in first.error
    hint = "" if said else searched.hint or "Try train() with fixed parameters first."
    return ModelError(f"{count}; the first said: {first.error}", hint=hint)


def _parts(plan: Plan, data: TrainingParts) -> dict[str, str]:
    """Digests of all that decides what a trial finds; threads and budgets do not."""
    root = current_project().root
    values = {
        "build": plan.build,
        "space": list(plan.space.items()),
        "data": (data.spec.digest, data.train, data.validation),
        "metric": plan.metric,
        "task": plan.task,
        "cleaning": plan.cleaning,
        "costs": plan.costs,
        "rows": plan.rows,
        "sampler": named(plan.sampler),
        "pruner": named(plan.pruner),
        "seed": plan.seed,
        "early_stopping": plan.early_stopping,
        "folds": (plan.folds, plan.repeats),
        "start": first_points(plan.start, plan.space, "")[0],
    }
    values |= {name: value for name, value in plan.question.items() if name not in values}
    return {name: value_digest(value, root) for name, value in values.items()}


def _about(plan: Plan, metrics: Mapping[str, bool], measured: Mapping[str, bool]) -> dict[str, Any]:
    """What is kept of a study beside its trials."""
    return {
        "metrics": dict(metrics),
        "measured": list(measured),
        "space": shown(plan.space),
        "question": plan.question,
        "sampler": named(plan.sampler),
        "pruner": named(plan.pruner),
        "seed": plan.seed,
        "trials": plan.budget.trials,
    }


def _found(study: Study) -> dict[str, Any]:
    return {
        "best": next(trial.number for trial in study.trials if trial.params is study.best),
        "value": study.value,
        "importance": dict(study.importance),
        "front": list(study.front),
        "ended": study.ended,
        "rows": study.rows,
        "notes": list(study.notes),
        "outer": None if study.outer is None else asdict(study.outer),
    }


def shown(space: Space) -> dict[str, str]:
    """A space as text."""
    return {
        name: str(where) if isinstance(where, Range | Conditional) else f"always {where!r}"
        for name, where in space.items()
    }


def named(given: Any) -> str:
    """A sampler or pruner as text."""
    if given is None or isinstance(given, str):
        return given or ""
    return str(getattr(given, "__qualname__", None) or type(given).__name__)
