"""From an estimator's validation scores to decisions: calibration, threshold, and the rows that measure them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UsageError
from tidemill.core.model import Signature
from tidemill.core.tasks import TASKS
from tidemill.training.calibration import Method, apply_calibration, calibration_rows, fit_calibration
from tidemill.training.estimators import scores_of
from tidemill.training.frameworks import Numbers
from tidemill.training.preparing import Prepared
from tidemill.training.threshold import Rule, cheapest_threshold, referred_between, threshold_by

#: The share of rows that count as anomalies where neither the caller nor the estimator draws a line.
STRANGE = 0.01
#: The share of values that the interval of a model of values covers.
COVERED = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What follows from validation scores.

    Parameters
    ----------
    signature
        With its threshold.
    calibration
        As on the model to be.
    kept
        The validation rows that threshold and metrics come from: those that no calibration was fitted on.
    scores, facts
        Calibrated scores of the kept rows, and what metrics must know of them.
    metadata
        How it was decided.
    """

    signature: Signature
    calibration: Mapping[str, Any]
    kept: NDArray[np.bool_]
    scores: Numbers
    facts: Numbers
    metadata: Mapping[str, Any]


def decide(
    prepared: Prepared, estimator: Any, *, calibrate: Method | None, rule: Rule | None,
    costs: Mapping[str, float] | None,
) -> Decided:  # fmt: skip
    """Calibrate and choose the threshold of a fitted estimator, each on validation rows of its own."""
    fitting = prepared.fitting
    scores = scores_of(estimator, fitting.validation, prepared.task, fitting.outputs)
    rows = len(scores)
    kept, calibration, metadata = np.ones(rows, dtype=bool), dict[str, Any](), dict[str, Any]()
    if calibrate is not None:
        used = calibration_rows(rows, fitting.seed)
        calibration = fit_calibration(fitting.validation_truth[used], scores[used], prepared.task, calibrate)
        kept = ~used
        metadata["calibration"] = {
            "method": calibrate,
            "rows": int(used.sum()),
            "of": rows,
            "drawn_with_seed": fitting.seed,
            "threshold_and_metrics_from": int(kept.sum()),
        }
    told, facts = apply_calibration(scores[kept], calibration), prepared.facts[kept]
    threshold, chosen = _threshold(prepared, estimator, fitting.validation_truth[kept], told, rule, costs)
    if chosen:
        metadata["threshold"] = {"by": chosen, "rows": int(kept.sum())}
    signature = replace(
        prepared.signature,
        threshold=threshold,
        referred=referred_between(costs) if costs else None,
        interval=_interval(prepared, fitting.validation_truth[kept], told),
    )
    return Decided(signature, calibration, kept, told, facts, metadata)


def _interval(prepared: Prepared, truth: Numbers, answers: Numbers) -> tuple[float, float] | None:
    """How far answers are from the truth for `COVERED` of the rows (split conformal prediction; Vovk et al., 2005).

    The rank is that of a set one larger, so that a new row is covered with at least that probability however wrong the
    model is; with too few rows for that rank there is no interval.
    """
    if prepared.task not in {"regression", "forecasting"}:
        return None
    distances = np.sort(np.abs(np.asarray(truth, dtype=np.float64) - answers))
    place = int(np.ceil((len(distances) + 1) * COVERED))
    if place > len(distances) or not np.isfinite(distances[place - 1]):
        return None
    return COVERED, float(distances[place - 1])


def _threshold(
    prepared: Prepared, estimator: Any, truth: Numbers, scores: Numbers, rule: Rule | None,
    costs: Mapping[str, float] | None,
) -> tuple[float, Any]:  # fmt: skip
    """The threshold, and what chose it."""
    task = prepared.task
    if rule is not None and costs:
        raise UsageError(
            "both costs and threshold choose the threshold", value=(dict(costs), rule), hint="Give one of them."
        )
    if costs:
        if task != "binary":
            raise UsageError(f"costs choose the threshold of a binary model, and this one is {task}")
        return cheapest_threshold(truth, scores, costs), {"costs": dict(costs)}
    if rule is not None:
        if not TASKS[task].decides:
            raise UsageError(f"a {task} model decides nothing by a threshold", value=rule, hint="Leave threshold out.")
        if task == "multilabel" and not isinstance(rule, int | float):
            raise UsageError("the threshold of several labels is a number", value=rule, hint="Write threshold=0.4.")
        if task != "anomaly":
            _require_share(rule, scores)
        return threshold_by(rule, truth, scores), dict(rule) if isinstance(rule, Mapping) else rule
    if task != "anomaly":
        return 0.5, None
    if hasattr(estimator, "offset_"):
        return 0.0, "the estimator"
    return threshold_by({"flagged": STRANGE}, truth, scores), {"flagged": STRANGE}


def _require_share(rule: Rule, scores: Numbers) -> None:
    """Raise for a number that no probability reaches, or that every one does."""
    unit = not scores.size or bool(scores.min() >= 0 and scores.max() <= 1)
    if unit and isinstance(rule, int | float) and not isinstance(rule, bool) and not 0 <= rule <= 1:
        raise UsageError("the threshold of a probability lies between 0 and 1", value=rule, hint="Write threshold=0.4.")
