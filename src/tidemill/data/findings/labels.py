"""Findings about the target: rows without a label, and columns that tell it too well."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import polars as pl

from tidemill.data.availability import single_column_auc
from tidemill.data.findings.finding import Finding, number_of

_SAMPLE, _SAMPLE_OF_CLASSES = 50_000, 5_000
_MANY_CATEGORIES, _MOST_CLASSES = 50, 6
#: Alone as good as this is too good; so is less that stands out: few columns are strong, and the others far weaker.
_PERFECT = {"AUC": 0.99, "the AUC of the two classes it tells apart least": 0.99, "correlation": 0.98}
_STRONG = {"AUC": 0.85, "the AUC of the two classes it tells apart least": 0.95, "correlation": 0.9}
_FEW, _TIMES, _FEWEST_OTHERS = 0.2, 1.5, 3
#: How far apart two classes, or how close two numbers, are; it grows without bound as AUC or correlation nears 1.
_DISTANCE = {
    "AUC": lambda value: NormalDist().inv_cdf(min(value, 1 - 1e-9)),
    "the AUC of the two classes it tells apart least": lambda value: NormalDist().inv_cdf(min(value, 1 - 1e-9)),
    "correlation": lambda value: math.atanh(min(value, 1 - 1e-9)),
}


def find_in_labels(frame: pl.DataFrame, target: str) -> Iterator[Finding]:
    """Missing labels, and columns that predict the target suspiciously well (on a sample of 50,000 rows).

    Too well is nearly without error, or far better than the other columns do where few do well: of measurements of one
    thing, many tell much, and none is a leak.
    """
    labels = frame[target]
    missing = labels.null_count()
    if missing:
        yield Finding(
            "missing_labels", target, "warning", missing, missing / frame.height, (),
            f"{target} is missing in {number_of(missing, 'row')}: they cannot teach, and they are not negatives.",
            "Leave them out of the training set (it does, and counts them), and ask why they are missing.",
            {"kind": "filter_rows", "condition": f'"{target}" IS NOT NULL', "reason": "no label"},
        )  # fmt: skip
    labelled = frame.filter(labels.is_not_null())
    if labelled.height > _SAMPLE:
        labelled = labelled.gather_every(labelled.height // _SAMPLE)
    told = [found for name in labelled.columns if name != target and (found := _told(labelled[name], labelled[target]))]
    strong = [strength for strength in told if strength.value >= _STRONG[strength.measure]]
    others = [_DISTANCE[item.measure](item.value) for item in told if item not in strong]
    few = len(strong) <= max(1.0, _FEW * len(told))
    for item in strong:
        apart = (
            _DISTANCE[item.measure](item.value) >= _TIMES * max(others, default=0.0) and len(others) >= _FEWEST_OTHERS
        )
        if item.value >= _PERFECT[item.measure] or (few and apart):
            yield _too_good(labelled[item.column], target, item)


@dataclass(frozen=True, slots=True)
class _Strength:
    """How well a column alone tells the target."""

    column: str
    measure: str
    value: float


def _told(column: pl.Series, target: pl.Series) -> _Strength | None:
    if target.dtype.is_nested() or target.dtype == pl.Binary:
        return None
    if column.dtype == pl.String and column.n_unique() > _MANY_CATEGORIES:
        return None
    auc = single_column_auc(column, target)
    if auc is not None:
        return _Strength(column.name, "AUC", auc)
    if not (column.dtype.is_numeric() or column.dtype.is_temporal()):
        return None
    classes = target.unique().sort()
    if len(classes) <= _MOST_CLASSES and not target.dtype.is_float():
        return _least_told(column, target, classes)
    if not target.dtype.is_numeric():
        return None
    pairs = pl.DataFrame({"x": column.to_physical(), "y": target}).drop_nulls()
    if pairs.height < 2:
        return None
    # Ranks, or, where most targets are equal and their order is noise, numbers without their extremes.
    inner = [pl.col(name).clip(pl.col(name).quantile(0.01), pl.col(name).quantile(0.99)) for name in ("x", "y")]
    found = pairs.select(
        pl.corr("x", "y", method="spearman").abs().alias("ranks"), pl.corr(*inner).abs().alias("numbers")
    ).row(0)
    known = [float(value) for value in found if value is not None and value == value]
    return _Strength(column.name, "correlation", max(known)) if known else None


def _least_told(column: pl.Series, target: pl.Series, classes: pl.Series) -> _Strength | None:
    """Of several classes, the two that a column tells apart least."""
    every = max(1, column.len() // _SAMPLE_OF_CLASSES)
    pairs = pl.DataFrame({"x": column.to_physical(), "y": target}).gather_every(every)
    found = []
    for one, two in itertools.combinations(classes, 2):
        both = pairs.filter(pl.col("y").is_in([one, two]))
        found.append(single_column_auc(both["x"], both["y"] == one))
    known = [auc for auc in found if auc is not None]
    least = "the AUC of the two classes it tells apart least"
    return _Strength(column.name, least, min(known)) if known and len(known) == len(found) else None


def _too_good(column: pl.Series, target: str, item: _Strength) -> Finding:
    return Finding(
        "suspiciously_predictive", column.name, "warning", column.count(), column.count() / column.len(), (),
        f"{column.name} alone reaches {item.measure} {item.value:.2f} on {target}: it may be known only afterwards.",
        "Declare when it is known (available_at in its source), or drop it.",
    )  # fmt: skip
