"""Findings about labels that the rows around them contradict."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.findings.stretches import Floats, ranks
from tidemill.data.sampling import sampled

_ROWS, _FEWEST_ROWS, _MOST_CLASSES, _FEWEST_OF_CLASS = 2_000, 60, 12, 10
_MOST_LEVELS, _MOST_COLUMNS, _MOST_MISSING, _ROW_NUMBERS = 12, 100, 0.2, 0.9
_NEIGHBOURS = 10
#: Neighbours agree with a label, or are of another class: all but one, or most of them.
_AGREE, _ALL, _MOST = 0.7, 0.9, 0.6
#: Of each class so many rows are among their own; labels are doubtful in so many rows, and this share.
_LEARNED, _FEWEST, _SHARE = 0.7, 5, 0.01
#: Doubtful labels are so many times the labels that most neighbours, but not nearly all, contradict.
_TIMES = 1.25


def find_doubtful_labels(frame: pl.DataFrame, target: str) -> Iterator[Finding]:
    """Labels of which nearly all of the ten nearest rows say otherwise, where classes are told apart well.

    Where classes overlap, more rows lie between them than deep among the rows of another class; wrong labels are the
    other way round, and only that is a finding. On a sample of 2,000 rows, by the ranks of numbers and by categories.

    >>> kind = ["a"] * 100 + ["b"] * 100
    >>> for row in (10, 40, 70, 130, 160, 190):
    ...     kind[row] = "b" if row < 100 else "a"
    >>> table = pl.DataFrame(
    ...     {"x": [row / 7 for row in range(200)], "y": [row**1.5 for row in range(200)], "kind": kind}
    ... )
    >>> [(found.kind, found.count) for found in find_doubtful_labels(table, "kind")]
    [('doubtful_labels', 6)]
    """
    if frame.schema[target].is_float() or frame.schema[target].is_nested():
        return
    labelled = sampled(frame.filter(pl.col(target).is_not_null()), _ROWS)
    classes = labelled[target].value_counts(name="rows").sort(target)
    if labelled.height < _FEWEST_ROWS or not 2 <= classes.height <= _MOST_CLASSES:
        return
    if int(classes["rows"].min()) < _FEWEST_OF_CLASS:  # type: ignore[arg-type]
        return
    known = _features(labelled.drop(target))
    if known is None:
        return
    codes = labelled[target].rank("dense").cast(pl.Int64).to_numpy() - 1
    votes = _votes(known, codes, classes.height)
    own = votes[np.arange(len(codes)), codes]
    votes[np.arange(len(codes)), codes] = -1.0
    other = votes.max(axis=1)
    learned = min(float((own[codes == code] >= _AGREE).mean()) for code in range(classes.height))
    doubtful = other >= _ALL - 1e-9
    between = int(((other >= _MOST - 1e-9) & ~doubtful).sum())
    count = int(doubtful.sum())
    if learned < _LEARNED or count < max(_FEWEST, _SHARE * len(codes), _TIMES * between):
        return
    rows = round(count * frame.height / labelled.height)
    examples = tuple(str(row) for row in labelled.filter(pl.Series(doubtful)).head(3).rows())
    yield Finding(
        "doubtful_labels", target, "warning", rows, rows / frame.height, examples,
        f"{target} is doubtful in {number_of(rows, 'row')}: nearly all of the rows that are most like them have "
        "another label, and other rows are told apart well.",
        "Look at them: tm.label_errors names the surest from a model's probabilities; a labelling queue decides.",
    )  # fmt: skip


def _features(table: pl.DataFrame) -> Floats | None:
    """Numbers by rank and categories as flags, of the same width; None where there are fewer than two columns."""
    columns: list[Floats] = []
    used = 0
    for column in table.iter_columns():
        kind, distinct = column.dtype, column.n_unique()
        if used >= _MOST_COLUMNS or column.null_count() > _MOST_MISSING * column.len() or distinct < 2:
            continue
        if kind.is_numeric() and not (kind.is_integer() and distinct > _ROW_NUMBERS * column.len()):
            values = column.cast(pl.Float64).fill_nan(None)
            place = ranks(values.fill_null(values.median()).to_numpy())
            columns.append((place - place.mean()) / (place.std() or 1.0))
            used += 1
        elif kind in (pl.String, pl.Boolean) and distinct <= _MOST_LEVELS:
            words = column.cast(pl.String)
            columns += [(words == word).fill_null(value=False).to_numpy().astype(np.float64)
                        for word in words.drop_nulls().unique().sort()]  # fmt: skip
            used += 1
    return np.column_stack(columns) if used >= 2 else None


def _votes(known: Floats, codes: np.ndarray[tuple[int], np.dtype[np.int64]], classes: int) -> Floats:
    """The share of each class among the nearest other rows."""
    near = known.astype(np.float32)
    squares = (near * near).sum(axis=1)
    far = squares[:, None] - 2 * (near @ near.T) + squares[None]
    np.fill_diagonal(far, np.inf)
    nearest = np.argpartition(far, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    return np.stack([(codes[nearest] == code).mean(axis=1) for code in range(classes)], axis=1)
