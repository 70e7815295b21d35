"""What the other columns of a row say about a number: where a stretch of rows departs from it by a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tidemill.data.findings.stretches import Floats, Stretch, best_stretch, ranks
from tidemill.data.sampling import sampled

_ROWS, _MOST_COLUMNS, _MOST_LEVELS = 4_000, 60, 12
_FEWEST_ROWS, _FEWEST = 60, 12
#: A step is this large, this many times the spread of what is left unexplained, and this sure.
_STEP, _SPREADS, _SURE = 0.4, 3.0, 10.0
#: At least this share of the stretch is not what the other columns say, too.
_OWN = 0.25
_RIDGE = 1e-6
_MOST_AGAIN = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """The columns of a sample of rows without missing values: logarithms of positive numbers, others as they are.

    `design` holds them scaled, in order, and a flag for each level of a category; `gram` its products with itself.
    """

    values: dict[str, Floats]
    positive: frozenset[str]
    design: Floats
    gram: Floats
    rows: int


@dataclass(frozen=True, slots=True)
class Step:
    """By how much, in logarithms, a column is above what the others say in a stretch, and the medians of both sides."""

    stretch: Stretch
    step: float
    error: float
    spread: float
    inside: float
    outside: float


def conditions_of(sample: pl.DataFrame) -> Conditions | None:
    """The columns that may speak for each other; None if the rows or columns are too few."""
    names = [name for name, kind in sample.schema.items() if kind.is_numeric() and not kind.is_decimal()][
        :_MOST_COLUMNS
    ]
    full = [name for name in names if sample[name].null_count() <= sample.height / 10]
    rows = sampled(sample, _ROWS).drop_nulls(full) if full else sample.clear()
    if rows.height < _FEWEST_ROWS:
        return None
    values: dict[str, Floats] = {}
    levels: list[Floats] = []
    positive = set()
    for name in full:
        numbers = rows[name].cast(pl.Float64).to_numpy()
        if not np.isfinite(numbers).all():
            continue
        if rows[name].n_unique() <= _MOST_LEVELS:
            levels += [(numbers == level).astype(np.float64) for level in np.unique(numbers)[1:]]
            continue
        if (numbers > 0).all():
            positive.add(name)
            numbers = np.log(numbers)
        values[name] = numbers
    for name, kind in sample.schema.items():
        if kind == pl.String and 2 <= rows[name].n_unique() <= _MOST_LEVELS:
            levels += [(rows[name] == word).fill_null(value=False).to_numpy().astype(np.float64)
                       for word in rows[name].drop_nulls().unique().sort()[1:]]  # fmt: skip
    if len(values) < 2:
        return None
    design = np.column_stack([_scaled(column) for column in (*values.values(), *levels)])
    return Conditions(values, frozenset(positive), design, design.T @ design, rows.height)


def step_beside_others(given: Conditions, name: str) -> Step | None:
    """A stretch in which a positive column is a large and sure step away from a linear model of the other columns.

    Two fits by least squares: one finds the stretch from what it leaves unexplained, the other measures the step
    beside the other columns and the categories, so that rows that differ in everything have no step.
    """
    if name not in given.positive:
        return None
    target = given.values[name]
    place = list(given.values).index(name)
    # The columns are scaled: a ridge this small only keeps columns that repeat each other apart.
    kept = np.delete(np.arange(given.design.shape[1]), place)
    gram = given.gram[np.ix_(kept, kept)] + _RIDGE * np.eye(len(kept))
    design, inverse = given.design[:, kept], np.linalg.inv(gram)
    if design.shape[1] > given.rows / 4:
        return None
    left = target - target.mean() - design @ (inverse @ (design.T @ (target - target.mean())))
    found = best_stretch(ranks(left))
    inside = found.inside.astype(np.float64)
    if min(inside.sum(), given.rows - inside.sum()) < _FEWEST:
        return None
    if inside.mean() > 1 / 2:
        inside = 1 - inside
        found = max(Stretch(0, found.start, found.rows), Stretch(found.stop, found.rows, found.rows), key=_length)
    centred = inside - inside.mean()
    alone = centred - design @ (inverse @ (design.T @ centred))
    own = float((alone**2).sum())
    if own < _OWN * float((centred**2).sum()):
        return None
    step = float((alone * left).sum()) / own
    spread = float(np.sqrt(((left - step * alone) ** 2).sum() / (given.rows - design.shape[1] - 2)))
    rest = left - step * alone
    again = min(max(float(np.corrcoef(rest[1:], rest[:-1])[0, 1]), 0.0), _MOST_AGAIN)
    # Neighbouring rows that depart alike are less evidence than as many rows by themselves.
    error = spread / np.sqrt(own) * np.sqrt((1 + again) / (1 - again))
    if abs(step) < max(_STEP, _SPREADS * spread, _SURE * error):
        return None
    flags = inside > 0
    return Step(
        found,
        step,
        float(error),
        spread,
        float(np.exp(np.median(target[flags]))),
        float(np.exp(np.median(target[~flags]))),
    )


def _length(side: Stretch) -> int:
    return side.stop - side.start


def _scaled(values: Floats) -> Floats:
    out: Floats = (values - values.mean()) / (values.std() or 1.0)
    return out
