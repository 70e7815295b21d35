"""What looks wrong in training rows without making training impossible: said in the log and in the model's record."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.tasks import TASKS, Task
from tidemill.training.frameworks import Matrix

#: A class rarer than this, or with fewer rows, is too rare for most that a model is measured by.
RARE_SHARE, RARE_ROWS = 0.01, 20
_NAMED = 5
#: So many distinct values on both sides make it no chance that a feature tells the target exactly.
_LEAST_ROWS = 10
_FIRST = 1_000

_log = logging.getLogger(__name__)


def suspicions(
    matrix: Matrix, encoding: Sequence[Mapping[str, Any]], truth: NDArray[np.float64], task: Task,
    classes: Sequence[str], target: str,
) -> list[str]:  # fmt: skip
    """Sentences about rare classes, features that say nothing or hold infinities, and features that are the target.

    Examples
    --------
    >>> rows = np.arange(40, dtype=np.float32).reshape(20, 2)
    >>> rows[:, 1] = 7
    >>> named = [{"name": name, "column": name, "kind": "number"} for name in ("miles", "seats")]
    >>> suspicions(rows, named, rows[:, 0] * 2.0, "regression", (), "kilometres")
    ["feature 'miles' tells 'kilometres' exactly: it may be the target itself, known too early", \
"1 of 2 features has one value in all training rows: 'seats'"]
    """
    names = [str(entry["name"]) for entry in encoding]
    found = [*_rare(truth, task, classes), *_telling(matrix, names, truth, target)]
    constant = [
        name
        for place, name in enumerate(names)
        if len(matrix) and encoding[place]["kind"] != "text" and _is_constant(matrix[:, place])
    ]
    if constant:
        verb = "has" if len(constant) == 1 else "have"
        found.append(
            f"{len(constant)} of {len(names)} features {verb} one value in all training rows: {_list(constant)}"
        )
    infinite = [names[place] for place in np.flatnonzero(np.isinf(matrix).any(axis=0)).tolist()]
    if infinite:
        found.append(f"{len(infinite)} of {len(names)} features hold infinite values: {_list(infinite)}")
    return found


def say(sentences: Sequence[str]) -> None:
    """Log them as warnings."""
    for sentence in sentences:
        _log.warning("%s", sentence)


def _rare(truth: NDArray[np.float64], task: Task, classes: Sequence[str]) -> list[str]:
    if not TASKS[task].classifies:
        return []
    counts = truth.sum(axis=0) if task == "multilabel" else np.bincount(truth.astype(np.int64), minlength=len(classes))
    return [
        f"class {name!r} has {int(count)} of {len(truth)} training rows ({count / len(truth):.2%}): accuracy says "
        "little of it; see average_precision, class_weight and calibrate"
        for name, count in zip(classes, counts.tolist(), strict=True)
        if count < RARE_ROWS or count < RARE_SHARE * len(truth)
    ]


def _telling(matrix: Matrix, names: Sequence[str], truth: NDArray[np.float64], target: str) -> list[str]:
    """Features of which each value goes with one value of the target, and the other way round, in many rows."""
    if truth.ndim > 1 or len(truth) < _LEAST_ROWS or not np.isfinite(truth).all():
        return []
    if np.ptp(truth) == 0:
        return []
    found = []
    for place, name in enumerate(names):
        column = matrix[:, place]
        # Most columns are told apart by few rows; the others are looked at whole.
        if _one_to_one(column[:_FIRST], truth[:_FIRST]) and _one_to_one(column, truth):
            found.append(f"feature {name!r} tells {target!r} exactly: it may be the target itself, known too early")
    return found


def _one_to_one(column: NDArray[np.float32], truth: NDArray[np.float64]) -> bool:
    """Whether each value goes with one value of the target, and the other way round."""
    kinds, codes = np.unique(truth, return_inverse=True)
    distinct, values = np.unique(column, return_inverse=True)
    return len(distinct) == len(kinds) and len(np.unique(values * len(kinds) + codes)) == len(kinds)


def _is_constant(column: NDArray[np.float32]) -> bool:
    first = column[0]
    # Most columns vary within few rows; the others are looked at whole.
    return all(bool((np.isnan(rows) if np.isnan(first) else rows == first).all()) for rows in (column[:_FIRST], column))


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_NAMED]))
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
