"""One fitted estimator for each number of an answer: for each label of several, for each quantile level."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError
from tidemill.core.tasks import Task
from tidemill.training.frameworks import framework_for
from tidemill.training.frameworks import iterations as rounds_of
from tidemill.training.frameworks.fitting import Fitting, Matrix, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Fitted estimators, one for each number of an answer.

    Parameters
    ----------
    members
        In the order of the answer's numbers; a number in the place of an estimator is that answer for every row.
    ordered
        Whether an answer's numbers are sorted, as those of quantiles must be: estimators that were fitted apart can
        give a higher level a lower value.
    """

    members: tuple[Any, ...]
    ordered: bool = False


def settle(estimator: Any, seed: int, threads: int) -> None:
    """Nothing is open: its members were settled before they were fitted."""
    del estimator, seed, threads


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Members come fitted."""
    del fitting
    raise ModelError(
        "build returned members that are fitted already",
        value=estimator,
        hint="Return one unfitted estimator; train() fits one for each label or level.",
    )


def scores(estimator: Members, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """What the members say, side by side: shape (rows, outputs)."""
    del outputs
    asked = member_task(task)
    columns = [
        np.full(len(matrix), member)
        if isinstance(member, float)
        else framework_for(member).scores(member, matrix, asked, 2 if asked == "binary" else 1)
        for member in estimator.members
    ]
    return side_by_side(columns, ordered=estimator.ordered)


def contributions(estimator: Members, matrix: Matrix) -> Numbers | None:
    """What each column adds to each member's raw score; None if the library of one cannot tell.

    A number in the place of an estimator is all base: as log-odds where it is the chance of a label.
    """
    found = []
    for member in estimator.members:
        if isinstance(member, float):
            chance = min(max(member, 1e-12), 1 - 1e-12)
            constant = member if estimator.ordered else math.log(chance / (1 - chance))
            found.append(
                np.concatenate(
                    [np.zeros((len(matrix), 1, matrix.shape[1])), np.full((len(matrix), 1, 1), constant)], axis=2
                )
            )
            continue
        told = getattr(framework_for(member), "contributions", None)
        of_member = None if told is None else told(member, matrix)
        if of_member is None:
            return None
        found.append(of_member)
    return np.concatenate(found, axis=1)


def iterations(estimator: Members) -> int | None:
    """The most rounds that early stopping kept for a member."""
    found = [rounds_of(one) for one in estimator.members if not isinstance(one, float)]
    return max((rounds for rounds in found if rounds is not None), default=None)


def member_task(task: Task) -> Task:
    """What a member answers: whether a row has a label, or a number."""
    return "binary" if task == "multilabel" else "regression"


def side_by_side(columns: list[Numbers], *, ordered: bool) -> Numbers:
    """The columns as one array of shape (rows, columns), each row sorted if `ordered`."""
    both = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    return np.sort(both, axis=1) if ordered else both


def member_fitting(fitting: Fitting, place: int) -> Fitting:
    """What the member at a place is fitted on."""
    if fitting.task == "quantile":
        return replace(fitting, outputs=1, levels=(fitting.levels[place],))
    return replace(
        fitting,
        task="binary",
        outputs=2,
        truth=np.ascontiguousarray(fitting.truth[:, place]),
        validation_truth=np.ascontiguousarray(fitting.validation_truth[:, place]),
    )
