"""How a model treats groups of people: rates of each group, their differences and ratios, calibration by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tidemill.core.tasks import TASKS
from tidemill.data.types import require_columns
from tidemill.evaluation.records import Fairness, Group
from tidemill.evaluation.scoring import Scored
from tidemill.evaluation.slices import MIN_ROWS, parts_of
from tidemill.measures.calibration import CalibrationBin, calibration_curve
from tidemill.measures.inputs import Floats
from tidemill.measures.intervals import Estimate, bootstrap
from tidemill.measures.resampling import OfSums, Weighted, combined

Rows = NDArray[np.intp]
Codes = NDArray[np.int64]
_Key = TypeVar("_Key")

#: A group selected less than four fifths as often as the most selected one is held to be treated adversely
#: (Uniform Guidelines on Employee Selection Procedures, 1978).
FOUR_FIFTHS = 0.8
#: The rates by kind of answer: what each is the share of, and in which rows.
RATES: Mapping[str, Mapping[str, str]] = {
    "binary": {
        "selection_rate": "called positive, of all rows",
        "tpr": "called positive, of the positives",
        "fpr": "called positive, of the negatives",
        "ppv": "positive, of those called positive",
        "bias": "mean prediction minus mean outcome",
    },
    "classes": {"accuracy": "given the true class, of all rows"},
    "numbers": {"bias": "mean prediction minus mean outcome", "mae": "mean absolute error"},
}


def fairness_of(
    scored: Scored, attributes: Sequence[str], *, resamples: int = 200, seed: int = 0
) -> tuple[Fairness, ...]:
    """Compare the groups of each declared attribute.

    Parameters
    ----------
    scored
        Labelled rows with predictions.
    attributes
        Columns of the table, or parts of time columns; the model need not know them.
    resamples, seed
        Of the intervals.

    Notes
    -----
    A difference is that between the groups with the highest and the lowest rate, a ratio that of the lowest to the
    highest. The interval is of these two groups, as they came out: among many groups the two extremes are apart by
    chance too. Groups of fewer than 30 rows are listed, and take no part.
    """
    columns = [name for name in attributes if " of " not in name]
    require_columns(scored.frame, columns, purpose="the comparison of groups")
    return tuple(_fairness(scored, attribute, resamples, seed) for attribute in attributes)


def fairness_metrics(found: Sequence[Fairness]) -> dict[str, Estimate]:
    """Differences and ratios by the names that requirements use, such as ``fairness.tpr_difference.sex``."""
    return {f"fairness.{name}.{entry.attribute}": value for entry in found for name, value in entry.gaps.items()}


def fairness_names(task: str, attribute: str) -> tuple[str, ...]:
    """The names of the metrics of an attribute, as `fairness_metrics` has them.

    >>> fairness_names("multiclass", "sex")
    ('fairness.accuracy_difference.sex', 'fairness.accuracy_ratio.sex')
    """
    kind = _kind(task)
    names = [
        f"fairness.{rate}_{gap}.{attribute}"
        for rate in RATES[kind]
        for gap in ("difference", "ratio")
        if gap == "difference" or rate != "bias"
    ]
    return (*names, *([f"fairness.equalized_odds_difference.{attribute}"] if kind == "binary" else []))


def _kind(task: str) -> str:
    known = {str(name): trait for name, trait in TASKS.items()}[task]
    if known.classifies:
        return "binary" if known.scores == "one" else "classes"
    return "numbers"


def _fairness(scored: Scored, attribute: str, resamples: int, seed: int) -> Fairness:
    parts = dict(parts_of(scored.frame, attribute))
    shares = _shares(scored)
    large = [value for value, rows in parts.items() if len(rows) >= MIN_ROWS]
    codes = np.full(len(scored.truth), -1)
    for code, rows in enumerate(parts.values()):
        codes[rows] = code
    measures = {
        (name, value): _rate_in(part, whole, codes, code)
        for code, value in enumerate(parts)
        if value in large
        for name, (part, whole) in shares.items()
    }
    rates = _measured(measures, len(scored.truth), resamples, seed)
    groups = tuple(_group(scored, value, rows, shares, rates) for value, rows in parts.items())
    gaps: dict[str, Estimate] = {}
    ends: dict[str, tuple[str, str]] = {}
    wanted: dict[str, Weighted] = {}
    for name in shares:
        known = {value: rates[name, value].value for value in large}
        valued = {value: rate for value, rate in known.items() if rate is not None}
        if len(valued) < 2:
            reason = "fewer than two groups have enough rows" if len(large) < 2 else "not defined in enough groups"
            for gap in _gaps(name):
                gaps[gap] = Estimate(None, rows=len(scored.truth), reason=reason)
            continue
        low, high = min(valued, key=lambda value: valued[value]), max(valued, key=lambda value: valued[value])
        ends[name] = (low, high)
        pair = measures[name, low], measures[name, high]
        wanted |= {gap: _gap(*pair, as_ratio=gap.endswith("_ratio")) for gap in _gaps(name)}
    gaps |= _measured(wanted, len(scored.truth), resamples, seed)
    if "tpr_difference" in gaps:
        odds = [gaps["tpr_difference"], gaps["fpr_difference"]]
        missing = next((gap for gap in odds if gap.value is None), None)
        gaps["equalized_odds_difference"] = missing or max(odds, key=lambda gap: gap.value or 0.0)
    small = tuple(value for value in parts if value not in large)
    return Fairness(attribute, groups, gaps, ends, small, attribute in scored.model.signature.inputs.names)


def _shares(scored: Scored) -> dict[str, tuple[Floats, Floats]]:
    """For each rate what is summed in a group, and what that is divided by."""
    truth, scores, kind = scored.truth, scored.scores, _kind(scored.model.signature.task)
    ones = np.ones(len(truth))
    if kind == "classes":
        hits = scores.argmax(axis=1) == truth if truth.ndim == 1 else ((scores >= 0.5) == (truth == 1)).all(axis=1)
        return {"accuracy": (hits.astype(np.float64), ones)}
    if kind == "numbers":
        answer = scores if scores.ndim == 1 else scores[:, scores.shape[1] // 2]
        return {"bias": (answer - truth, ones), "mae": (np.abs(answer - truth), ones)}
    called = (scores >= scored.model.signature.threshold).astype(np.float64)
    found = {
        "selection_rate": (called, ones),
        "tpr": (called * truth, truth),
        "fpr": (called * (1 - truth), 1 - truth),
        "ppv": (called * truth, called),
    }
    return {**found, "bias": (scores - truth, ones)} if scored.are_probabilities else found


def _gaps(name: str) -> tuple[str, ...]:
    return (f"{name}_difference",) if name == "bias" else (f"{name}_difference", f"{name}_ratio")


def _rate_in(part: Floats, whole: Floats, codes: Codes, code: int) -> Weighted:
    def columns(stretch: slice) -> Floats:
        inside = codes[stretch] == code
        return np.stack([part[stretch] * inside, whole[stretch] * inside])

    return OfSums(len(part), columns, lambda sums: _divided(sums[0], sums[1]))


def _gap(low: Weighted, high: Weighted, *, as_ratio: bool) -> Weighted:
    """The higher rate minus the lower, or the lower as a share of the higher, on the same resamples."""
    return combined(low, high, _divided if as_ratio else lambda lower, higher: higher - lower)


def _measured(measures: Mapping[_Key, Weighted], rows: int, resamples: int, seed: int) -> dict[_Key, Estimate]:
    named = {str(place): measure for place, measure in enumerate(measures.values())}
    found = bootstrap(named, rows, resamples=resamples, seed=seed)
    return dict(zip(measures, found.values(), strict=True))


def _group(
    scored: Scored,
    value: str,
    rows: Rows,
    shares: Mapping[str, object],
    rates: Mapping[tuple[str, str], Estimate],
) -> Group:
    few = Estimate(None, rows=len(rows), reason=f"fewer than {MIN_ROWS} rows")
    found = {name: rates.get((name, value), few) for name in shares}
    base = float(scored.truth[rows].mean()) if scored.truth.ndim == 1 and "accuracy" not in shares else None
    curve: tuple[CalibrationBin, ...] = ()
    if "bias" in shares and "tpr" in shares and len(rows) >= MIN_ROWS:
        curve = calibration_curve(scored.truth[rows], scored.scores[rows], bins=5)
    return Group(value, len(rows), base, {name: replace(rate, rows=len(rows)) for name, rate in found.items()}, curve)


def _divided(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
