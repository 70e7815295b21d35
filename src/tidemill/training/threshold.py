"""From which score on to act: the cheapest threshold, the one of a rule, or a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError, UsageError
from tidemill.measures.inputs import Floats
from tidemill.measures.ranking import rank

#: A rule for choosing a threshold: see `train`.
Rule = float | Literal["f1", "youden"] | Mapping[str, float]

#: What a decision of each kind may cost, in the keys of the canvas.
COSTS = ("false_positive", "false_negative", "true_positive", "true_negative")
#: What it costs to have a person decide.
REFERRAL = "referral"
_SHARES = ("precision", "recall", "flagged")


def cheapest_threshold(labels: ArrayLike, scores: ArrayLike, costs: Mapping[str, float]) -> float:
    """The threshold that minimises the cost of calling every score at or above it positive.

    Parameters
    ----------
    labels, scores
        0 or 1, and probabilities, shape (rows,).
    costs
        Cost of a ``false_positive`` and of a ``false_negative``, and if they differ from 0 of a ``true_positive`` and
        a ``true_negative``; a gain is a negative cost.

    Returns
    -------
    float
        Half-way between two scores; just above the highest score when it is cheapest never to act. 0.5 without rows.

    Examples
    --------
    >>> cheapest_threshold([0, 1, 0, 1], [0.1, 0.3, 0.6, 0.9], {"false_positive": 1, "false_negative": 10})
    0.2
    """
    fp, fn, tp, tn = checked_costs(costs)
    found = _calls(labels, scores)
    if found is None:
        return 0.5
    levels, hits, alarms = found
    called = hits * tp + alarms * fp + (hits[-1] - hits) * fn + (alarms[-1] - alarms) * tn
    never = hits[-1] * fn + alarms[-1] * tn
    place = int(np.argmin(called))
    if never <= called[place]:
        return float(np.nextafter(levels[0], np.inf))
    return _below(levels, place)


def threshold_by(rule: Rule, labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold that a rule chooses on these rows.

    Parameters
    ----------
    rule
        A number is taken as it is. ``"f1"``: the highest F1; ``"youden"``: the largest sum of sensitivity and
        specificity. ``{"precision": 0.9}``: the lowest threshold from which on so many calls are right, which finds
        the most; ``{"recall": 0.9}``: the highest threshold that still finds so many of the positives;
        ``{"flagged": 0.05}``: calls this share of the rows.
    labels, scores
        0 or 1 (not read for a number or ``flagged``), and scores, shape (rows,).

    Raises
    ------
    UsageError
        For an unknown rule.
    DataError
        When no threshold keeps the rule; it names the best there is.

    Examples
    --------
    >>> threshold_by({"precision": 0.9}, [0, 1, 0, 1], [0.1, 0.3, 0.6, 0.9])
    0.75
    """
    if isinstance(rule, bool | str) or not isinstance(rule, int | float | Mapping):
        return _by_name(rule, labels, scores)
    if not isinstance(rule, Mapping):
        if not np.isfinite(rule):
            raise UsageError("a threshold is a finite number", value=rule)
        return float(rule)
    (name, wanted), *others = rule.items() or [("", 0.0)]
    if others or name not in _SHARES or not 0 < wanted <= 1:
        raise UsageError(
            "a rule for the threshold names one share", value=dict(rule),
            hint=f'Write {{"precision": 0.9}}; known: {", ".join(_SHARES)}.',
        )  # fmt: skip
    if name == "flagged":
        return _flagging(np.asarray(scores, dtype=np.float64), wanted)
    levels, hits, alarms = _both(labels, scores)
    kept = hits / (hits + alarms) if name == "precision" else hits / hits[-1]
    places = np.flatnonzero(kept >= wanted)
    if not len(places):
        raise DataError(
            f"no threshold reaches a {name} of {wanted:g} on the {int(hits[-1] + alarms[-1])} rows it is chosen on",
            value=round(float(kept.max()), 4),
            hint=f"Ask for at most {kept.max():.3g}, or train a better model.",
        )
    return _below(levels, int(places[-1] if name == "precision" else places[0]))


def _by_name(rule: object, labels: ArrayLike, scores: ArrayLike) -> float:
    if rule not in ("f1", "youden"):
        raise UsageError(
            "unknown rule for the threshold", value=rule,
            hint='Write a number, "f1", "youden", {"precision": 0.9}, {"recall": 0.9} or {"flagged": 0.05}.',
        )  # fmt: skip
    levels, hits, alarms = _both(labels, scores)
    worth = 2 * hits / (hits + alarms + hits[-1]) if rule == "f1" else hits / hits[-1] - alarms / alarms[-1]
    return _below(levels, int(np.argmax(worth)))


def _flagging(scores: Floats, share: float) -> float:
    """Half-way between the scores on both sides of the share; ties at the cut are called as a whole or not at all."""
    if not len(scores):
        raise DataError("there are no rows to choose a threshold on", hint="Widen the validation part.")
    levels, counts = np.unique(scores, return_counts=True)
    called = np.cumsum(counts[::-1]) / len(scores)
    places = np.flatnonzero(called <= share + 1e-12)
    if not len(places):
        return float(np.nextafter(levels[-1], np.inf))
    return _below(levels[::-1], int(places[-1]))


def _both(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """`_calls` of rows that have both outcomes."""
    found = _calls(labels, scores)
    if found is None or not found[1][-1] or not found[2][-1]:
        raise DataError(
            "the rows that the threshold is chosen on have one outcome only",
            value=0 if found is None else int(found[1][-1] + found[2][-1]),
            hint="Widen the validation part, or give the threshold as a number.",
        )
    return found


def _calls(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats] | None:
    """Each score from the highest down, and how many positives and negatives are at or above it; None without rows."""
    ranked = rank(labels, scores)
    positive, negative = (mass[::-1] for mass in ranked.all_masses(None))
    if not len(positive):
        return None
    levels = (ranked.scores if ranked.starts is None else ranked.scores[ranked.starts])[::-1]
    return levels, np.cumsum(positive), np.cumsum(negative)


def _below(levels: Floats, place: int) -> float:
    """Half-way between a score and the next lower one; the score itself where it is the lowest."""
    if place + 1 == len(levels):
        return float(levels[place])
    return float(levels[place] + levels[place + 1]) / 2


def referred_between(costs: Mapping[str, float]) -> tuple[float, float] | None:
    """Between which probabilities a person decides for less than acting or declining would cost on average.

    Parameters
    ----------
    costs
        As for `cheapest_threshold`, and what a ``referral`` costs.

    Returns
    -------
    tuple of float, or None
        None where nobody can be asked, or asking never pays.

    Examples
    --------
    >>> low, high = referred_between({"false_positive": 40, "false_negative": 250, "referral": 10})
    >>> round(low, 2), round(high, 2)
    (0.04, 0.75)
    >>> referred_between({"false_positive": 40, "false_negative": 250, "referral": 100})
    """
    fp, fn, tp, tn = checked_costs(costs)
    if REFERRAL not in costs or fn <= tn or fp <= tp:
        return None
    price = float(costs[REFERRAL])
    low, high = (price - tn) / (fn - tn), (fp - price) / (fp - tp)
    low, high = max(low, 0.0), min(high, 1.0)
    return (low, high) if low < high else None


def checked_costs(costs: Mapping[str, float]) -> tuple[float, float, float, float]:
    """The four costs in the order of `COSTS`; unknown keys and missing errors are errors.

    >>> checked_costs({"false_positive": 40, "false_negative": 250})
    (40.0, 250.0, 0.0, 0.0)
    """
    unknown = sorted(set(costs) - {*COSTS, REFERRAL})
    if unknown:
        raise UsageError("costs have unknown keys", value=unknown, hint=f"Known keys: {', '.join((*COSTS, REFERRAL))}.")
    missing = [key for key in COSTS[:2] if key not in costs]
    if missing:
        raise UsageError("costs are incomplete", value=missing, hint="Say what each kind of error costs.")
    return (
        float(costs["false_positive"]),
        float(costs["false_negative"]),
        float(costs.get("true_positive", 0.0)),
        float(costs.get("true_negative", 0.0)),
    )
