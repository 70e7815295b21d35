"""Nested cross-validation: the whole search is repeated on most of the rows, and judged on those that it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidemill.core.clock import elapsed
from tidemill.data.split import TrainingParts
from tidemill.measures.intervals import Estimate
from tidemill.training.estimators import scores_of
from tidemill.training.fitted import fit_estimator
from tidemill.training.preparing import Prepared, held_against
from tidemill.training.tuning.carrying import Plan, carry_out
from tidemill.training.tuning.folds import folds_of, outer_estimate
from tidemill.training.tuning.trying import Trying, value_of

#: Folds of each inner search where the caller does not say.
INNER = 3


def judged(plan: Plan, data: TrainingParts) -> Estimate:
    """What the search, repeated on each outer fold, reaches in the leading metric on rows that it never saw.

    The best parameters of each inner search are fitted once more, with early stopping on rows of the inner folds, and
    asked about the outer rows; nothing of these is looked at before. A study that is stopped here is stopped whole.

    Raises
    ------
    ModelError
        When an inner search finds nothing, or its best parameters fail.
    """
    inner = replace(plan, folds=plan.folds or INNER, outer=None)
    values, held, trained = [], [], []
    group = plan.query(data)
    for place, fold in enumerate(folds_of(data, plan.outer or 0, seed=plan.seed, group=group)):
        rest = replace(fold, validation=fold.train.clear())
        study = carry_out(inner, rest, name=f"outer fold {place}", is_kept=False)
        if study.ended == "interrupted":
            raise KeyboardInterrupt
        last = folds_of(rest, inner.folds or INNER, seed=plan.seed, group=group)[-1]
        prepared = inner.prepared(last)
        trying = plan.trying(prepared.task, {study.metric: study.greater_is_better})
        values.append(_asked(trying, prepared, fold, study.best))
        held.append(fold.validation.height)
        trained.append(fold.train.height)
    return outer_estimate(values, sum(held) // len(held), sum(trained) // len(trained))


def _asked(trying: Trying, prepared: Prepared, fold: TrainingParts, best: Mapping[str, Any]) -> float:
    """What the best parameters reach on the outer rows, fitted on the inner ones."""
    began = elapsed()
    estimator = fit_estimator(trying.build, best, prepared.fitting, trying.class_weight)
    took = elapsed() - began
    outer = held_against(prepared, fold.validation, "outer")
    scores = scores_of(estimator, outer.validation, prepared.task, outer.outputs)
    return value_of(next(iter(trying.metrics)), trying, outer, scores, estimator, took)
