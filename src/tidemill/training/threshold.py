"""From which probability on to act: the threshold whose decisions cost least."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import UsageError
from tidemill.measures.ranking import rank

#: What a decision of each kind may cost, in the keys of the canvas.
COSTS = ("false_positive", "false_negative", "true_positive", "true_negative")


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
    ranked = rank(labels, scores)
    positive, negative = (mass[::-1] for mass in ranked.all_masses(None))
    if not len(positive):
        return 0.5
    levels = (ranked.scores if ranked.starts is None else ranked.scores[ranked.starts])[::-1]
    hits, alarms = np.cumsum(positive), np.cumsum(negative)
    called = hits * tp + alarms * fp + (hits[-1] - hits) * fn + (alarms[-1] - alarms) * tn
    never = hits[-1] * fn + alarms[-1] * tn
    place = int(np.argmin(called))
    if never <= called[place]:
        return float(np.nextafter(levels[0], np.inf))
    if place + 1 == len(levels):
        return float(levels[place])
    return float(levels[place] + levels[place + 1]) / 2


def checked_costs(costs: Mapping[str, float]) -> tuple[float, float, float, float]:
    """The four costs in the order of `COSTS`; unknown keys and missing errors are errors.

    >>> checked_costs({"false_positive": 40, "false_negative": 250})
    (40.0, 250.0, 0.0, 0.0)
    """
    unknown = sorted(set(costs) - set(COSTS))
    if unknown:
        raise UsageError("costs have unknown keys", value=unknown, hint=f"Known keys: {', '.join(COSTS)}.")
    missing = [key for key in COSTS[:2] if key not in costs]
    if missing:
        raise UsageError("costs are incomplete", value=missing, hint="Say what each kind of error costs.")
    return (
        float(costs["false_positive"]),
        float(costs["false_negative"]),
        float(costs.get("true_positive", 0.0)),
        float(costs.get("true_negative", 0.0)),
    )
