"""Labels from rules that are each wrong sometimes: labelling functions, and what their votes say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError, DataError
from tidemill.data.types import Tabular, collected
from tidemill.engine.step import step

Votes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_ROUNDS = 100
_ENOUGH = 1e-6
_PRIOR = 1.0


@dataclass(frozen=True, slots=True)
class LabellingFunction:
    """A rule that votes for a label where a SQL condition holds, and abstains elsewhere."""

    name: str
    condition: str
    label: str


@dataclass(frozen=True, slots=True)
class VoterReport:
    """How a voter did: the share of rows it voted on, those with another vote against it, and its accuracy.

    The accuracy is estimated from how the voters agree, without any true label; None under the majority model.
    """

    name: str
    coverage: float
    conflicts: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class WeakLabelsReport:
    """Rows, those that nobody voted on, the estimated shares of the labels, and each voter."""

    rows: int
    unlabelled: int
    shares: tuple[tuple[str, float], ...]
    voters: tuple[VoterReport, ...]


@dataclass(frozen=True, slots=True, eq=False)
class WeakLabels:
    """A table of the rows' ``label`` (missing where nobody voted) and ``confidence``, and the report."""

    table: pl.DataFrame
    report: WeakLabelsReport


@step(stage="label")
def weak_labels(
    table: Tabular,
    functions: Sequence[LabellingFunction],
    *,
    model: Literal["majority", "dawid_skene"] = "dawid_skene",
) -> WeakLabels:
    """Label rows by the votes of rules.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one.
    functions
        The rules.
    model
        ``"majority"``: each vote counts the same, and equal votes give no label; ``"dawid_skene"``: each rule counts
        as far as it agrees with the others.

    Raises
    ------
    ConfigError
        If a condition does not fit the table, or there are fewer than two labels.

    Examples
    --------
    >>> reviews = pl.DataFrame({"text": ["good, great", "bad", "fine"]})
    >>> rules = [LabellingFunction("good", "text LIKE '%good%'", "yes"), LabellingFunction("bad", "text = 'bad'", "no")]
    >>> weak_labels(reviews, rules, model="majority").table["label"].to_list()
    ['yes', 'no', None]
    """
    frame = collected(table)
    labels = list(dict.fromkeys(function.label for function in functions))
    if len(labels) < 2:
        raise ConfigError("labelling needs functions for at least two labels", value=labels)
    votes = _votes(frame, functions, labels)
    shares, accuracies = (
        (majority(votes, len(labels)), None) if model == "majority" else dawid_skene(votes, len(labels))
    )
    best = shares.max(axis=1)
    voted = (votes >= 0).any(axis=1)
    tied = (np.isclose(shares, best[:, None])).sum(axis=1) > 1
    known = voted & ~tied
    named = pl.Series(labels).gather(shares.argmax(axis=1))
    out = pl.DataFrame({"label": named, "confidence": best}).select(
        pl.when(pl.Series(known)).then(pl.col(name)).alias(name) for name in ("label", "confidence")
    )
    mean = shares[voted].mean(axis=0) if voted.any() else np.zeros(len(labels))
    voters = tuple(
        VoterReport(
            function.name,
            float((votes[:, place] >= 0).mean()) if len(votes) else 0.0,
            _conflicts(votes, place),
            None if accuracies is None else float(accuracies[place]),
        )
        for place, function in enumerate(functions)
    )
    report = WeakLabelsReport(frame.height, int((~known).sum()), tuple(zip(labels, mean.tolist(), strict=True)), voters)
    return WeakLabels(out, report)


def _votes(frame: pl.DataFrame, functions: Sequence[LabellingFunction], labels: Sequence[str]) -> Votes:
    columns = []
    for function in functions:
        try:
            holds = frame.select(pl.sql_expr(function.condition).fill_null(value=False).alias("holds"))["holds"]
        except pl.exceptions.PolarsError as error:
            raise ConfigError(
                f"labelling function {function.name!r} does not fit the table: {str(error).splitlines()[0]}",
                value=function.condition,
            ) from error
        columns.append(np.where(holds.to_numpy(), labels.index(function.label), -1))
    return np.column_stack(columns).astype(np.int64)


def _conflicts(votes: Votes, place: int) -> float:
    mine = votes[:, [place]]
    against = ((votes >= 0) & (votes != mine) & (mine >= 0)).any(axis=1)
    return float(against.mean()) if len(votes) else 0.0


def majority(votes: Votes, labels: int) -> Floats:
    """The share of the votes for each label, shape (rows, labels); equal shares where nobody voted.

    >>> majority(np.array([[0, 0, 1], [-1, -1, -1]]), 2).round(2).tolist()
    [[0.67, 0.33], [0.5, 0.5]]
    """
    counts = np.stack([(votes == label).sum(axis=1) for label in range(labels)], axis=1).astype(np.float64)
    total = counts.sum(axis=1, keepdims=True)
    out: Floats = np.where(total > 0, counts / np.maximum(total, 1.0), 1.0 / labels)
    return out


def dawid_skene(votes: Votes, labels: int) -> tuple[Floats, Floats]:
    """The probability of each label, shape (rows, labels), and the accuracy of each voter where it votes.

    Each voter has a matrix of how often it votes for what in rows of each label; matrices and labels are estimated in
    turns, from the majority on. A voter's abstaining says nothing.

    Source: A. P. Dawid and A. M. Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm,
    Applied Statistics 28 (1979).

    Parameters
    ----------
    votes
        Shape (rows, voters): the number of a label, or -1.
    labels
        How many labels there are.

    Examples
    --------
    >>> votes = np.array([[0, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]] * 25)
    >>> probabilities, accuracies = dawid_skene(votes, 2)
    >>> accuracies.round(1).tolist()
    [1.0, 1.0, 0.5]
    """
    if votes.ndim != 2 or (len(votes) and (votes.max(initial=-1) >= labels or votes.min(initial=0) < -1)):
        raise DataError("votes are a table of label numbers, or -1 for none", value=votes.shape)
    onehot = np.stack([(votes == label) for label in range(labels)], axis=2).astype(np.float64)
    probabilities = majority(votes, labels)
    voted = np.asarray((votes >= 0).any(axis=1))
    if not voted.any():
        return probabilities, np.full(votes.shape[1], np.nan)
    shares, matrices = _estimated(onehot, probabilities, voted)
    for _ in range(_ROUNDS):
        logs = np.log(shares) + np.einsum("rvk,vlk->rl", onehot, np.log(matrices))
        logs -= logs.max(axis=1, keepdims=True)
        better = np.exp(logs)
        better /= better.sum(axis=1, keepdims=True)
        moved = float(np.abs(better - probabilities)[voted].max())
        probabilities = better
        shares, matrices = _estimated(onehot, probabilities, voted)
        if moved < _ENOUGH:
            break
    right = (onehot * probabilities[:, None, :]).sum(axis=(0, 2))
    cast = onehot.sum(axis=(0, 2))
    accuracies = np.where(cast > 0, right / np.maximum(cast, 1.0), np.nan)
    return probabilities, accuracies


def _estimated(
    onehot: Floats, probabilities: Floats, voted: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[Floats, Floats]:
    """Shares of labels, and each voter's matrix [voter, label, vote] with a little trust in its diagonal."""
    labels = onehot.shape[2]
    weights = probabilities[voted]
    shares = (weights.sum(axis=0) + _PRIOR) / (weights.sum() + labels * _PRIOR)
    counts = np.einsum("rl,rvk->vlk", probabilities, onehot) + _PRIOR * (0.1 + np.eye(labels))
    matrices: Floats = counts / counts.sum(axis=2, keepdims=True)
    return shares, matrices
