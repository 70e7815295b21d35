"""The kinds of question that a model answers: what each learns from and what it gives, in one table for every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]

#: How many numbers a row's answer has: one; one for each class; one for each quantile level.
Scores = Literal["one", "per class", "per level"]


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
    """

    name: Task
    scores: Scores
    classifies: bool


TASKS: Mapping[Task, TaskKind] = {
    kind.name: kind
    for kind in (
        TaskKind("binary", "one", classifies=True),
        TaskKind("multiclass", "per class", classifies=True),
        TaskKind("regression", "one", classifies=False),
    )
}
