"""How strongly columns go together, and with a target, on a sample of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from tidemill.data.availability import single_column_auc
from tidemill.data.types import plain

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Measure = Literal["pearson", "spearman", "cramers_v", "correlation_ratio", "auc"]

#: Weaker ones are not recorded, nor more than so many.
WEAKEST, MOST = 0.1, 200
_MOST_NUMBERS, _MOST_CATEGORIES = 100, 40
_MOST_LEVELS = 100
_FEWEST_ROWS = 10
_ON_ONE_THREAD = 2**17
_BINS = 10


@dataclass(frozen=True, slots=True)
class Association:
    """How strongly two columns go together.

    Parameters
    ----------
    left, right
        The columns.
    measure
        ``"pearson"`` (straight lines) and ``"spearman"`` (any monotone curve) between numbers, flags and times, from
        -1 to 1; ``"cramers_v"`` (corrected for its bias) between categories and ``"correlation_ratio"`` of numbers by
        categories, from 0 to 1.
    value, rows
        The measure, and how many rows it was computed from.
    """

    left: str
    right: str
    measure: Measure
    value: float
    rows: int


@dataclass(frozen=True, slots=True)
class Level:
    """The target in the rows of one category, or of one tenth of the numbers: how many, and its mean there."""

    label: str
    rows: int
    mean: float


@dataclass(frozen=True, slots=True)
class Relation:
    """What one column alone tells about the target; `levels` where the target has a mean."""

    column: str
    measure: Measure
    value: float
    rows: int
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True)
class Sides:
    """The columns of a sample that have associations: numbers with NaN for missing, codes with -1 for missing."""

    numbers: dict[str, Floats]
    categories: dict[str, np.ndarray[Any, np.dtype[np.int64]]]
    left_out: int


def sides(sample: pl.DataFrame) -> Sides:
    """Columns as numbers, or as codes of categories; at most 100 and 40 of them."""
    numbers: dict[str, Floats] = {}
    categories: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    left_out = 0
    for column in sample.iter_columns():
        kind = column.dtype
        if kind.is_numeric() or kind.is_temporal() or kind == pl.Boolean:
            full = len(numbers) >= _MOST_NUMBERS
            if not full and (values := _numbers(column)) is not None:
                numbers[column.name] = values
        elif kind == pl.String or kind.base_type() in (pl.Categorical, pl.Enum):
            full = len(categories) >= _MOST_CATEGORIES
            if not full and (codes := _codes(column)) is not None:
                categories[column.name] = codes
        else:
            full = False
        left_out += full
    return Sides(numbers, categories, left_out)


def _numbers(column: pl.Series) -> Floats | None:
    values = column.to_physical().cast(pl.Float64).to_numpy()
    values = np.where(np.isfinite(values), values, np.nan)
    known = values[~np.isnan(values)]
    return values if len(known) >= _FEWEST_ROWS and known.min() < known.max() else None


def _codes(column: pl.Series) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    known = column.drop_nulls().unique()
    if not 2 <= len(known) <= min(_MOST_LEVELS, column.len() / 5):
        return None
    ranks = column.cast(pl.String).rank("dense").cast(pl.Int64).fill_null(0)
    return ranks.to_numpy() - 1


def associations(sample: pl.DataFrame) -> tuple[Association, ...]:
    """Every association of at least 0.1, the strongest first, at most 200.

    >>> table = pl.DataFrame({"miles": range(100), "hours": [mile**2 for mile in range(100)]})
    >>> [(found.measure, round(found.value, 2)) for found in associations(table)]
    [('spearman', 1.0), ('pearson', 0.97)]
    """
    given = sides(sample)
    found = [*_between_numbers(given.numbers), *_between_categories(given.categories), *_across(given)]
    found = [item for item in found if abs(item.value) >= WEAKEST]
    return tuple(sorted(found, key=lambda item: (-abs(item.value), item.left, item.right, item.measure))[:MOST])


def without_associations(sample: pl.DataFrame) -> int:
    """How many columns are beyond the 100 numbers and 40 categories that are compared with each other.

    >>> without_associations(pl.DataFrame({f"x{place}": [0.0, 1.0] * 10 for place in range(103)}))
    3
    """
    return sides(sample).left_out if sample.width > _MOST_CATEGORIES else 0


def _between_numbers(numbers: dict[str, Floats]) -> Iterator[Association]:
    if len(numbers) < 2:
        return
    names = list(numbers)
    raw = np.column_stack(list(numbers.values()))
    here = ~np.isnan(raw)
    mask = here.astype(np.float64)
    both = _products(mask, mask)
    ranked = np.column_stack([_ranks(raw[:, place]) for place in range(len(names))])
    measures: tuple[tuple[Measure, Floats], ...] = (
        ("pearson", _correlations(raw, mask, both)),
        ("spearman", _correlations(ranked, mask, both)),
    )
    for measure, matrix in measures:
        for left in range(len(names)):
            for right in range(left + 1, len(names)):
                rows, value = int(both[left, right]), float(matrix[left, right])
                if rows >= _FEWEST_ROWS and np.isfinite(value):
                    yield Association(names[left], names[right], measure, value, rows)


def _ranks(values: Floats) -> Floats:
    ranks: Floats = pl.Series(values).fill_nan(None).rank("average").cast(pl.Float64).to_numpy()
    return ranks


def _correlations(values: Floats, mask: Floats, rows: Floats) -> Floats:
    """Correlations of every two columns over the rows in which both are there (`mask` is 1, `rows` how many)."""
    largest = np.nanmax(np.abs(values), axis=0)
    values = values / np.where(largest > 0, largest, 1.0)  # the square of a large number is none
    spread = np.nanstd(values, axis=0)
    scaled = np.where(mask > 0, (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1.0), 0.0)
    sums, squares = _products(scaled, mask), _products(scaled * scaled, mask)
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = _products(scaled, scaled) - sums * sums.T / rows
        variance = squares - sums * sums / rows
        out: Floats = np.clip(covariance / np.sqrt(variance * variance.T), -1.0, 1.0)
    return out


def _products(left: Floats, right: Floats) -> Floats:
    """``left.T @ right`` in blocks that BLAS does on one thread: for so few columns, waking others costs more."""
    columns = left.shape[1]
    out = np.zeros((columns, columns))
    block = max(16, _ON_ONE_THREAD // columns**2)
    for start in range(0, len(left), block):
        out += left[start : start + block].T @ right[start : start + block]
    return out


def _between_categories(categories: dict[str, np.ndarray[Any, np.dtype[np.int64]]]) -> Iterator[Association]:
    names = list(categories)
    for place, left in enumerate(names):
        for right in names[place + 1 :]:
            value, rows = cramers_v(categories[left], categories[right])
            yield Association(left, right, "cramers_v", value, rows)


def cramers_v(
    left: np.ndarray[Any, np.dtype[np.int64]], right: np.ndarray[Any, np.dtype[np.int64]]
) -> tuple[float, int]:
    """Cramér's V of two columns of codes (-1 is missing), and the rows it is from.

    Source: W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T, J. Korean Statistical Society 42 (2013).

    >>> cramers_v(np.array([0, 1] * 50), np.array([1, 0] * 50))[1]
    100
    """
    here = (left >= 0) & (right >= 0)
    rows = int(here.sum())
    if rows < _FEWEST_ROWS:
        return 0.0, rows
    wide = int(right.max()) + 1
    table = np.bincount(left[here] * wide + right[here], minlength=(int(left.max()) + 1) * wide).reshape(-1, wide)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    height, width = table.shape
    if min(height, width) < 2:
        return 0.0, rows
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / rows
    phi = float(((table - expected) ** 2 / expected).sum()) / rows
    phi = max(0.0, phi - (height - 1) * (width - 1) / (rows - 1))
    smaller = min(height - (height - 1) ** 2 / (rows - 1), width - (width - 1) ** 2 / (rows - 1)) - 1
    return float(np.sqrt(min(1.0, phi / smaller))) if smaller > 0 else 0.0, rows


def _across(given: Sides) -> Iterator[Association]:
    for name, values in given.numbers.items():
        for category, codes in given.categories.items():
            value, rows = correlation_ratio(values, codes)
            yield Association(name, category, "correlation_ratio", value, rows)


def correlation_ratio(values: Floats, codes: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[float, int]:
    """The root of the share of a number's variance that lies between categories, less what chance would put there.

    >>> correlation_ratio(np.array([1.0, 1.0, 5.0, 5.0] * 5), np.array([0, 0, 1, 1] * 5))
    (1.0, 20)
    """
    here = ~np.isnan(values) & (codes >= 0)
    rows = int(here.sum())
    if rows < _FEWEST_ROWS:
        return 0.0, rows
    numbers, groups = values[here], codes[here]
    numbers = numbers - numbers.mean()
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=numbers)[counts > 0]
    levels = int((counts > 0).sum())
    total = float((numbers * numbers).sum())
    if total <= 0 or levels < 2 or rows <= levels:
        return 0.0, rows
    share = float((sums * sums / counts[counts > 0]).sum()) / total
    share = 1 - (1 - share) * (rows - 1) / (rows - levels)
    return float(np.sqrt(min(1.0, max(0.0, share)))), rows


def relations(sample: pl.DataFrame, target: str) -> tuple[Relation, ...]:
    """What each column alone tells about the target, the most telling first.

    A target of two values: the area under the ROC curve. A number: rank correlation or correlation ratio. Several
    classes: Cramér's V or correlation ratio.

    >>> table = pl.DataFrame({"hour": [1, 2, 3, 4] * 5, "late": [False, False, True, True] * 5})
    >>> [(found.column, found.measure, found.value) for found in relations(table, "late")]
    [('hour', 'auc', 1.0)]
    """
    labelled = sample.filter(pl.col(target).is_not_null())
    if labelled.height < _FEWEST_ROWS:
        return ()
    given = sides(labelled)
    binary = labelled[target].n_unique() == 2
    out = []
    for name in labelled.columns:
        if name == target or (name not in given.numbers and name not in given.categories):
            continue
        found = _relation(labelled, given, name, target, binary=binary)
        if found is not None:
            out.append(found)
    return tuple(sorted(out, key=lambda item: (-abs(item.value), item.column)))


def _relation(labelled: pl.DataFrame, given: Sides, name: str, target: str, *, binary: bool) -> Relation | None:
    rows = labelled[name].count()
    if binary:
        auc = single_column_auc(labelled[name], labelled[target])
        if auc is not None:
            truth = (labelled[target].rank("dense") - 1).cast(pl.Float64)
            return Relation(name, "auc", auc, rows, _levels(labelled[name], truth))
    if target in given.numbers:
        levels = _levels(labelled[name], labelled[target].to_physical().cast(pl.Float64))
        if name in given.numbers:
            pair = labelled.select(name, target).drop_nulls()
            value = pair.select(pl.corr(pl.col(name).rank(), pl.col(target).rank())).item()
            return (
                Relation(name, "spearman", float(value), rows, levels) if value is not None and value == value else None
            )
        return Relation(
            name, "correlation_ratio", *correlation_ratio(given.numbers[target], given.categories[name]), levels
        )
    if target not in given.categories:
        return None
    if name in given.numbers:
        return Relation(name, "correlation_ratio", *correlation_ratio(given.numbers[name], given.categories[target]))
    return Relation(name, "cramers_v", *cramers_v(given.categories[name], given.categories[target]))


def _levels(column: pl.Series, truth: pl.Series) -> tuple[Level, ...]:
    """The mean target by tenths of numbers, or in the ten most frequent categories."""
    pairs = pl.DataFrame({"x": column, "y": truth}).drop_nulls()
    kind = column.dtype
    if (kind.is_numeric() or kind.is_temporal()) and pairs["x"].n_unique() > _BINS:
        ranks = (pairs["x"].rank("min") - 1) * _BINS // max(1, pairs.height)
        tally = pairs.with_columns(bin=ranks).group_by("bin").agg(
            pl.col("x").min().alias("low"), pl.col("x").max().alias("high"), pl.len(), pl.col("y").mean()
        ).sort("bin")  # fmt: skip
        return tuple(Level(f"{plain(low)} … {plain(high)}", rows, mean) for _, low, high, rows, mean in tally.rows())
    tally = pairs.group_by("x").agg(pl.len(), pl.col("y").mean()).sort(["len", "x"], descending=[True, False])
    return tuple(Level(str(plain(value)), rows, mean) for value, rows, mean in tally.head(_BINS).rows())
