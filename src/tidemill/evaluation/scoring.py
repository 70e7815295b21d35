"""Labelled rows with what a model says of them: the ground of every measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tidemill.core.errors import DataError
from tidemill.core.model import Model
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.measures.inputs import Floats
from tidemill.measures.registry import METRICS
from tidemill.training.frames import target_values
from tidemill.training.frameworks import Matrix
from tidemill.training.prediction import encoded, predict_encoded


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

    def in_order(self) -> tuple[Floats, Floats]:
        """Truth and scores by rising score, so that what ranks them need not sort again; as they are if not of one."""
        if self.scores.ndim != 1:
            return self.truth, self.scores
        order = np.argsort(self.scores, kind="stable")
        return self.truth[order], self.scores[order]


def score(model: Model, table: Tabular) -> Scored:
    """Ask a model about the labelled rows of a table."""
    frame, target = collected(table), model.signature.target
    require_columns(frame, [target], purpose="the evaluation")
    labels = frame[target]
    known = labels.is_not_null() & labels.is_not_nan() if labels.dtype.is_float() else labels.is_not_null()
    labelled = frame.filter(known)
    if not labelled.height:
        raise DataError(
            f"none of {frame.height} rows has a label in {target!r}",
            hint="Wait for the labels, or evaluate rows that have them.",
        )
    signature = model.signature
    truth = target_values(labelled, target, signature.task, signature.classes, "evaluated")
    matrix = encoded(model, labelled)
    scores = predict_encoded(model, matrix)
    return Scored(model, labelled, matrix, truth, scores, frame.height - labelled.height)


def leading_metrics(scored: Scored) -> tuple[str, ...]:
    """The metrics of the task that fit these predictions; those of probabilities only for probabilities."""
    table = METRICS[scored.model.signature.task]
    fits = scored.are_probabilities or scored.model.signature.task != "binary"
    return tuple(name for name, found in table.items() if fits or found.needs != "probability")
