"""From a way to build an estimator to a fitted one: one for the whole answer, or one for each of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError, UsageError
from tidemill.core.tasks import TASKS
from tidemill.training.estimators import Build, built, fit
from tidemill.training.frameworks import Fitting, joint
from tidemill.training.frameworks.generic import tags_of
from tidemill.training.frameworks.members import Members, member_fitting, scores
from tidemill.training.weighing import ClassWeight, refuse_twice


def fit_estimator(
    build: Build, params: Mapping[str, Any], fitting: Fitting, class_weight: ClassWeight | None = None
) -> Any:
    """Build and fit what answers a task.

    For several labels and for quantiles, an estimator that answers with one number is built and fitted once for each
    label or level; `build` is told the level as ``params["quantile"]``. The first of them reports to a pruner.

    Raises
    ------
    ModelError
        When `build` gives a fitted estimator or the same one twice, or takes no notice of the level.
    """
    _require_names(params)
    estimator = _fresh(build, params, fitting, 0)
    refuse_twice(estimator, class_weight)
    if fitting.task == "anomaly":
        _require_untold(estimator)
    if TASKS[fitting.task].scores == "one" or fitting.task == "multiclass" or joint(estimator, fitting.task):
        return fit(estimator, fitting)
    members: list[Any] = []
    made: list[Any] = []
    for place in range(fitting.outputs):
        part = member_fitting(fitting, place)
        if fitting.task == "multilabel" and part.truth.min() == part.truth.max():
            members.append(float(part.truth[0]))  # every row has the label, or none: there is nothing to learn
            continue
        one = estimator if not made else _fresh(build, params, fitting, place)
        if any(one is other for other in made):
            raise ModelError(
                f"build returned the same {type(one).__name__} twice, and each {_OF[fitting.task]} needs its own",
                hint="Make the estimator inside build: def build(params): return LGBMRegressor(**params).",
            )
        made.append(one)
        members.append(fit(one, part if len(made) == 1 else replace(part, report=None)))
    found = Members(tuple(members), ordered=fitting.task == "quantile")
    if fitting.task == "quantile":
        _require_levels(found, fitting)
    return found


def _require_names(params: object) -> None:
    if not isinstance(params, Mapping):
        hint = "Give study.best." if hasattr(params, "best") else 'Give a dict, such as {"num_leaves": 15}, or {}.'
        raise UsageError("train takes hyperparameters by name", value=type(params).__name__, hint=hint)


_OF = {"multilabel": "label", "quantile": "level"}


def _require_untold(estimator: Any) -> None:
    """Raise for what learns from labels: it would be told which rows are strange, or learn nothing."""
    kind = getattr(tags_of(estimator), "estimator_type", None)
    if kind in {"classifier", "regressor"}:
        raise ModelError(
            f"{type(estimator).__name__} is a {kind}, and anomalies are found without being told",
            hint="Use a detector such as sklearn.ensemble.IsolationForest, or task='binary' to learn from labels.",
        )


def _fresh(build: Build, params: Mapping[str, Any], fitting: Fitting, place: int) -> Any:
    """A new estimator, told its level."""
    level = {"quantile": fitting.levels[place]} if fitting.task == "quantile" else {}
    estimator = built(build, {**params, **level}, seed=fitting.seed, threads=fitting.threads)
    own = vars(estimator) if hasattr(estimator, "__dict__") else {}
    if "n_features_in_" in own or own.get("fitted_") is True:
        raise ModelError(
            f"build returned a {type(estimator).__name__} that is fitted already",
            hint="Make a new estimator inside build; to bring one that was trained elsewhere, register it as it is.",
        )
    return estimator


def _require_levels(found: Members, fitting: Fitting) -> None:
    """Raise when each level says the same: then build has left the level out, and nothing else would tell."""
    if len(found.members) < 2 or not len(fitting.validation):
        return
    said = scores(found, fitting.validation, "quantile", fitting.outputs)
    if np.ptp(fitting.truth) > 0 and (said == said[:, :1]).all():
        raise ModelError(
            f"the estimators of all {len(found.members)} levels say the same in every row",
            value=fitting.levels,
            hint="Use the level in build: LGBMRegressor(objective='quantile', alpha=params.pop('quantile'), **params).",
        )
