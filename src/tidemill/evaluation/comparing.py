"""A model against its baselines and against another model, on the same rows, each with a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidemill.core.errors import UsageError
from tidemill.core.model import Model, require_model
from tidemill.evaluation.records import Comparison
from tidemill.evaluation.scoring import Scored, leading_metrics
from tidemill.evaluation.slices import MIN_ROWS, parts_of
from tidemill.measures.inputs import Floats
from tidemill.measures.intervals import Estimate
from tidemill.measures.paired import paired_test
from tidemill.measures.registry import metric
from tidemill.training.baselines import baseline_scores
from tidemill.training.prediction import predict

Rows = np.typing.NDArray[np.intp]


def comparisons_of(
    scored: Scored, against: Model | None, metrics: Sequence[str], slices: Sequence[str], resamples: int, seed: int
) -> tuple[Comparison, ...]:
    """Every comparison of an evaluation.

    The baselines in the leading metric; `against` in each of `metrics`; all of them in the leading one on each slice.
    """
    if not scored.is_labelled:
        return ()
    signature = scored.model.signature
    threshold, leading = signature.threshold, leading_metrics(scored)[0]
    whole = _Part("", "", scored.order())
    parts = [_Part(slicing, *part) for slicing in slices for part in parts_of(scored.frame, slicing)]
    found = []
    for entry in scored.model.metadata.get("baselines", ()):
        scores = baseline_scores(entry, scored.matrix)
        found += [
            compare(
                scored, scores, threshold, leading, resamples, seed, other=entry["name"], kind="baseline", part=part
            )
            for part in (whole, *parts)
        ]
    if against is None:
        return tuple(found)
    require_model(against)
    _check_same_question(scored.model, against)
    scores, limit = predict(against, scored.frame), against.signature.threshold
    is_unit = not len(scores) or bool(scores.min() >= 0 and scores.max() <= 1)
    found += [
        compare(scored, scores, limit, name, resamples, seed, other=against.name, kind="model", part=whole)
        for name in metrics
        if is_unit or metric(name, signature.task, signature.levels).needs != "probability"
    ]
    found += [
        compare(scored, scores, limit, leading, resamples, seed, other=against.name, kind="model", part=part)
        for part in parts
    ]
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One slice: by what the rows were cut, which part it is, and where its rows are; or all rows.

    Those are in the order of rising scores, so that what ranks them need not sort them again, or None as they are.
    """

    by: str
    at: str
    rows: Rows | None


def compare(
    scored: Scored,
    scores: Floats,
    threshold: float,
    name: str,
    resamples: int,
    seed: int,
    *,
    other: str,
    kind: str,
    part: _Part,
) -> Comparison:
    """Compare with another's scores in one metric, on all rows or on some."""
    rows, by, at = part.rows, part.by, part.at
    signature = scored.model.signature
    leading = metric(name, signature.task, signature.levels)
    truth, mine, theirs = (values if rows is None else values[rows] for values in (scored.truth, scored.scores, scores))
    if by and len(truth) < MIN_ROWS:
        few = Estimate(None, rows=len(truth), reason=f"fewer than {MIN_ROWS} rows")
        return Comparison(other, kind, name, None, None, few, None, by=by, at=at)
    tested = paired_test(
        truth,
        mine,
        theirs,
        name,
        signature.task,
        thresholds=(signature.threshold, threshold),
        levels=signature.levels,
        resamples=resamples,
        seed=seed,
    )
    difference = tested.difference
    value, other_value = tested.values
    better = _better(difference, greater_is_better=leading.greater_is_better)
    return Comparison(
        other, kind, name, _known(value), _known(other_value), difference, better, tested.p_value, tested.test, by, at
    )


def _check_same_question(mine: Model, other: Model) -> None:
    left, right = mine.signature, other.signature
    if (left.task, left.classes) != (right.task, right.classes):
        raise UsageError(
            f"model {other.name!r} answers another question",
            value=(right.task, right.classes),
            hint="Compare models of the same task and classes.",
        )
    if left.target != right.target:
        raise UsageError(
            f"model {other.name!r} predicts another target",
            value=right.target,
            hint=f"Compare models of {left.target!r}, or train it again on that target.",
        )


def _better(difference: Estimate, *, greater_is_better: bool) -> bool | None:
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return None
    return (difference.low > 0) is greater_is_better


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
