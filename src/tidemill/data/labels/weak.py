"""Labels from rules that are each wrong sometimes: labelling functions, and what their votes say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError, DataError, UsageError
from tidemill.data.types import Tabular, collected
from tidemill.engine.step import step

Votes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_MODELS = ("majority", "dawid_skene")
_ROUNDS = 100
_ENOUGH = 1e-6
_PRIOR = 1.0


#: A rule in Python: a row as a mapping comes in, a label goes out, or None where the rule has nothing to say.
RowRule: TypeAlias = Callable[[Mapping[str, Any]], str | None]


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
    functions: Sequence[LabellingFunction | RowRule],
    *,
    model: Literal["majority", "dawid_skene"] = "dawid_skene",
) -> WeakLabels:
    """Label rows by the votes of rules.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one.
    functions
        The rules: a `LabellingFunction`, which is fast on any number of rows, or a function of a row, given as a
        mapping of its columns, that returns a label or None.
    model
        ``"majority"``: each vote counts the same, and equal votes give no label; ``"dawid_skene"``: each rule counts
        as far as it agrees with the others.

    Raises
    ------
    ConfigError
        If a condition does not fit the table, two rules have one name, the model is unknown, or all rules are
        conditions and know fewer than two labels.
    DataError
        If a function fails on a row, or returns something else than text or None.

    Examples
    --------
    >>> reviews = pl.DataFrame({"text": ["good, great", "bad", "fine"]})
    >>> rules = [LabellingFunction("good", "text LIKE '%good%'", "yes"), LabellingFunction("bad", "text = 'bad'", "no")]
    >>> weak_labels(reviews, rules, model="majority").table["label"].to_list()
    ['yes', 'no', None]
    """
    if not isinstance(model, str) or model not in _MODELS:
        raise ConfigError("model is unknown", value=model, hint=f"Use one of {', '.join(_MODELS)}.")
    if not isinstance(functions, list | tuple):
        raise UsageError("functions are a list of rules", value=functions, hint="Write [LabellingFunction(…), …].")
    frame = collected(table)
    names = _names(functions)
    said = [
        _where(frame, rule) if isinstance(rule, LabellingFunction) else _asked(frame, rule, name)
        for rule, name in zip(functions, names, strict=True)
    ]
    declared = [rule.label for rule in functions if isinstance(rule, LabellingFunction)]
    heard = [label for column in said for label in column.unique(maintain_order=True)]
    labels = list(dict.fromkeys([*declared, *heard]))
    labels = [label for label in labels if label is not None]
    if len(labels) < 2 and len(declared) == len(functions):
        raise ConfigError(
            "labelling needs functions for at least two labels", value=labels, hint="Add a rule for another label."
        )
    votes = _votes(said, labels)
    number = max(2, len(labels))  # of what functions in Python may say, some rows call for little
    shares, accuracies = (majority(votes, number), None) if model == "majority" else dawid_skene(votes, number)
    best = shares.max(axis=1)
    voted = (votes >= 0).any(axis=1)
    tied = (np.isclose(shares, best[:, None])).sum(axis=1) > 1
    known = voted & ~tied
    named = pl.Series([*labels, *[None] * (number - len(labels))], dtype=pl.String).gather(shares.argmax(axis=1))
    out = pl.DataFrame({"label": named, "confidence": best}).select(
        pl.when(pl.Series(known)).then(pl.col(name)).alias(name) for name in ("label", "confidence")
    )
    mean = shares[voted].mean(axis=0) if voted.any() else np.zeros(number)
    voters = tuple(
        VoterReport(
            name,
            float((votes[:, place] >= 0).mean()) if len(votes) else 0.0,
            _conflicts(votes, place),
            None if accuracies is None else float(accuracies[place]),
        )
        for place, name in enumerate(names)
    )
    report = WeakLabelsReport(
        frame.height, int((~known).sum()), tuple(zip(labels, mean.tolist(), strict=False)), voters
    )
    return WeakLabels(out, report)


def _names(functions: Sequence[LabellingFunction | RowRule]) -> list[str]:
    """What the report calls each rule."""
    names = [
        rule.name if isinstance(rule, LabellingFunction) else str(getattr(rule, "__name__", type(rule).__name__))
        for rule in functions
    ]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError("two labelling functions have one name", value=twice[0], hint="Name each differently.")
    return names


def _where(frame: pl.DataFrame, rule: LabellingFunction) -> pl.Series:
    """The rule's label where its condition holds."""
    try:
        holds = frame.select(pl.sql_expr(rule.condition).fill_null(value=False).alias("holds"))["holds"]
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"labelling function {rule.name!r} does not fit the table: {str(error).splitlines()[0]}",
            value=rule.condition,
            hint=f"Columns are: {', '.join(frame.columns)}.",
        ) from error
    return frame.select(pl.when(holds).then(pl.lit(rule.label)).alias("label"))["label"]


def _asked(frame: pl.DataFrame, rule: RowRule, name: str) -> pl.Series:
    """What a function says about each row."""
    said: list[str | None] = []
    for number, row in enumerate(frame.iter_rows(named=True)):
        try:
            label = rule(row)
        except Exception as error:  # the user's function: whatever it raises is about this row
            raise DataError(
                f"labelling function {name!r} failed on row {number} ({type(error).__name__}: {error})",
                value=row,
                hint="Return None for rows about which it has nothing to say.",
            ) from error
        if label is not None and not isinstance(label, str):
            raise DataError(
                f"labelling function {name!r} does not return a label on row {number}",
                value=label,
                hint="Return the label's name, or None.",
            )
        said.append(label)
    return pl.Series(name, said, dtype=pl.String)


def _votes(said: Sequence[pl.Series], labels: Sequence[str]) -> Votes:
    number = {label: place for place, label in enumerate(labels)}
    columns = [column.replace_strict(number, default=-1, return_dtype=pl.Int64).to_numpy() for column in said]
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
    turns, from the majority on. A voter's abstaining says nothing, unless it only ever votes for one label.

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
    outcomes = _outcomes(votes, labels)
    probabilities = majority(votes, labels)
    voted = np.asarray((votes >= 0).any(axis=1))
    if not voted.any():
        return probabilities, np.full(votes.shape[1], np.nan)
    shares, matrices = _estimated(outcomes, probabilities, voted)
    for _ in range(_ROUNDS):
        logs = np.log(shares) + np.einsum("rvk,vlk->rl", outcomes, np.log(matrices))
        logs -= logs.max(axis=1, keepdims=True)
        better = np.exp(logs)
        better /= better.sum(axis=1, keepdims=True)
        moved = float(np.abs(better - probabilities)[voted].max())
        probabilities = better
        shares, matrices = _estimated(outcomes, probabilities, voted)
        if moved < _ENOUGH:
            break
    onehot = outcomes[:, :, :labels]
    right = (onehot * probabilities[:, None, :]).sum(axis=(0, 2))
    cast = onehot.sum(axis=(0, 2))
    accuracies = np.where(cast > 0, right / np.maximum(cast, 1.0), np.nan)
    return probabilities, accuracies


def _outcomes(votes: Votes, labels: int) -> Floats:
    """What each voter did in each row, [row, voter, label]; the last is to abstain, where that says something.

    Whatever the label of a row is, a voter that knows one label votes for it: what tells is when it votes at all.
    """
    votes_for = np.stack([(votes == label) for label in range(labels)], axis=2)
    knows_one = votes_for.any(axis=0).sum(axis=1) == 1
    out: Floats = np.concatenate([votes_for, ((votes < 0) & knows_one)[:, :, None]], axis=2).astype(np.float64)
    return out


def _estimated(
    outcomes: Floats, probabilities: Floats, voted: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[Floats, Floats]:
    """Shares of labels, and each voter's matrix [voter, label, outcome] with a little trust in its diagonal."""
    labels = probabilities.shape[1]
    weights = probabilities[voted]
    shares = (weights.sum(axis=0) + _PRIOR) / (weights.sum() + labels * _PRIOR)
    counts = np.einsum("rl,rvk->vlk", weights, outcomes[voted]) + _PRIOR * (0.1 + np.eye(labels, labels + 1))
    matrices: Floats = counts / counts.sum(axis=2, keepdims=True)
    return shares, matrices
