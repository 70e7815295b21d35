"""`evaluate`: a model measured on labelled rows, with intervals, against its baselines and another model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast, get_args

import numpy as np

from tidemill.core.errors import UsageError
from tidemill.core.model import Model
from tidemill.data.types import Tabular
from tidemill.design.requirements import Moment
from tidemill.engine.step import step
from tidemill.evaluation.comparing import comparisons_of
from tidemill.evaluation.contributions import contributions_of
from tidemill.evaluation.curves import precision_recall_points, residual_bins, roc_points, score_histogram
from tidemill.evaluation.dependence import dependence_of
from tidemill.evaluation.discovery import weak_slices
from tidemill.evaluation.fairness import fairness_metrics, fairness_of
from tidemill.evaluation.importance import permutation_importance
from tidemill.evaluation.records import CostReport, Evaluation, Slice
from tidemill.evaluation.scoring import Scored, base_rate, leading_metrics, score
from tidemill.evaluation.slices import slices_of
from tidemill.measures.calibration import calibration_curve
from tidemill.measures.classification import confusion
from tidemill.measures.inputs import Floats
from tidemill.measures.intervals import Estimate
from tidemill.measures.registry import estimate, metric, metrics_of
from tidemill.measures.resampling import Weighted, of_sums
from tidemill.training.defaults import from_project
from tidemill.training.noting import note_metrics
from tidemill.training.profile import answers_of
from tidemill.training.rows_read import rows_read
from tidemill.training.threshold import cheapest_threshold, checked_costs

#: How it is found which columns matter.
Importances = Literal["permutation", "shap"]

#: Rows whose digests an evaluation keeps.
_READ = 512


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
    fairness: Sequence[str] | None = None,
    discover: bool = True,
    bootstrap: int = 200,
    importance: bool | Importances = True,
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
        Metrics beside those of the task, such as ``"recall_at_10pct"``; on slices, where few are measured unasked, any
        of the task too.
    costs
        Costs of errors, which add the metric ``cost_per_1000``. If left out, those of the project's canvas, but not
        inside another step.
    fairness
        Attributes whose groups are compared, such as ``["sex"]``: columns of the table, which the model need not know.
        If left out, those that the project's canvas declares as ``protected``, but not inside another step.
    discover
        Whether to search the inputs, and the columns of `slices`, for rows on which the model is clearly worse.
    bootstrap
        How many resamples the intervals come from; 0 for none.
    importance
        Which columns matter: ``"permutation"``, or True, shuffles each and tells how much worse the leading metric
        gets; ``"shap"`` tells how much each adds to the answers (`Evaluation.contributions`), by the library of the
        model where that can tell, else by the package `shap`; False for neither.
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
    way = _way(importance)
    _refuse_text(slices=slices, metrics=metrics, fairness=fairness)
    scored = score(model, table)
    truth, scores = scored.in_order()
    drawn = {"resamples": bootstrap, "seed": seed}
    task, threshold, levels = model.signature.task, model.signature.threshold, model.signature.levels
    names = (*leading_metrics(scored), *(name for name in metrics if name not in metrics_of(task, levels)))
    also = _cost_measure(scored, truth, scores, costs)
    found = estimate(truth, scores, names, task, threshold=threshold, levels=levels, also=also, **drawn)
    report = _costs(truth, scores, threshold, costs, found["cost_per_1000"]) if costs else None
    groups = fairness_of(scored, fairness or (), **drawn)
    found |= fairness_metrics(groups)
    note_metrics({name: value.value for name, value in found.items()}, moment)
    measured = Evaluation(
        model=model.name,
        task=task,
        target=model.signature.target,
        moment=moment,
        rows=len(truth),
        base_rate=base_rate(truth, task),
        threshold=threshold,
        metrics=found,
        comparisons=comparisons_of(scored, against, names, slices, bootstrap, seed),
        classes=model.signature.classes,
        costs=report,
        slices=_slices(scored, slices, metrics, **drawn),
        weak=weak_slices(scored, (*slices, *(fairness or ())), **drawn) if discover else (),
        fairness=groups,
        unlabelled=scored.unlabelled,
        resamples=bootstrap,
        seed=seed,
        read=rows_read((scored.matrix, scored.truth), (scored.matrix[:0], scored.truth[:0]), kept=_READ),
    )
    return _with_charts(_with_importance(measured, scored, way), scored, truth, scores)


def _way(importance: bool | str) -> Importances | None:  # noqa: FBT001
    if importance in (True, False):
        return "permutation" if importance else None
    if importance not in get_args(Importances):
        known = ", ".join(repr(way) for way in get_args(Importances))
        raise UsageError("importance cannot be measured so", value=importance, hint=f"Known: {known}, True and False.")
    return cast("Importances", importance)


def _refuse_text(**lists: Sequence[str] | None) -> None:
    for what, given in lists.items():
        if isinstance(given, str):
            raise UsageError(f"{what} should be a list", value=given, hint=f'Write {what}=["{given}"].')
        odd = [one for one in given or () if not isinstance(one, str)]
        if odd:
            raise UsageError(f"{what} are names", value=odd[0], hint="Make a column of it, and give its name.")


def _slices(scored: Scored, by: Sequence[str], asked: Sequence[str], *, resamples: int, seed: int) -> tuple[Slice, ...]:
    """Every slice in the metrics of the task that are meant for parts, and in those that were asked for by name."""
    signature = scored.model.signature
    table = metrics_of(signature.task, signature.levels)
    names = dict.fromkeys((*(name for name in leading_metrics(scored) if table[name].on_parts), *asked))
    return slices_of(
        scored.frame, by, scored.truth, scored.scores, tuple(names), signature, resamples=resamples, seed=seed
    )


def _with_importance(found: Evaluation, scored: Scored, way: Importances | None) -> Evaluation:
    """The record with what each column means to the model, and how the answer depends on the most important ones."""
    model = scored.model
    columns: list[str] = []
    if way == "shap":
        parts = contributions_of(model, scored.matrix, resamples=found.resamples, seed=found.seed)
        found, columns = replace(found, contributions=parts), [entry.column for entry in parts.columns]
    elif way == "permutation" and scored.is_labelled:
        leading = metric(next(iter(found.metrics)), found.task, model.signature.levels)
        losses = permutation_importance(model, scored.matrix, scored.truth, leading, seed=found.seed)
        found, columns = replace(found, importance=losses), [entry.column for entry in losses]
    return replace(found, dependence=dependence_of(scored, columns))


def _with_charts(found: Evaluation, scored: Scored, truth: Floats, scores: Floats) -> Evaluation:
    """The record with the curves, bins and counts that charts of its task are drawn from."""
    unit = scored.are_probabilities
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
    histogram = score_histogram(np.asarray(told), None, unit=found.task == "multilabel" and unit)
    residuals = residual_bins(truth, scores) if truth.shape == scores.shape and "mae" in metrics_of(found.task) else ()
    return replace(found, histogram=histogram, residuals=residuals)


def _cost_measure(
    scored: Scored, truth: Floats, scores: Floats, costs: Mapping[str, float] | None
) -> dict[str, Weighted]:
    """The cost per 1000 rows as a measure, where there are costs."""
    if not costs:
        return {}
    if scored.model.signature.task != "binary":
        raise UsageError("costs are of binary decisions", value=scored.model.signature.task, hint=_flag_hint(scored))
    rows = cost_rows(truth, scores, scored.model.signature.threshold, costs)
    per_1000 = of_sums(lambda sums: 1000 * sums[0] / sums[1] if sums[1] > 0 else math.nan, rows, np.ones(len(rows)))
    return {"cost_per_1000": per_1000}


def _flag_hint(scored: Scored) -> str:
    """What to do about costs; a target of two words is a flag that was not said to be one."""
    signature = scored.model.signature
    if len(signature.classes) != 2:
        return "Leave costs out."
    said = f"pl.col({signature.target!r}) == {signature.classes[1]!r}"
    return f"Make the target a flag, so that it is known which class is positive: {said}."


def _costs(
    truth: Floats, scores: Floats, threshold: float, costs: Mapping[str, float], per_1000: Estimate
) -> CostReport:
    cheapest = cheapest_threshold(truth, scores, costs)
    return CostReport(
        costs=dict(costs),
        per_1000=per_1000,
        threshold=threshold,
        cheapest_threshold=cheapest,
        cheapest_per_1000=1000 * float(cost_rows(truth, scores, cheapest, costs).mean()),
        never_per_1000=1000 * float(cost_rows(truth, scores, np.inf, costs).mean()),
        always_per_1000=1000 * float(cost_rows(truth, scores, -np.inf, costs).mean()),
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
