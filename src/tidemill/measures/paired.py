"""Whether one model is better than another on the same rows: a difference, its interval, and a test that fits it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.tasks import Task
from tidemill.measures.inputs import paired
from tidemill.measures.intervals import Estimate, delong_difference, estimate_of
from tidemill.measures.registry import metric, units_of
from tidemill.measures.resampling import difference_of, draw

#: Above so many rows on which two models decide differently, McNemar's test uses the normal distribution.
EXACT_ROWS = 1000


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference of a metric between two models on the same rows.

    Parameters
    ----------
    difference
        Of the first minus the second, with a paired interval.
    values
        Of the first and of the second; NaN where not defined.
    p_value
        How likely a difference at least as large is by chance when there is none; None when there is no test.
    test
        Which test: ``"DeLong"``, ``"McNemar"`` or ``"bootstrap"``; empty when there is none.
    """

    difference: Estimate
    values: tuple[float, float]
    p_value: float | None = None
    test: str = ""


def paired_test(
    truth: ArrayLike,
    predicted: ArrayLike,
    other: ArrayLike,
    name: str,
    task: Task = "binary",
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    levels: Sequence[float] = (),
    resamples: int = 200,
    seed: int = 0,
) -> PairedTest:
    """Test whether `predicted` and `other` differ in a metric on the same rows.

    Parameters
    ----------
    truth, predicted, other
        Labels, and two models' predictions for the same rows in the same order.
    name, task, thresholds, levels
        The metric; the thresholds are those of the two models, for metrics of decisions, the levels those of quantiles.
    resamples, seed
        Of the bootstrap; with 0 resamples there is no interval and no test.

    Notes
    -----
    Areas under ROC curves by DeLong, accuracy and recall by McNemar (exact binomial test of the rows on which only one
    of the two is right), anything else by the paired bootstrap: twice the smaller share of resamples on either side of
    zero, which is never below 2 / (resamples + 1).

    Examples
    --------
    >>> found = paired_test([0, 1] * 50, [0.2, 0.8] * 50, [0.8, 0.2] * 10 + [0.2, 0.8] * 40, "accuracy")
    >>> round(found.difference.value, 3), found.test, round(found.p_value, 7)
    (0.2, 'McNemar', 1.9e-06)
    """
    found = metric(name, task, levels)
    mine, theirs = found.prepare(truth, predicted, thresholds[0]), found.prepare(truth, other, thresholds[1])
    difference = difference_of(mine, theirs)
    values = mine(None), theirs(None)
    rows, value = units_of(np.asarray(truth), task), values[0] - values[1]
    if math.isnan(value):
        return PairedTest(Estimate(None, rows=rows, reason=found.undefined if rows else "there are no rows"), values)
    if not resamples or rows < 2:
        return PairedTest(Estimate(value, rows=rows), values)
    if name == "roc_auc":
        by_formula = delong_difference(truth, predicted, other)
        return PairedTest(by_formula, values, _normal_p(by_formula), "DeLong")
    draws = draw([difference], rows, resamples, seed)[0]
    estimate = estimate_of(value, draws, rows)
    if task == "binary" and name in ("accuracy", "recall"):
        chance = mcnemar(truth, predicted, other, thresholds, positives=name == "recall")
        return PairedTest(estimate, values, chance, "McNemar")
    known = draws[~np.isnan(draws)]
    if estimate.low is None:
        return PairedTest(estimate, values)
    smaller = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return PairedTest(estimate, values, min(1.0, 2 * (smaller + 1) / (len(known) + 1)), "bootstrap")


def mcnemar(
    truth: ArrayLike,
    predicted: ArrayLike,
    other: ArrayLike,
    thresholds: tuple[float, float] = (0.5, 0.5),
    *,
    positives: bool = False,
) -> float:
    """McNemar's test of two models' decisions on the same rows; of the positive rows only, if asked.

    >>> mcnemar([1, 1, 1, 1, 1], [0.9] * 5, [0.1] * 5)
    0.0625
    """
    left, mine = paired(truth, predicted)
    _, theirs = paired(truth, other)
    kept = left == 1 if positives else np.ones(len(left), dtype=bool)
    right = (mine >= thresholds[0]) == (left == 1)
    right_other = (theirs >= thresholds[1]) == (left == 1)
    wins, losses = int((right & ~right_other & kept).sum()), int((~right & right_other & kept).sum())
    many = wins + losses
    if many == 0:
        return 1.0
    if many > EXACT_ROWS:
        return math.erfc(max(0.0, abs(wins - losses) - 1) / math.sqrt(2 * many))
    tail = sum(math.comb(many, hits) for hits in range(min(wins, losses) + 1))
    return float(min(1.0, 2 * tail / 2**many))


def _normal_p(found: Estimate) -> float | None:
    if found.value is None or found.low is None or found.high is None:
        return None
    half = (found.high - found.low) / 2
    if half <= 0:
        return 1.0 if found.value == 0 else 0.0
    z = abs(found.value) / half * NormalDist().inv_cdf(0.5 + found.level / 2)
    return math.erfc(z / math.sqrt(2))
