"""`train`: from splits and a way to build an estimator to a model that carries all that its predictions depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from tidemill.core.clock import elapsed
from tidemill.core.errors import DataError, UsageError
from tidemill.core.model import Model, Signature
from tidemill.core.schema import TableSchema
from tidemill.core.tasks import Task
from tidemill.data.contract import TableContract
from tidemill.data.operations import CleaningPlan, Learned
from tidemill.data.repairs import apply_repairs, learn_repairs, repaired_schema
from tidemill.data.request_contract import request_contract
from tidemill.data.split import Splits
from tidemill.engine.step import step
from tidemill.measures.registry import METRICS, measure
from tidemill.training.baselines import baseline_scores, fit_baselines
from tidemill.training.defaults import from_project
from tidemill.training.encoding import Encoding, Values, encode_columns, fit_encoding, matrix_names
from tidemill.training.estimators import (
    Build,
    best_iteration,
    built,
    fit,
    library_versions,
    scores_of,
)
from tidemill.training.frames import class_names, columns_of, infer_task, input_schema, target_values
from tidemill.training.frameworks import Fitting, Numbers, framework_name
from tidemill.training.noting import note_metrics
from tidemill.training.profile import reference_profile
from tidemill.training.rows_read import rows_read
from tidemill.training.threshold import cheapest_threshold


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Splits made ready for fitting: cleaned, encoded, the target as numbers; the test part is not touched.

    Parameters
    ----------
    task, classes, inputs, encoding, cleaning
        As on the model to be.
    columns
        The training columns before the learned repairs: what requests will look like.
    fitting
        Encoded training and validation rows.
    """

    task: Task
    classes: tuple[str, ...]
    inputs: TableSchema
    encoding: Encoding
    cleaning: tuple[Mapping[str, Any], ...]
    columns: Mapping[str, Values]
    fitting: Fitting


@step(stage="train", resolve=from_project)
def train(
    build: Build,
    params: Mapping[str, Any],
    data: Splits,
    *,
    name: str | None = None,
    task: Task | None = None,
    cleaning: Sequence[Learned] | CleaningPlan = (),
    contract: TableContract | None = None,
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
        Train and validation parts, and which columns are target and features.
    name
        What the registry will call the model; if left out, the project's name, and without a project or inside
        another step the name of the target.
    task
        ``"binary"``, ``"multiclass"`` or ``"regression"``; by default what the canvas says, else what the target's
        type calls for.
    cleaning
        Repairs that learn from rows (`tidemill.data.operations`: `FillLearned`, `MergeRare`, `EncodeTarget`, …), or a
        plan of these: fitted on training rows, part of the model.
    contract
        What requests must keep beside the signature: the contract of the training table. Rules that a single row can
        break are checked on each request; those that cannot be are listed in ``Model.contract["not_enforced"]``. By
        default the contract that the table of `data` was validated with, where it came here through `validate`,
        `clean` and `split` whole.
    costs
        What a ``false_positive`` and a ``false_negative`` cost: the threshold is then the cheapest one on validation
        rows instead of 0.5. If left out, those of the project's canvas, but not inside another step.
    seed, threads
        For every random choice and every parallel part that `build` leaves open. One thread is what makes a re-run
        give the same model.
    early_stopping
        LightGBM: stop after this many rounds without gain on validation rows; 0 for never.
    baselines
        Fit a constant, a linear model and a small tree as well, to compare with.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        When there is one class only, a part is empty, labels are missing or are text, or a feature is not in the data.
    ModelError
        When the estimator cannot be fitted, or predicts NaN.

    Examples
    --------
    >>> from tidemill.data.split import by_share, split
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
    asked = request_contract(contract, data.train, data.spec.features) if contract else data.spec.contract
    prepared = prepare(data, task=task, cleaning=cleaning, seed=seed, threads=threads, early_stopping=early_stopping)
    fitting = prepared.fitting
    estimator = fit(built(build, params, seed=seed, threads=threads), fitting)
    scores = scores_of(estimator, fitting.validation, prepared.task, len(prepared.classes))
    threshold = _threshold(prepared, scores, costs)
    compared = _baselines(prepared, threshold) if baselines else ()
    metrics = defined(measured(fitting.validation_truth, scores, prepared.task, threshold))
    note_metrics(metrics, "validation")
    return Model(
        name=name or data.spec.target,
        estimator=estimator,
        framework=framework_name(estimator),
        signature=Signature(prepared.inputs, prepared.task, data.spec.target, prepared.classes, threshold),
        encoding=prepared.encoding,
        cleaning=prepared.cleaning,
        profile=reference_profile(
            prepared.columns, prepared.inputs, fitting.truth, scores, prepared.task, prepared.classes
        ),
        contract=asked,
        params=dict(params),
        metrics=metrics,
        metadata={
            "seed": seed,
            "threads": threads,
            "versions": library_versions(),
            "rows": {"train": len(fitting.truth), "validation": len(fitting.validation_truth)},
            "split": data.spec.digest,
            "read": rows_read((fitting.matrix, fitting.truth), (fitting.validation, fitting.validation_truth)),
            "best_iteration": best_iteration(estimator),
            "baselines": list(compared),
            "timing": {"seconds": elapsed() - started},
        },
    )


def prepare(
    data: Splits,
    *,
    task: Task | None = None,
    cleaning: Sequence[Learned] | CleaningPlan = (),
    seed: int = 0,
    threads: int = 1,
    early_stopping: int = 30,
    rows: int | None = None,
) -> Prepared:
    """Learn repairs, schema and encoding from the training rows and encode both parts; `rows` limits training rows."""
    target, features = data.spec.target, tuple(data.spec.features)
    for part, frame in (("training", data.train), ("validation", data.validation)):
        if not frame.height:
            raise DataError(f"the {part} part has no rows", hint="Move the boundaries of the split.")
    if not features:
        raise DataError("there are no features to learn from", hint="Name the features when making the split.")
    if target in features:
        raise DataError(f"the target {target!r} is among the features", hint="Take it out of the features.")
    train_frame = data.train if rows is None or rows >= data.train.height else data.train.sample(rows, seed=seed)
    known_task = task or infer_task(train_frame[target] if target in train_frame.columns else _no_target(data))
    classes = class_names(train_frame[target], known_task)
    truth = target_values(train_frame, target, known_task, classes, "training")
    _check_variety(truth, target, known_task)
    inputs, columns = input_schema(train_frame, features), columns_of(train_frame, features)
    operations = cleaning.operations if isinstance(cleaning, CleaningPlan) else cleaning
    # It refuses those that do not learn. The mean of a class's code tells nothing, so there is no target for many.
    told = None if known_task == "multiclass" else truth
    learnt = learn_repairs(columns, cast("Sequence[Learned]", operations), told)
    repairs, cleaned = learnt.repairs, learnt.columns
    encoding = fit_encoding(cleaned, repaired_schema(inputs, repairs))
    return Prepared(
        task=known_task,
        classes=classes,
        inputs=inputs,
        encoding=encoding,
        cleaning=repairs,
        columns=columns,
        fitting=Fitting(
            matrix=encode_columns(cleaned, encoding),
            truth=truth,
            validation=encode_columns(apply_repairs(columns_of(data.validation, features), repairs), encoding),
            validation_truth=target_values(data.validation, target, known_task, classes, "validation"),
            names=matrix_names(encoding),
            task=known_task,
            outputs=max(1, len(classes)),
            seed=seed,
            threads=threads,
            early_stopping=early_stopping,
        ),
    )


def measured(truth: Numbers, scores: Numbers, task: Task, threshold: float) -> dict[str, float]:
    """Every metric of the task that can be measured; those that need probabilities only of probabilities."""
    names = tuple(METRICS[task])
    if task == "binary" and len(scores) and (scores.min() < 0 or scores.max() > 1):
        names = tuple(name for name in names if METRICS[task][name].needs != "probability")
    return measure(truth, scores, names, task, threshold)


def defined(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics without those that are NaN."""
    return {name: value for name, value in metrics.items() if value == value}


def _threshold(prepared: Prepared, scores: Numbers, costs: Mapping[str, float] | None) -> float:
    if not costs:
        return 0.5
    if prepared.task != "binary":
        raise UsageError(f"costs choose the threshold of a binary model, and this one is {prepared.task}")
    return cheapest_threshold(prepared.fitting.validation_truth, scores, costs)


def _no_target(data: Splits) -> pl.Series:
    raise DataError(
        f"target {data.spec.target!r} is not a column of the training part",
        value=data.train.columns,
        hint="Make the split from a table that has it.",
    )


def _check_variety(truth: Numbers, target: str, task: Task) -> None:
    if len(truth) < 2:
        raise DataError(f"there is {len(truth)} training row", hint="A model needs at least two; widen the split.")
    if task != "regression" and float(truth.min()) == float(truth.max()):
        raise DataError(
            f"all {len(truth)} training rows have the same label in {target!r}",
            value=float(truth[0]),
            hint="Widen the training part until it holds every class, or check how the label is made.",
        )


def _baselines(prepared: Prepared, threshold: float) -> tuple[dict[str, Any], ...]:
    fitting = prepared.fitting
    found = fit_baselines(
        fitting.matrix, fitting.truth, prepared.encoding, prepared.task, max(2, len(prepared.classes)), fitting.seed
    )
    return tuple(
        baseline
        | {
            "metrics": defined(
                measured(
                    fitting.validation_truth, baseline_scores(baseline, fitting.validation), prepared.task, threshold
                )
            )
        }
        for baseline in found
    )
