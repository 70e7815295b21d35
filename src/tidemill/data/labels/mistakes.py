"""Labels that are probably wrong: what a model that has not seen a row's label thinks of it (confident learning)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError, UsageError
from tidemill.data.expected import TEXT, require

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
PruneBy = Literal["noise_rate", "confident_joint"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many rows with the label `given` are estimated to be `truly` another class."""

    given: str
    truly: str
    rows: float


@dataclass(frozen=True, slots=True, eq=False)
class LabelErrors:
    """Which labels are probably wrong.

    Parameters
    ----------
    table
        The suspects, the surest first: ``row``, ``given``, ``suggested``, ``probability`` of the given label, and
        ``margin``: the probability of the suggested label minus that of the given one.
    noise
        The estimated share of wrong labels.
    confusions
        The estimated number of rows for each pair of classes that are mixed up, the largest first.
    joint
        The estimated joint distribution of given (rows) and true (columns) labels; it sums to 1.
    thresholds
        For each class, the mean probability of it among the rows that have it: what counts as confident.
    classes
        The order of the classes.
    """

    table: pl.DataFrame
    noise: float
    confusions: tuple[Confusion, ...]
    joint: Floats
    thresholds: Floats
    classes: tuple[str, ...]


def label_errors(
    labels: Sequence[Any] | pl.Series,
    probabilities: ArrayLike,
    classes: Sequence[Any] | None = None,
    *,
    by: PruneBy = "noise_rate",
) -> LabelErrors:
    """Find labels that are probably wrong, from what a model says that was not fitted on the row.

    A row counts as confidently of a class when the class's probability reaches its mean among the rows that are
    labelled so; of several such classes, the likeliest. The counts of given against confident labels, scaled to the
    numbers of labels, estimate how often which classes are mixed up.

    Source: C. G. Northcutt, L. Jiang and I. L. Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels,
    Journal of Artificial Intelligence Research 70 (2021).

    Parameters
    ----------
    labels
        The given label of each row.
    probabilities
        Shape (rows, classes), of models fitted on other rows (cross-validation); or (rows,) for the second class of
        two. A model that has learned the wrong labels by heart agrees with them.
    classes
        What the columns stand for; by default the labels in sorted order.
    by
        ``"noise_rate"``: for each pair of classes as many rows as are estimated, those that are likeliest;
        ``"confident_joint"``: the rows that are counted as confidently of another class.

    Raises
    ------
    DataError
        If labels and probabilities do not fit together, or a class has no row.

    Examples
    --------
    >>> found = label_errors(["a"] * 5 + ["b"] * 5, [0.1, 0.1, 0.2, 0.1, 0.9, 0.9, 0.8, 0.9, 0.9, 0.95])
    >>> found.table.select("row", "given", "suggested").rows()
    [(4, 'a', 'b')]
    """
    require("label_errors", by=(by, TEXT))
    names, given, scores = _checked(labels, probabilities, classes)
    thresholds = np.array([scores[given == code, code].mean() for code in range(len(names))])
    confident = _confident(scores, thresholds)
    joint = _joint(given, confident, len(names))
    if by == "noise_rate":
        suspects = _likeliest(given, scores, joint)
    elif by == "confident_joint":
        suspects = np.flatnonzero((confident >= 0) & (confident != given))
    else:
        raise UsageError("not a way to choose suspects", value=by, hint="Use noise_rate or confident_joint.")
    best = scores.copy()
    best[np.arange(len(given)), given] = -1.0
    suggested = best.argmax(axis=1)
    own = scores[np.arange(len(given)), given]
    margin = best.max(axis=1) - own
    order = suspects[np.argsort(-margin[suspects], kind="stable")]
    table = pl.DataFrame(
        {
            "row": order.astype(np.int64),
            "given": [names[code] for code in given[order]],
            "suggested": [names[code] for code in suggested[order]],
            "probability": own[order],
            "margin": margin[order],
        },
        schema_overrides={"given": pl.String, "suggested": pl.String},
    )
    return LabelErrors(
        table, float(1 - np.trace(joint)), _confusions(joint, names, len(given)), joint, thresholds, names
    )


def _checked(
    labels: Sequence[Any] | pl.Series, probabilities: ArrayLike, classes: Sequence[Any] | None
) -> tuple[tuple[str, ...], Integers, Floats]:
    for name, several in (("labels", labels), ("classes", labels if classes is None else classes)):
        if isinstance(several, str | pl.DataFrame) or not isinstance(several, Iterable):
            raise UsageError(f"{name} are given as a list", value=several, hint='Write ["yes", "no", …].')
    given = list(labels)
    missing = [row for row, label in enumerate(given) if label is None]
    if missing:
        raise DataError("a row has no label", value=f"row {missing[0]}", hint="Leave out the rows without one.")
    named = sorted(set(given), key=str) if classes is None else list(classes)
    if len(named) < 2:
        raise DataError("labels can be mixed up where there are two classes or more", value=named)
    code = {name: place for place, name in enumerate(named)}
    strange = [label for label in given if label not in code]
    if strange:
        raise DataError("a label is none of the classes", value=strange[0], hint=f"Classes: {named}.")
    try:
        scores = np.asarray(probabilities, dtype=np.float64)
    except (TypeError, ValueError):
        hint = "Give a number for each row, or one for each row and class."
        raise UsageError("probabilities are no numbers", value=probabilities, hint=hint) from None
    scores = np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores
    if scores.shape != (len(given), len(named)):
        raise DataError(
            f"probabilities of {len(given)} rows and {len(named)} classes are needed",
            value=scores.shape,
            hint="Give a column for each class, in the order of classes.",
        )
    if not np.isfinite(scores).all() or (scores < 0).any() or not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        raise DataError(
            "the probabilities of a row are not negative and sum to 1",
            value=f"row {int(_first_wrong(scores))}",
            hint="Give predict_proba, not scores.",
        )
    codes = np.array([code[label] for label in given], dtype=np.int64)
    unused = [name for name, place in code.items() if not (codes == place).any()]
    if unused:
        raise DataError("no row has this class", value=unused[0], hint="Leave out its column of the probabilities.")
    return tuple(str(name) for name in named), codes, scores


def _first_wrong(scores: Floats) -> int:
    wrong = ~np.isfinite(scores).all(axis=1) | (scores < 0).any(axis=1) | (np.abs(scores.sum(axis=1) - 1) > 1e-3)
    return int(wrong.argmax())


def _confident(scores: Floats, thresholds: Floats) -> Integers:
    """The class of which each row is confidently, -1 for none; a rounding error does not make a row less confident."""
    above = scores >= thresholds - 1e-6
    chosen = np.where(above, scores, -1.0).argmax(axis=1)
    return np.where(above.any(axis=1), chosen, -1).astype(np.int64)


def _joint(given: Integers, confident: Integers, classes: int) -> Floats:
    counts = np.zeros((classes, classes))
    known = confident >= 0
    np.add.at(counts, (given[known], confident[known]), 1.0)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1.0))
    totals = np.bincount(given, minlength=classes)
    scaled = counts / counts.sum(axis=1, keepdims=True) * totals[:, None]
    joint: Floats = scaled / scaled.sum()
    return joint


def _likeliest(given: Integers, scores: Floats, joint: Floats) -> Integers:
    chosen: set[int] = set()
    rows = len(given)
    for code in range(len(joint)):
        own = np.flatnonzero(given == code)
        for other in range(len(joint)):
            wanted = round(rows * joint[code, other])
            if other == code or not wanted:
                continue
            margin = scores[own, other] - scores[own, code]
            chosen.update(own[np.argsort(-margin, kind="stable")[:wanted]].tolist())
    # What the model itself holds for the likeliest class is no error, whatever the numbers ask for.
    agreed = scores.argmax(axis=1) == given
    return np.array(sorted(row for row in chosen if not agreed[row]), dtype=np.int64)


def _confusions(joint: Floats, names: tuple[str, ...], rows: int) -> tuple[Confusion, ...]:
    found = [
        Confusion(names[code], names[other], float(joint[code, other] * rows))
        for code in range(len(names))
        for other in range(len(names))
        if code != other and joint[code, other] > 0
    ]
    return tuple(sorted(found, key=lambda confusion: -confusion.rows))
