"""The reference profile that a model carries for its monitors: training columns, and predictions on validation rows.

::

    {"version": 1, "rows": 217727,
     "columns": {"distance": {"kind": "number", …}, "carrier": {"kind": "category", …}},
     "prediction": {"kind": "number", …},
     "target": {"kind": "number", "mean": 0.227, …}}

Each entry is a profile of `tidemill.measures.population`. Flags are profiled as 0 and 1; moments are left out, since
time only ever drifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.core.schema import TableSchema
from tidemill.core.tasks import Task
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
            profiles[column.name] = profile_numbers(np.asarray(columns[column.name], dtype=np.float64))
    return {
        "version": 1,
        "rows": len(truth),
        "columns": profiles,
        "prediction": _answers(scores, task, classes),
        "target": _answers(truth, task, classes),
    }


def _answers(values: Numbers, task: Task, classes: Sequence[str]) -> dict[str, Any]:
    if task == "multiclass":
        codes = values.argmax(axis=1) if values.ndim == 2 else values.astype(np.int64)
        return profile_categories([classes[code] for code in codes.tolist()])
    return profile_numbers(values)
