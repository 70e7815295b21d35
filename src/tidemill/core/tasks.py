"""The kinds of question that a model answers: what each learns from and what it gives, in one table for every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "multilabel", "regression", "quantile", "ranking", "forecasting", "anomaly"]

#: How many numbers a row's answer has: one; one for each class; one for each quantile level.
Scores = Literal["one", "per class", "per level"]

#: What the target holds: yes or no; one class; a list of classes; a number; a grade within a query; perhaps nothing.
Target = Literal["flag", "class", "labels", "number", "grade", "flag or nothing"]


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What the stages must know of a kind of question.

    Parameters
    ----------
    name
        The task.
    scores
        The shape of an answer: ``"one"`` is an array of shape (rows,), the others (rows, outputs).
    classifies
        Whether the target is a class, and an answer a probability.
    target
        What the target column holds.
    decides
        Whether an answer becomes a decision at a threshold.
    exclusive
        Whether a row is of one class only, so that its probabilities add up to 1.
    """

    name: Task
    scores: Scores
    classifies: bool
    target: Target
    decides: bool = False
    exclusive: bool = False

    @property
    def is_value(self) -> bool:
        """Whether an answer is a value in the unit of the target."""
        return self.target == "number"


TASKS: Mapping[Task, TaskKind] = {
    kind.name: kind
    for kind in (
        TaskKind("binary", "one", classifies=True, target="flag", decides=True, exclusive=True),
        TaskKind("multiclass", "per class", classifies=True, target="class", exclusive=True),
        TaskKind("multilabel", "per class", classifies=True, target="labels", decides=True),
        TaskKind("regression", "one", classifies=False, target="number"),
        TaskKind("quantile", "per level", classifies=False, target="number"),
        TaskKind("ranking", "one", classifies=False, target="grade"),
        TaskKind("forecasting", "one", classifies=False, target="number"),
        TaskKind("anomaly", "one", classifies=False, target="flag or nothing", decides=True),
    )
}


def middle_level(classes: Sequence[str]) -> int:
    """The place of the level nearest to the median.

    >>> middle_level(("0.1", "0.5", "0.9"))
    1
    """
    return min(range(len(classes)), key=lambda place: abs(float(classes[place]) - 0.5))
