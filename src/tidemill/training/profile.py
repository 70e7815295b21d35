"""The reference profile that a model carries for its monitors: training columns, and predictions on validation rows.

::

    {"version": 1, "rows": 217727,
     "columns": {"distance": {"kind": "number", …}, "carrier": {"kind": "category", …}},
     "prediction": {"kind": "number", …},
     "target": {"kind": "number", "mean": 0.227, …}}

A model of several labels has instead of the last two ``"labels"``: for each the profile of its probability, and the
share of training rows that have it. Each entry is a profile of `tidemill.measures.population`. Flags are profiled as 0
and 1; moments are left out, since time only ever drifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.core.schema import TableSchema
from tidemill.core.tasks import Task, middle_level
from tidemill.measures.population import profile_categories, profile_numbers
from tidemill.training.encoding import Values, kind_of
from tidemill.training.frameworks import Numbers


def reference_profile(
    columns: Mapping[str, Values],
    inputs: TableSchema,
    truth: Numbers,
    scores: Numbers,
    task: Task,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Profile the training rows (`columns`, `truth`) and the predictions on validation rows (`scores`)."""
    profiles: dict[str, dict[str, Any]] = {}
    for column in inputs:
        kind = kind_of(column)
        if kind == "category":
            profiles[column.name] = profile_categories(columns[column.name])
        elif kind == "flag":
            profiles[column.name] = profile_numbers(np.asarray(columns[column.name], dtype=np.float64), edges=[0.5])
        elif kind == "number":
            profiles[column.name] = profile_numbers(columns[column.name])
    return {
        "version": 1,
        "rows": len(truth),
        "columns": profiles,
        # A list of labels is profiled label by label; what nobody labelled has no distribution.
        **(
            _labels(truth, scores, classes) if task == "multilabel" else {"prediction": _profile(scores, task, classes)}
        ),
        **({} if task == "multilabel" or np.isnan(truth).any() else {"target": _profile(truth, task, classes)}),
    }


def _labels(truth: Numbers, scores: Numbers, classes: Sequence[str]) -> dict[str, Any]:
    """Of each label the distribution of its probability, and the share of training rows that have it."""
    shares = truth.mean(axis=0).tolist()
    return {
        "labels": {
            name: {**profile_numbers(scores[:, place]), "share": shares[place]} for place, name in enumerate(classes)
        }
    }


def answers_of(scores: Numbers, task: Task, classes: Sequence[str]) -> Any:
    """Answers as one value a row: the likeliest class, the level nearest to the median, or the score itself."""
    if task == "multiclass":
        codes = scores.argmax(axis=1) if scores.ndim == 2 else scores.astype(np.int64)
        return [classes[code] for code in codes.tolist()]
    if task == "quantile" and scores.ndim == 2:
        return scores[:, middle_level(classes)]
    return scores


def _profile(values: Numbers, task: Task, classes: Sequence[str]) -> dict[str, Any]:
    told = answers_of(values, task, classes)
    return profile_categories(told) if task == "multiclass" else profile_numbers(told)
