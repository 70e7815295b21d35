"""Measures of how well scores rank positives above negatives; sorted once, measured under many weightings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidemill.core.errors import DataError
from tidemill.measures.inputs import Floats, binary, row_weights

#: Rows are worked through in blocks of about this many: their arrays stay in the processor's cache, and their products
#: are too small for the linear algebra library to start threads.
BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a ranking, cut between two different scores.

    `starts` says where in the block each group of equal scores begins; None when all differ.
    """

    begin: int
    end: int
    starts: NDArray[np.intp] | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Labels in ascending order of their scores.

    Parameters
    ----------
    positive
        1.0 for a positive and 0.0 for a negative, shape (rows,).
    order
        The row that stands at each place, or None when the rows came sorted.
    starts
        Where each group of equal scores begins, or None when no two scores are equal.
    scores
        The sorted scores.
    blocks
        The rows in parts.
    """

    positive: Floats
    order: NDArray[np.intp] | None
    starts: NDArray[np.intp] | None
    scores: Floats
    blocks: tuple[Block, ...]

    def in_order(self, weights: Floats | None) -> Floats | None:
        """Weights of the rows in the order of the ranking."""
        return weights if weights is None or self.order is None else weights[self.order]

    def masses(self, block: Block, weights: Floats | None) -> tuple[Floats, Floats]:
        """Weight of positives and of negatives in each group of equal scores of a block, ascending."""
        positive = self.positive[block.begin : block.end]
        if weights is None:
            negative = 1.0 - positive
        else:
            total = weights[block.begin : block.end]
            positive = positive * total
            negative = total - positive
        if block.starts is None:
            return positive, negative
        return np.add.reduceat(positive, block.starts), np.add.reduceat(negative, block.starts)

    def all_masses(self, weights: Floats | None) -> tuple[Floats, Floats]:
        """`masses` of all rows at once."""
        return self.masses(Block(0, len(self.positive), self.starts), self.in_order(weights))


def rank(labels: ArrayLike, scores: ArrayLike) -> Ranked:
    """Sort rows by score once, for the measures of this module."""
    truth, predicted = binary(labels, scores)
    order: NDArray[np.intp] | None = None
    if len(predicted) > 1 and bool((predicted[1:] < predicted[:-1]).any()):
        order = np.argsort(predicted, kind="stable")
        truth, predicted = truth[order], predicted[order]
    fresh = np.empty(len(predicted), dtype=bool)
    fresh[:1] = True
    np.not_equal(predicted[1:], predicted[:-1], out=fresh[1:])
    starts = np.flatnonzero(fresh)
    blocks = _blocks(starts, len(predicted))
    return Ranked(truth, order, None if len(starts) == len(predicted) else starts, predicted, blocks)


def _blocks(starts: NDArray[np.intp], rows: int) -> tuple[Block, ...]:
    """Cut between groups, at the first group that begins in each `BLOCK` rows."""
    marks = np.searchsorted(starts, np.arange(0, max(rows, 1), BLOCK))
    cuts = np.unique(np.append(marks[marks < len(starts)], len(starts)))
    ends = np.append(starts, rows)
    blocks = []
    for first, last in pairwise(cuts.tolist()):
        begin, end = int(ends[first]), int(ends[last])
        local = None if end - begin == last - first else starts[first:last] - begin
        blocks.append(Block(begin, end, local))
    return tuple(blocks)


def roc_auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The chance that a random positive scores higher than a random negative; ties count half.

    Parameters
    ----------
    labels
        0 or 1, shape (rows,).
    scores
        Higher means more likely positive, shape (rows,).
    weights
        How often each row counts, shape (rows,).

    Returns
    -------
    float
        Between 0 and 1; NaN when one of the classes is absent.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    ranked = rank(labels, scores)
    return roc_auc_of(ranked, None if weights is None else row_weights(weights, len(ranked.positive)))


def roc_auc_of(ranked: Ranked, weights: Floats | None = None) -> float:
    """`roc_auc` of rows that are ranked already."""
    weights = ranked.in_order(weights)
    wins = below = positives = 0.0
    for block in ranked.blocks:
        positive, negative = ranked.masses(block, weights)
        beaten = np.cumsum(negative)
        mass = float(positive.sum())
        wins += float(positive @ beaten) + below * mass
        if block.starts is not None:
            wins -= 0.5 * float(positive @ negative)
        positives += mass
        below += float(beaten[-1])
    return min(1.0, wins / (positives * below)) if positives > 0 and below > 0 else float("nan")


def average_precision(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Precision averaged over the recall gained at each distinct score, highest first (no interpolation).

    NaN when there is no positive.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    ranked = rank(labels, scores)
    return average_precision_of(ranked, None if weights is None else row_weights(weights, len(ranked.positive)))


def average_precision_of(ranked: Ranked, weights: Floats | None = None) -> float:
    """`average_precision` of rows that are ranked already."""
    weights = ranked.in_order(weights)
    area = hit = seen = 0.0
    for block in reversed(ranked.blocks):
        positive, negative = (mass[::-1] for mass in ranked.masses(block, weights))
        hits = np.cumsum(positive)
        hits += hit
        taken = np.cumsum(positive + negative)
        taken += seen
        hit, seen = float(hits[-1]), float(taken[-1])
        np.maximum(taken, 1e-300, out=taken)  # groups before the first drawn row hold nothing: 0 / tiny = 0
        area += float(positive @ (hits / taken))
    return area / hit if hit > 0 else float("nan")


def recall_at_share(
    labels: ArrayLike, scores: ArrayLike, share: float = 0.1, weights: ArrayLike | None = None
) -> float:
    """The share of all positives among the rows with the highest scores.

    Rows that tie at the cut are taken in part, so that the result does not depend on their order. NaN when there is
    no positive.

    >>> recall_at_share([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], share=0.25)
    0.5
    """
    ranked = rank(labels, scores)
    row = None if weights is None else row_weights(weights, len(ranked.positive))
    hits, _, positives, _ = _top(ranked, share, row)
    return hits / positives if positives > 0 else float("nan")


def precision_at_share(
    labels: ArrayLike, scores: ArrayLike, share: float = 0.1, weights: ArrayLike | None = None
) -> float:
    """The share of positives among the rows with the highest scores. NaN without rows.

    >>> precision_at_share([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], share=0.5)
    0.5
    """
    ranked = rank(labels, scores)
    row = None if weights is None else row_weights(weights, len(ranked.positive))
    hits, taken, _, _ = _top(ranked, share, row)
    return hits / taken if taken > 0 else float("nan")


def lift_at_share(labels: ArrayLike, scores: ArrayLike, share: float = 0.1, weights: ArrayLike | None = None) -> float:
    """How many times more positives the top rows hold than rows drawn at random. NaN when there is no positive.

    >>> lift_at_share([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], share=0.25)
    2.0
    """
    ranked = rank(labels, scores)
    row = None if weights is None else row_weights(weights, len(ranked.positive))
    return lift_at_share_of(ranked, share, row)


def lift_at_share_of(ranked: Ranked, share: float, weights: Floats | None = None) -> float:
    """`lift_at_share` of rows that are ranked already."""
    return lift_of_masses(*ranked.all_masses(weights), share)


def recall_at_share_of(ranked: Ranked, share: float, weights: Floats | None = None) -> float:
    """`recall_at_share` of rows that are ranked already."""
    return recall_of_masses(*ranked.all_masses(weights), share)


def precision_at_share_of(ranked: Ranked, share: float, weights: Floats | None = None) -> float:
    """`precision_at_share` of rows that are ranked already."""
    return precision_of_masses(*ranked.all_masses(weights), share)


def roc_auc_of_masses(positive: Floats, negative: Floats) -> float:
    """`roc_auc` from the weights of positives and negatives in each group of equal scores, ascending."""
    beaten = np.cumsum(negative)
    wins = float((positive * (beaten - 0.5 * negative)).sum())
    pairs = float(positive.sum()) * float(beaten[-1]) if len(beaten) else 0.0
    return min(1.0, wins / pairs) if pairs > 0 else float("nan")


def average_precision_of_masses(positive: Floats, negative: Floats) -> float:
    """`average_precision` from the weights of positives and negatives in each group of equal scores, ascending."""
    positive, negative = positive[::-1], negative[::-1]
    hits = np.cumsum(positive)
    taken = np.maximum(np.cumsum(positive + negative), 1e-300)
    return float((positive * (hits / taken)).sum() / hits[-1]) if len(hits) and hits[-1] > 0 else float("nan")


def lift_of_masses(positive: Floats, negative: Floats, share: float) -> float:
    """`lift_at_share` from the weights of positives and negatives in each group of equal scores, ascending."""
    hits, taken, positives, rows = _top_of_masses(positive, negative, share)
    return (hits / taken) / (positives / rows) if positives > 0 and taken > 0 else float("nan")


def recall_of_masses(positive: Floats, negative: Floats, share: float) -> float:
    """`recall_at_share` from the weights of positives and negatives in each group of equal scores, ascending."""
    hits, _, positives, _ = _top_of_masses(positive, negative, share)
    return hits / positives if positives > 0 else float("nan")


def precision_of_masses(positive: Floats, negative: Floats, share: float) -> float:
    """`precision_at_share` from the weights of positives and negatives in each group of equal scores, ascending."""
    hits, taken, _, _ = _top_of_masses(positive, negative, share)
    return hits / taken if taken > 0 else float("nan")


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """False positive rate, true positive rate and the score from which they hold, from (0, 0) to (1, 1).

    >>> rates = roc_curve([0, 1], [0.2, 0.7])
    >>> [axis.tolist() for axis in rates]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [inf, 0.7, 0.2]]
    """
    ranked = rank(labels, scores)
    positive, negative = (mass[::-1] for mass in ranked.all_masses(None))
    hits, alarms = np.cumsum(positive), np.cumsum(negative)
    return (
        np.concatenate([[0.0], alarms / max(alarms[-1], 1.0) if len(alarms) else []]),
        np.concatenate([[0.0], hits / max(hits[-1], 1.0) if len(hits) else []]),
        np.concatenate([[np.inf], _levels(ranked)]),
    )


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Recall, precision and the score from which they hold, from the highest score down."""
    ranked = rank(labels, scores)
    positive, negative = (mass[::-1] for mass in ranked.all_masses(None))
    hits, taken = np.cumsum(positive), np.cumsum(positive + negative)
    return hits / max(hits[-1] if len(hits) else 0.0, 1.0), hits / np.maximum(taken, 1.0), _levels(ranked)


def _levels(ranked: Ranked) -> Floats:
    levels = ranked.scores if ranked.starts is None else ranked.scores[ranked.starts]
    return levels[::-1]


def _top(ranked: Ranked, share: float, weights: Floats | None) -> tuple[float, float, float, float]:
    """Positives in the top share, weight of the top share, all positives, all rows."""
    return _top_of_masses(*ranked.all_masses(weights), share)


def _top_of_masses(positive: Floats, negative: Floats, share: float) -> tuple[float, float, float, float]:
    if not 0 < share <= 1:
        raise DataError("a share lies above 0 and at most at 1", value=share, hint="Use 0.1 for the top 10 %.")
    positive, negative = positive[::-1], negative[::-1]
    if not len(positive):
        return 0.0, 0.0, 0.0, 0.0
    taken, hits = np.cumsum(positive + negative), np.cumsum(positive)
    budget = share * float(taken[-1])
    place = min(int(np.searchsorted(taken, budget)), len(taken) - 1)
    before_taken, before_hits = (float(taken[place - 1]), float(hits[place - 1])) if place else (0.0, 0.0)
    group = float(taken[place]) - before_taken
    part = (budget - before_taken) / group if group > 0 else 0.0
    return before_hits + part * (float(hits[place]) - before_hits), budget, float(hits[-1]), float(taken[-1])
