"""Labelled rows with what a model says of them: the ground of every measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import DataError
from tidemill.core.model import Model, require_model
from tidemill.core.tasks import Task
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.measures.inputs import Floats
from tidemill.training.fitting import fitting_metrics
from tidemill.training.frameworks import Matrix
from tidemill.training.prediction import encoded, predict_encoded
from tidemill.training.targets import facts_of, is_known, target_values


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Labelled rows with a model's predictions: the table, its encoded rows, truth and scores, all in one order."""

    model: Model
    frame: pl.DataFrame
    matrix: Matrix
    truth: Floats
    scores: Floats
    unlabelled: int

    @property
    def are_probabilities(self) -> bool:
        """Whether the scores lie between 0 and 1."""
        return not len(self.scores) or bool(self.scores.min() >= 0 and self.scores.max() <= 1)

    @property
    def is_labelled(self) -> bool:
        """Whether there is a truth to measure against; rows of anomalies may have none."""
        return self.model.signature.task != "anomaly" or not bool(np.isnan(self.truth).any())

    def in_order(self) -> tuple[Floats, Floats]:
        """Truth and scores by rising score, so that what ranks them need not sort again; as they are if not of one."""
        order = self.order()
        return (self.truth, self.scores) if order is None else (self.truth[order], self.scores[order])

    def order(self) -> NDArray[np.intp] | None:
        """The places of the rows by rising score; None if they are not of one score and one truth each."""
        if self.scores.ndim != 1 or self.truth.ndim != 1:
            return None
        return np.argsort(self.scores, kind="stable")


def score(model: Model, table: Tabular) -> Scored:
    """Ask a model about the labelled rows of a table."""
    require_model(model)
    frame, signature = collected(table), model.signature
    if not frame.height:
        raise DataError(
            "there are no rows to evaluate", hint="Take a longer window, or move the boundaries of the split."
        )
    target, unknown = signature.target, signature.task == "anomaly" and signature.target not in frame.columns
    labelled = frame
    if not unknown:
        require_columns(frame, [target], purpose="the evaluation")
        labelled = frame.filter(is_known(frame[target]))
        unknown = signature.task == "anomaly" and not labelled.height
        labelled = frame.drop(target) if unknown else labelled
    if not labelled.height:
        raise DataError(
            f"none of {frame.height} rows has a label in {target!r}",
            hint="Wait for the labels, or evaluate rows that have them.",
        )
    truth = target_values(labelled, target, signature.task, signature.classes, "evaluated")
    matrix = encoded(model, labelled)
    scores = predict_encoded(model, matrix)
    return Scored(model, labelled, matrix, facts_of(labelled, truth, signature), scores, frame.height - labelled.height)


def base_rate(truth: Floats, task: Task) -> float | None:
    """The mean of the target; None where it is a class, or nobody labelled the rows."""
    if task == "multiclass":
        return None
    mean = float((truth[:, 0] if task in {"ranking", "forecasting"} else truth).mean())
    return None if np.isnan(mean) else mean


def leading_metrics(scored: Scored) -> tuple[str, ...]:
    """The metrics of the task that fit these predictions and this truth."""
    return fitting_metrics(scored.truth, scored.scores, scored.model.signature)
