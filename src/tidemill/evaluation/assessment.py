"""`evaluate`: a model measured on labelled rows, with intervals, against its baselines and another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tidemill.core.errors import DataError, UsageError
from tidemill.core.model import Model
from tidemill.core.tasks import Task
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.design.requirements import Moment
from tidemill.engine.step import step
from tidemill.evaluation.curves import precision_recall_points, roc_points, score_histogram
from tidemill.evaluation.importance import permutation_importance
from tidemill.evaluation.records import Comparison, CostReport, Evaluation
from tidemill.evaluation.slices import slices_of
from tidemill.measures.calibration import calibration_curve
from tidemill.measures.classification import confusion
from tidemill.measures.inputs import Floats
from tidemill.measures.intervals import Estimate, bootstrap, delong_difference
from tidemill.measures.registry import estimate, estimate_difference, metric, metrics_of
from tidemill.training.baselines import baseline_scores
from tidemill.training.defaults import from_project
from tidemill.training.fitting import fitting_metrics
from tidemill.training.frameworks import Matrix
from tidemill.training.noting import note_metrics
from tidemill.training.prediction import encoded, predict, predict_encoded
from tidemill.training.profile import answers_of
from tidemill.training.targets import facts_of, is_known, target_values
from tidemill.training.threshold import cheapest_threshold, checked_costs

#: From this many rows on, areas under ROC curves are compared by DeLong's formula instead of resampling.
DELONG_ROWS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Labelled rows with a model's predictions: the table, its encoded rows, truth and scores, all in one order."""

    model: Model
    frame: pl.DataFrame
    matrix: Matrix
    truth: Floats
    scores: Floats
    unlabelled: int

    @property
    def are_probabilities(self) -> bool:
        """Whether the scores lie between 0 and 1."""
        return not len(self.scores) or bool(self.scores.min() >= 0 and self.scores.max() <= 1)

    @property
    def is_labelled(self) -> bool:
        """Whether there is a truth to measure against; rows of anomalies may have none."""
        return self.model.signature.task != "anomaly" or not bool(np.isnan(self.truth).any())


@step(stage="evaluate", resolve=from_project)
def evaluate(
    model: Model,
    table: Tabular,
    *,
    moment: Moment = "evaluation",
    against: Model | None = None,
    slices: Sequence[str] = (),
    metrics: Sequence[str] = (),
    costs: Mapping[str, float] | None = None,
    bootstrap: int = 200,
    importance: bool = True,
    seed: int = 0,
) -> Evaluation:
    """Measure a model on labelled rows.

    Parameters
    ----------
    model
        A trained model.
    table
        Rows with the model's inputs and its target; rows without a label are left out and counted.
    moment
        The moment of the model's life that this is, for the gate.
    against
        Another model, such as the champion, compared on the same rows with a paired interval.
    slices
        Columns, or parts of time columns such as ``"month of sched_dep"``, whose values are measured apart.
    metrics
        Metrics beside those of the task, such as ``"recall_at_10pct"``.
    costs
        Costs of errors, which add the metric ``cost_per_1000``. If left out, those of the project's canvas, but not
        inside another step.
    bootstrap
        How many resamples the intervals come from; 0 for none.
    importance
        Whether to shuffle columns to see which matter.
    seed
        For resamples and shuffles.

    Returns
    -------
    Evaluation

    Raises
    ------
    SchemaError
        When the table lacks the target or an input.
    DataError
        When no row has a label, or labels are of another kind than in training.
    """
    scored = score(model, table)
    resamples = bootstrap
    task, threshold, levels = model.signature.task, model.signature.threshold, model.signature.levels
    names = (*leading_metrics(scored), *(name for name in metrics if name not in metrics_of(task, levels)))
    found = estimate(
        scored.truth, scored.scores, names, task, threshold=threshold, levels=levels, resamples=resamples, seed=seed
    )
    report = _costs(scored, costs, resamples, seed)
    if report is not None:
        found["cost_per_1000"] = report.per_1000
    note_metrics({name: value.value for name, value in found.items()}, moment)
    parts = slices_of(
        scored.frame, slices, scored.truth, scored.scores, task, threshold=threshold, levels=levels,
        resamples=resamples, seed=seed,
    )  # fmt: skip
    measured = Evaluation(
        model=model.name,
        task=task,
        target=model.signature.target,
        moment=moment,
        rows=len(scored.truth),
        base_rate=base_rate(scored.truth, task),
        threshold=threshold,
        metrics=found,
        comparisons=_comparisons(scored, against, resamples, seed),
        classes=model.signature.classes,
        costs=report,
        slices=parts,
        unlabelled=scored.unlabelled,
        resamples=resamples,
        seed=seed,
    )
    if importance and scored.is_labelled:
        leading = metric(names[0], task, levels)
        shuffled = permutation_importance(model, scored.matrix, scored.truth, leading, seed=seed)
        measured = replace(measured, importance=shuffled)
    return _with_charts(measured, scored)


def _with_charts(found: Evaluation, scored: Scored) -> Evaluation:
    """The record with the curves, bins and counts that charts of its task are drawn from."""
    truth, scores, unit = scored.truth, scored.scores, scored.are_probabilities
    if found.task == "binary":
        return replace(
            found,
            roc=roc_points(truth, scores),
            precision_recall=precision_recall_points(truth, scores),
            calibration=calibration_curve(truth, scores) if unit else (),
            histogram=score_histogram(scores, truth, unit=unit),
            confusion=confusion(truth, scores, found.threshold),
        )
    if found.task == "multiclass":
        histogram = score_histogram(scores.max(axis=1), None, unit=unit)
        return replace(found, histogram=histogram, confusion_matrix=_confusion_matrix(scored))
    if found.task == "anomaly" and scored.is_labelled:
        found = replace(
            found,
            roc=roc_points(truth, scores),
            precision_recall=precision_recall_points(truth, scores),
            confusion=confusion(truth, scores, found.threshold),
        )
    told = answers_of(scores, found.task, found.classes) if found.task == "quantile" else scores.ravel()
    return replace(found, histogram=score_histogram(np.asarray(told), None, unit=found.task == "multilabel" and unit))


def score(model: Model, table: Tabular) -> Scored:
    """Ask a model about the labelled rows of a table."""
    frame, signature = collected(table), model.signature
    target, unknown = signature.target, signature.task == "anomaly" and signature.target not in frame.columns
    labelled = frame
    if not unknown:
        require_columns(frame, [target], purpose="the evaluation")
        labelled = frame.filter(is_known(frame[target]))
        unknown = signature.task == "anomaly" and not labelled.height
        labelled = frame.drop(target) if unknown else labelled
    if not labelled.height:
        raise DataError(
            f"none of {frame.height} rows has a label in {target!r}",
            hint="Wait for the labels, or evaluate rows that have them.",
        )
    truth = target_values(labelled, target, signature.task, signature.classes, "evaluated")
    matrix = encoded(model, labelled)
    scores = predict_encoded(model, matrix)
    return Scored(model, labelled, matrix, facts_of(labelled, truth, signature), scores, frame.height - labelled.height)


def base_rate(truth: Floats, task: Task) -> float | None:
    """The mean of the target; None where it is a class, or nobody labelled the rows."""
    if task == "multiclass":
        return None
    mean = float((truth[:, 0] if task in {"ranking", "forecasting"} else truth).mean())
    return None if np.isnan(mean) else mean


def leading_metrics(scored: Scored) -> tuple[str, ...]:
    """The metrics of the task that fit these predictions and this truth."""
    return fitting_metrics(scored.truth, scored.scores, scored.model.signature)


def compare(
    scored: Scored, other: str, kind: str, other_scores: Floats, threshold: float, resamples: int, seed: int
) -> Comparison:
    """Compare with another model's predictions for the same rows in the leading metric."""
    task, signature = scored.model.signature.task, scored.model.signature
    leading = metric(leading_metrics(scored)[0], task, signature.levels)
    difference = _difference(scored, other_scores, leading.name, (signature.threshold, threshold), resamples, seed)
    mine, theirs = (
        leading.prepare(scored.truth, scores, limit)(None)
        for scores, limit in ((scored.scores, signature.threshold), (other_scores, threshold))
    )
    better = _better(difference, greater_is_better=leading.greater_is_better)
    return Comparison(other, kind, leading.name, _known(mine), _known(theirs), difference, better)


def _difference(
    scored: Scored, other: Floats, name: str, thresholds: tuple[float, float], resamples: int, seed: int
) -> Estimate:
    """The paired difference; of many rows' areas by DeLong's formula, which agrees with resampling and is quicker."""
    if name == "roc_auc" and len(other) >= DELONG_ROWS and resamples:
        return delong_difference(scored.truth, scored.scores, other)
    task = scored.model.signature.task
    return estimate_difference(
        scored.truth,
        scored.scores,
        other,
        name,
        task,
        thresholds=thresholds,
        levels=scored.model.signature.levels,
        resamples=resamples,
        seed=seed,
    )


def _better(difference: Estimate, *, greater_is_better: bool) -> bool | None:
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return None
    return (difference.low > 0) is greater_is_better


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _comparisons(scored: Scored, against: Model | None, resamples: int, seed: int) -> tuple[Comparison, ...]:
    threshold = scored.model.signature.threshold
    if not scored.is_labelled:
        return ()
    found = [
        compare(scored, entry["name"], "baseline", baseline_scores(entry, scored.matrix), threshold, resamples, seed)
        for entry in scored.model.metadata.get("baselines", ())
    ]
    if against is not None:
        mine, theirs = scored.model.signature, against.signature
        if (mine.task, mine.classes) != (theirs.task, theirs.classes):
            raise UsageError(
                f"model {against.name!r} answers another question",
                value=(theirs.task, theirs.classes),
                hint="Compare models of the same task and classes.",
            )
        scores = predict(against, scored.frame)
        found.append(compare(scored, against.name, "model", scores, theirs.threshold, resamples, seed))
    return tuple(found)


def _costs(scored: Scored, costs: Mapping[str, float] | None, resamples: int, seed: int) -> CostReport | None:
    if not costs:
        return None
    if scored.model.signature.task != "binary":
        raise UsageError("costs are of binary decisions", value=scored.model.signature.task, hint="Leave costs out.")
    threshold = scored.model.signature.threshold
    cheapest = cheapest_threshold(scored.truth, scored.scores, costs)
    rows = cost_rows(scored.truth, scored.scores, threshold, costs)

    def per_1000(weights: Floats | None) -> float:
        return 1000 * float(np.average(rows, weights=weights))

    return CostReport(
        costs=dict(costs),
        per_1000=bootstrap({"cost": per_1000}, len(rows), resamples=resamples, seed=seed)["cost"],
        threshold=threshold,
        cheapest_threshold=cheapest,
        cheapest_per_1000=1000 * float(cost_rows(scored.truth, scored.scores, cheapest, costs).mean()),
        never_per_1000=1000 * float(cost_rows(scored.truth, scored.scores, np.inf, costs).mean()),
        always_per_1000=1000 * float(cost_rows(scored.truth, scored.scores, -np.inf, costs).mean()),
    )


def cost_rows(truth: Floats, scores: Floats, threshold: float, costs: Mapping[str, float]) -> Floats:
    """What the decision about each row costs."""
    fp, fn, tp, tn = checked_costs(costs)
    called = scores >= threshold
    return np.where(truth == 1, np.where(called, tp, fn), np.where(called, fp, tn)).astype(np.float64)


def _confusion_matrix(scored: Scored) -> tuple[tuple[int, ...], ...]:
    many = len(scored.model.signature.classes)
    pairs = scored.truth.astype(np.int64) * many + scored.scores.argmax(axis=1)
    table = np.bincount(pairs, minlength=many * many).reshape(many, many)
    return tuple(tuple(line) for line in table.tolist())
