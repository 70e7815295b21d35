"""One try: build, fit and measure, on each fold; whatever happens becomes an outcome."""

from __future__ import annotations

import math
import statistics
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tidemill.core.clock import elapsed
from tidemill.core.errors import ModelError, TidemillError, UsageError
from tidemill.core.tasks import Task
from tidemill.measures.registry import metric as metric_of
from tidemill.measures.registry import metrics_of
from tidemill.training.estimators import Build, best_iteration, scores_of
from tidemill.training.fitted import fit_estimator
from tidemill.training.frameworks import Fitting, Numbers
from tidemill.training.threshold import cheapest_threshold, checked_costs
from tidemill.training.tuning.outcomes import Outcome, Pruned, Reports
from tidemill.training.weighing import ClassWeight

#: What can be tuned for besides the metrics of the task; less is better for each of them.
LATENCY, COST, FIT_SECONDS = "latency_p99_ms", "cost_per_1000", "fit_seconds"
_OWN = (LATENCY, COST, FIT_SECONDS)
_ASKED_ALONE = 200


@dataclass(frozen=True, slots=True)
class Trying:
    """All that a try needs besides its parameters.

    Parameters
    ----------
    build
        As given to `tune`.
    task
        The kind of answer.
    metrics
        What to measure, the first is the leading one; each with whether greater is better.
    costs
        Of the canvas; for the metric ``cost_per_1000``.
    class_weight
        As given to `tune`: an estimator that weighs classes beside it is refused.
    """

    build: Build
    task: Task
    metrics: Mapping[str, bool]
    costs: Mapping[str, float]
    class_weight: ClassWeight | None = None


def wanted_metrics(
    given: str | Sequence[str] | None, task: Task, costs: Mapping[str, float] | None, levels: Sequence[float] = ()
) -> dict[str, bool]:
    """What to tune for, and whether greater is better; of several metrics the cost as well, where costs are known.

    Raises
    ------
    UsageError
        For an unknown metric, one that is named twice, or costs that are not known.
    """
    leading = next(iter(metrics_of(task, levels)))
    names = [leading if given is None else given] if isinstance(given, str | None) else list(given)
    if not names:
        raise UsageError("no metric is named", hint="Leave it out for the leading one of the task.")
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise UsageError("a metric is named twice", value=twice[0], hint="Name each once.")
    if COST in names and not costs:
        raise UsageError(
            f"{COST} needs to know what errors cost",
            hint="Give costs={'false_positive': …, 'false_negative': …}, or write them into the canvas.",
        )
    if costs and COST in names and task != "binary":
        raise UsageError(f"{COST} is of a binary model, and this one is {task}", hint="Tune another metric.")
    if costs:
        checked_costs(costs)
    return {name: name not in _OWN and metric_of(name, task, levels).greater_is_better for name in names}


def attempt(trying: Trying, folds: Sequence[Fitting], params: Mapping[str, Any], reports: Reports) -> Outcome:
    """Try some parameters here and now; a failure is a result like another."""
    started = elapsed()

    def ended(state: Any, **found: Any) -> Outcome:
        said = tuple(sorted(reports.reported.items()))
        return Outcome(state, seconds=elapsed() - started, reported=said, **found)

    try:
        values, iterations = _measured(trying, folds, params, reports)
    except Pruned as why:
        return ended("pruned", error=str(why))
    except Exception as error:
        said = "".join(traceback.format_exception_only(error)).strip()
        if isinstance(error, TidemillError):  # without the module that it is defined in
            said = f"{type(error).__name__}: {error}"
        hint = error.hint if isinstance(error, TidemillError) else ""
        return ended("failed", error=said, hint=hint, exception=error)
    return ended("complete", values=values, iterations=iterations)


def _measured(
    trying: Trying, folds: Sequence[Fitting], params: Mapping[str, Any], reports: Reports
) -> tuple[dict[str, float], int | None]:
    """The mean of each metric over the folds, and the median of the iterations that early stopping kept."""
    found: list[dict[str, float]] = []
    iterations: list[int] = []
    leading = next(iter(trying.metrics))
    for place, fold in enumerate(folds):
        fitting = replace(fold, report=reports if len(folds) == 1 else None)
        began = elapsed()
        estimator = fit_estimator(trying.build, params, fitting, trying.class_weight)
        took = elapsed() - began
        scores = scores_of(estimator, fitting.validation, trying.task, fitting.outputs)
        found.append({name: value_of(name, trying, fitting, scores, estimator, took) for name in trying.metrics})
        kept = best_iteration(estimator)
        if kept is not None:
            iterations.append(kept)
        if len(folds) > 1 and len(trying.metrics) == 1:
            reports(statistics.fmean(one[leading] for one in found), place)
    values = {name: statistics.fmean(one[name] for one in found) for name in trying.metrics}
    return values, int(statistics.median(iterations)) if iterations else None


def value_of(name: str, trying: Trying, fitting: Fitting, scores: Numbers, estimator: Any, took: float) -> float:
    """One metric of a fitted estimator on the validation rows; `took` is how many seconds the fit took.

    Raises
    ------
    ModelError
        When it is not defined on these rows.
    """
    if name == FIT_SECONDS:
        return took
    if name == LATENCY:
        return _latency(lambda row: scores_of(estimator, row, trying.task, fitting.outputs), fitting)
    if name == COST:
        return _cost(fitting.validation_truth, scores, trying.costs)
    metric = metric_of(name, trying.task, fitting.levels)
    facts = fitting.validation_truth if fitting.validation_facts is None else fitting.validation_facts
    value = metric.prepare(facts, scores, 0.5)(None)
    if math.isnan(value):
        raise ModelError(
            f"{name} is not defined on the validation rows: {metric.undefined}",
            hint="Widen the validation part, or tune another metric.",
        )
    return float(value)


def _latency(ask: Callable[[Any], Numbers], fitting: Fitting) -> float:
    """Milliseconds that 99 % of single rows take at most."""
    times = []
    for place in range(_ASKED_ALONE):
        row = fitting.validation[place % len(fitting.validation)][None, :]
        began = elapsed()
        ask(row)
        times.append(elapsed() - began)
    return float(np.quantile(times, 0.99)) * 1000


def _cost(truth: Numbers, scores: Numbers, costs: Mapping[str, float]) -> float:
    """What 1,000 decisions cost at the threshold that is cheapest on these rows."""
    fp, fn, tp, tn = checked_costs(costs)
    positive, called = truth == 1, scores >= cheapest_threshold(truth, scores, costs)
    paid = np.where(called, np.where(positive, tp, fp), np.where(positive, fn, tn))
    return float(paid.mean()) * 1000
