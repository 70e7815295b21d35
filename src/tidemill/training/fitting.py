"""`train`: from splits and a way to build an estimator to a model that carries all that its predictions depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.core.clock import elapsed
from tidemill.core.model import Model, Signature
from tidemill.core.tasks import Task
from tidemill.data.contract import TableContract
from tidemill.data.operations import CleaningPlan, Derive, Learned
from tidemill.data.request_contract import request_contract
from tidemill.data.split import TrainingParts
from tidemill.engine.step import step
from tidemill.measures.registry import measure, metrics_of
from tidemill.training.baselines import baseline_scores, fit_baselines
from tidemill.training.calibration import Method
from tidemill.training.deciding import Decided, decide
from tidemill.training.defaults import from_project
from tidemill.training.estimators import Build, best_iteration, library_versions
from tidemill.training.fitted import fit_estimator
from tidemill.training.frameworks import Numbers, framework_name
from tidemill.training.noting import note_metrics
from tidemill.training.preparing import Prepared, prepare
from tidemill.training.profile import reference_profile
from tidemill.training.recipes import Recipe, recipe_of
from tidemill.training.rows_read import rows_read
from tidemill.training.suspicions import say
from tidemill.training.threshold import Rule
from tidemill.training.weighing import ClassWeight, class_weights_by_name

__all__ = ["Prepared", "defined", "fitting_metrics", "measured", "prepare", "train"]


@step(stage="train", resolve=from_project)
def train(
    build: Build,
    params: Mapping[str, Any],
    data: TrainingParts,
    *,
    name: str | None = None,
    target: str | None = None,
    task: Task | None = None,
    group: str = "",
    levels: Sequence[float] = (),
    class_weight: ClassWeight | None = None,
    weights: str = "",
    cleaning: Sequence[Learned | Derive] | CleaningPlan = (),
    recipe: Recipe | Mapping[str, Any] | None = None,
    contract: TableContract | None = None,
    calibrate: Method | None = None,
    threshold: Rule | None = None,
    costs: Mapping[str, float] | None = None,
    seed: int = 0,
    threads: int = 1,
    early_stopping: int = 30,
    baselines: bool = True,
) -> Model:
    """Fit an estimator on the training rows of `data`, with everything learned beside it.

    Learned repairs, encoding, schema and reference profile come from training rows only; early stopping, the
    threshold and the model's metrics from validation rows; test rows are not read.

    Parameters
    ----------
    build
        Takes `params` as a dict and returns an unfitted estimator with ``fit(X, y)`` and ``predict_proba(X)`` or
        ``predict(X)``. X is a float32 matrix in which a missing value is NaN and a category is a code.
    params
        Hyperparameters, such as `Study.best`.
    data
        Train and validation parts, and which columns are target and features; a split. In a pipeline its test part is
        no input of this step.
    name
        What the registry will call the model; if left out, the project's name, and without a project or inside
        another step the name of the target.
    target
        What the split must predict, or training is refused. If left out, the target of the project's canvas where the
        model has the project's name, but not inside another step.
    task
        ``"binary"``, ``"multiclass"``, ``"multilabel"``, ``"regression"``, ``"quantile"``, ``"ranking"``,
        ``"forecasting"`` or ``"anomaly"``; by default what the canvas says, else what the target's type calls for: a
        flag, a class, a list of labels or a number.
    group
        Ranking: the column that names the query within which rows are ranked; by default the one entity of the split.
        It is never a feature, and no query may have rows in two parts.
    levels
        Quantiles: the levels that are answered; by default 0.1, 0.5 and 0.9. `build` is told each as
        ``params["quantile"]``, and answers are sorted, so that no level crosses another.
    class_weight
        ``"balanced"``, or by class how much its rows count in fitting.
    weights
        A column that says how much each training row counts in fitting; never a feature. Metrics count every row once.
    cleaning
        Repairs that learn from rows (`tidemill.data.operations`: `FillLearned`, `MergeRare`, `EncodeTarget`, …), or a
        plan of these: fitted on training rows, part of the model. Before them `Derive`: features on demand, which no
        request brings and which are computed from it, in training and serving alike.
    recipe
        What becomes of each column (`tidemill.recipe`, or the mapping of one): its columns are then the features, and
        its repairs come after those of `cleaning`.
    contract
        What requests must keep beside the signature: the contract of the training table. Rules that a single row can
        break are checked on each request; those that cannot be are listed in ``Model.contract["not_enforced"]``. By
        default the contract that the table of `data` was validated with, where it came here through `validate`,
        `clean` and `split` whole.
    calibrate
        ``"sigmoid"`` or ``"isotonic"``: fit a rising curve that makes probabilities mean what they say, on half of the
        validation rows. The threshold and the model's metrics are then of the other half;
        ``Model.metadata["calibration"]`` says how many and which.
    threshold
        From which score on a row is called positive: a number, ``"f1"``, ``"youden"``, ``{"precision": 0.9}``,
        ``{"recall": 0.9}`` or ``{"flagged": 0.05}`` (a share of the rows), chosen on validation rows. By default 0.5;
        of anomalies the cut of the estimator, else the strangest 1 % of the rows.
    costs
        What a ``false_positive`` and a ``false_negative`` cost: the threshold is then the cheapest one on validation
        rows. If left out, those of the project's canvas, but not inside another step or beside a `threshold`.
    seed, threads
        For every random choice and every parallel part that `build` leaves open. One thread is what makes a re-run
        give the same model.
    early_stopping
        Boosting: stop after this many rounds without gain on validation rows; 0 for never.
    baselines
        Fit a constant, a linear model and a small tree as well, to compare with; of a forecast also the last known
        value and that of the last season.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        When there is one class only, a part is empty, labels are missing or are text, a feature is not in the data, or
        a query is in two parts.
    ModelError
        When the estimator cannot be fitted, or predicts NaN.
    UsageError
        When the split has another target than it must, or the estimator took a parameter that nothing reads.

    Notes
    -----
    What looks wrong and does not stop the training (a class that is rare, a feature that is the target, a feature with
    one value) is logged as a warning and kept in ``Model.metadata["warnings"]``.

    Examples
    --------
    >>> from tidemill.data.split import by_share, split
    >>> import polars as pl
    >>> rows = pl.DataFrame({"x": range(100), "late": [value > 60 for value in range(100)]})
    >>> class Above:
    ...     def fit(self, X, y):
    ...         return self
    ...
    ...     def predict(self, X):
    ...         return X[:, 0] > 60
    >>> model = train(lambda params: Above(), {}, split(rows, by_share(), "late"))
    >>> model.signature.task, model.metrics["roc_auc"]
    ('binary', 1.0)
    """
    started = elapsed()
    prepared = prepare(
        data, target=target, task=task, group=group, levels=levels, class_weight=class_weight, weights=weights,
        cleaning=cleaning, recipe=recipe, seed=seed, threads=threads, early_stopping=early_stopping,
    )  # fmt: skip
    asked = request_contract(contract, data.train, data.spec.features) if contract else data.spec.contract
    say(prepared.suspicions)
    estimator = fit_estimator(build, params, prepared.fitting, class_weight)
    decided = decide(prepared, estimator, calibrate=calibrate, rule=threshold, costs=costs)
    note_metrics(metrics := defined(measured(decided.facts, decided.scores, decided.signature)), "validation")
    compared = list(_baselines(prepared, decided)) if baselines else []
    recorded = {"split": data.spec.digest, **_recorded(prepared, decided, estimator), "baselines": compared}
    recorded |= _told({"class_weight": _plain(class_weight), "weights": weights, "recipe": _mapping(recipe)})
    return Model(
        name=name or data.spec.target,
        estimator=estimator,
        framework=framework_name(estimator),
        signature=decided.signature,
        encoding=prepared.encoding,
        cleaning=prepared.cleaning,
        profile=_profile(prepared, decided),
        contract=asked,
        calibration=decided.calibration,
        params=dict(params),
        metrics=metrics,
        metadata={**recorded, "timing": {"seconds": elapsed() - started}},
    )


def measured(facts: Numbers, scores: Numbers, signature: Signature) -> dict[str, float]:
    """Every metric of the task that can be measured; those that need probabilities only of probabilities."""
    levels = signature.levels
    names = fitting_metrics(facts, scores, signature)
    return measure(facts, scores, names, signature.task, signature.threshold, levels)


def fitting_metrics(facts: Numbers, scores: Numbers, signature: Signature) -> tuple[str, ...]:
    """The metrics of the task that fit: of probabilities only for probabilities, of labels only where there are any."""
    table = metrics_of(signature.task, signature.levels)
    unit = not scores.size or bool(scores.min() >= 0 and scores.max() <= 1)
    labelled = signature.task != "anomaly" or not np.isnan(facts).any()
    return tuple(
        name
        for name, found in table.items()
        if (unit or found.needs != "probability") and (labelled or not found.labelled)
    )


def defined(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics without those that are NaN."""
    return {name: value for name, value in metrics.items() if value == value}


def _recorded(prepared: Prepared, decided: Decided, estimator: Any) -> dict[str, Any]:
    """How a model came to be, without how long it took."""
    fitting = prepared.fitting
    return {
        "seed": fitting.seed,
        "threads": fitting.threads,
        "versions": library_versions(),
        "rows": {"train": len(fitting.truth), "validation": len(fitting.validation_truth)},
        "read": rows_read((fitting.matrix, fitting.truth), (fitting.validation, fitting.validation_truth)),
        "best_iteration": best_iteration(estimator),
        **decided.metadata,
        **_told({"warnings": list(prepared.suspicions)}),
    }


def _profile(prepared: Prepared, decided: Decided) -> dict[str, Any]:
    """The reference profile: of training rows, and of the answers to the validation rows that metrics come from."""
    return reference_profile(
        prepared.columns, prepared.inputs, prepared.fitting.truth, decided.scores, prepared.task, prepared.classes
    )


def _mapping(recipe: Recipe | Mapping[str, Any] | None) -> dict[str, Any] | None:
    plan = recipe_of(recipe)
    return plan.to_dict() if plan else None


def _told(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that say something."""
    return {key: value for key, value in entries.items() if value}


def _plain(value: Any) -> Any:
    return class_weights_by_name(value) if isinstance(value, Mapping) else value


def _baselines(prepared: Prepared, decided: Decided) -> tuple[dict[str, Any], ...]:
    fitting = prepared.fitting
    found = fit_baselines(
        fitting.matrix, fitting.truth, prepared.encoding, prepared.task, fitting.outputs, fitting.seed, fitting.levels
    )
    matrix = fitting.validation[decided.kept]
    return tuple(
        baseline | {"metrics": defined(measured(decided.facts, baseline_scores(baseline, matrix), decided.signature))}
        for baseline in found
    )
