"""`tune`: look for the hyperparameters that do best on validation rows, and keep what was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidemill.core.tasks import Task
from tidemill.data.operations import CleaningPlan, Derive, Learned
from tidemill.data.split import TrainingParts
from tidemill.engine.step import step
from tidemill.training.estimators import Build
from tidemill.training.libraries import require
from tidemill.training.recipes import Recipe
from tidemill.training.space import Space
from tidemill.training.tuning.carrying import Plan, carry_out
from tidemill.training.tuning.checking import check_budget, check_question
from tidemill.training.tuning.nesting import INNER, judged
from tidemill.training.tuning.records import Study
from tidemill.training.tuning.searching import Budget
from tidemill.training.tuning.starting import with_studies
from tidemill.training.weighing import ClassWeight


@step(stage="tune", resolve=with_studies)
def tune(
    build: Build,
    space: Space,
    data: TrainingParts,
    *,
    metric: str | Sequence[str] | None = None,
    trials: int = 20,
    timeout: float | None = None,
    rows: int | None = None,
    name: str | None = None,
    resume: bool | None = None,
    start: Study | Mapping[str, Any] | str | Sequence[Study | Mapping[str, Any] | str] = (),
    folds: int | None = None,
    repeats: int = 1,
    outer: int | None = None,
    sampler: Any = "tpe",
    pruner: Any = None,
    parallel: int = 1,
    task: Task | None = None,
    group: str = "",
    levels: Sequence[float] = (),
    class_weight: ClassWeight | None = None,
    weights: str = "",
    cleaning: Sequence[Learned | Derive] | CleaningPlan = (),
    recipe: Recipe | Mapping[str, Any] | None = None,
    costs: Mapping[str, float] | None = None,
    seed: int = 0,
    threads: int = 1,
    early_stopping: int = 30,
) -> Study:
    """Search a space of hyperparameters with Optuna, scored on validation rows; test rows are not read.

    In a run each trial is recorded as a child run, and so it is outside of one where the study has a name: what has
    ended is never tried again, also after a crash. With the same seed the study is the same, interrupted or not.

    Parameters
    ----------
    build
        Takes a dict of parameters and returns an unfitted estimator, as for `train`.
    space
        By parameter, a range made by `uniform`, `integers`, `choice` or `conditional`; any other value is passed on as
        it is.
    data
        Train and validation parts; a split, whose test part is no input.
    metric
        A metric of the task; its leading one (``"roc_auc"``, ``"accuracy"``, ``"rmse"``) if left out. Besides there are
        ``"latency_p99_ms"`` of single rows, ``"fit_seconds"`` and, where `costs` are known, ``"cost_per_1000"``. Of
        several, the study holds the Pareto front.
    trials, timeout
        How many trials, and after how many seconds no new one begins; both count what was tried before an interruption.
        With a timeout the result depends on the speed of the machine.
    rows
        Fit the trials on this many training rows, drawn with the seed; all if left out. Of a ranking whole queries are
        drawn.
    name
        What the study is called; the name of the target if left out. Outside of a run, only a study with a name is
        kept.
    resume
        By default a study goes on if the last one in the store that asked the same was interrupted, and begins anew
        otherwise. True: go on with the last one of this name, also if it was finished, and refuse if it asked something
        else. False: begin anew.
    start
        What to try first: earlier studies, themselves or by their names in the store (of each, its five best trials),
        and parameters that are known to be good. `Study.notes` says in what they did not fit the space.
    folds, repeats
        Score each trial on so many folds of the training and validation rows, drawn so many times, instead of on the
        validation rows: by time, group or stratum, as the split was made; the queries of a ranking stay whole. Its
        value is the mean.
    outer
        Nested cross-validation: repeat the whole search on each of so many outer folds, and say in `Study.outer` what
        it reached on rows that it never saw; the searches inside are not kept.
    sampler
        ``"tpe"``, ``"cmaes"`` (numbers only; needs the extra), ``"random"``, ``"grid"`` (every point, in order), a
        sampler of Optuna, or a function that makes one from a seed.
    pruner
        Ends hopeless trials early by what they report on their way: ``"median"``, ``"halving"``, ``"hyperband"``,
        ``"patience"``, a pruner of Optuna, or a function that makes one. LightGBM, XGBoost and CatBoost report each
        round what they watch on validation rows, PyTorch, Keras and Lightning the validation loss of each epoch; any
        other estimator may take ``fit(X, y, report=None)`` and call ``report(value, step)``.
    parallel
        How many trials run at the same time, each in a worker process on `threads` threads; `build` must then stand at
        the top level of a module. A trial is proposed when all but the last few before it have been told of, in order,
        so that the study does not depend on which ends first; it does depend on `parallel`. Which trials a `pruner`
        ends depends on what the others have reported by then, and so on how fast they are.
    task, group, levels, class_weight, weights, cleaning, recipe, seed, threads, early_stopping
        As for `train`: a trial fits what `train` does of the same arguments.
    costs
        What a ``false_positive`` and a ``false_negative`` cost; of several metrics, those of the project's canvas if
        left out. They choose `Study.best` from the front.

    Returns
    -------
    Study
        Of a search that Ctrl-C or SIGTERM ended outside of a run, what there is: ``Study.ended`` says so.

    Raises
    ------
    ModelError
        When no trial completed; with the first failure.
    UsageError
        For an empty space, an unknown metric, sampler or pruner, or no budget.
    ConflictError
        When the study to go on with is being carried out by a living process.

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
    check_question(build, space, data, metric, name)
    check_budget(trials, timeout, rows, parallel, folds, repeats)
    require("optuna", extra="ml", purpose="Tuning")
    first = [start] if isinstance(start, str | Mapping | Study) else list(start)
    plan = Plan(
        build=build, space=space, metric=metric, task=task, cleaning=cleaning, costs=costs, rows=rows, sampler=sampler,
        pruner=pruner, seed=seed, threads=threads, early_stopping=early_stopping, folds=folds, repeats=repeats,
        outer=outer, start=first, budget=Budget(trials, timeout, parallel), group=group, levels=levels,
        class_weight=class_weight, weights=weights, recipe=recipe,
    )  # fmt: skip
    if outer is None:
        return carry_out(plan, data, name=name, resume=resume)
    nested = replace(plan, folds=folds or INNER)
    return carry_out(nested, data, name=name, resume=resume, judge=lambda: judged(nested, data))
