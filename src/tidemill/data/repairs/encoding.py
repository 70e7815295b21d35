"""Categories turned into numbers: learned, and replayed for columns and for one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UsageError
from tidemill.data.operations import EncodeOneHot, EncodeOrdinal, EncodeTarget
from tidemill.data.repairs.values import Repair, Values, category_of, listed

#: From a value to the column's new value.
Coding: TypeAlias = Callable[[Any], float | None]


def fit_one_hot(operation: EncodeOneHot, values: Values) -> dict[str, Any]:
    """The most frequent categories, each with the name of its column."""
    names = _by_frequency(values)[: operation.most]
    return {
        "kind": "onehot", "column": operation.column,
        "columns": {f"{operation.column}__is__{name}": name for name in names},
    }  # fmt: skip


def fit_ordinal(operation: EncodeOrdinal, values: Values) -> dict[str, Any]:
    """The places of the categories in the order that was given, or by frequency."""
    order = operation.order or _by_frequency(values)
    if len(set(order)) != len(order):
        raise UsageError("the order of encode_ordinal names a category twice", value=order)
    codes = {str(name): float(place) for place, name in enumerate(order)}
    return {"kind": "ordinal", "column": operation.column, "codes": codes, "unseen": -1.0}


def fit_target(operation: EncodeTarget, values: Values, truth: NDArray[np.float64]) -> dict[str, Any]:
    """The smoothed mean of the target for each category."""
    mean = float(truth.mean())
    sums: dict[str, tuple[float, int]] = {}
    for value, label in zip(listed(values), truth.tolist(), strict=True):
        name = category_of(value)
        if name is not None:
            total, rows = sums.get(name, (0.0, 0))
            sums[name] = (total + label, rows + 1)
    means = {
        name: (total + operation.smoothing * mean) / (rows + operation.smoothing)
        for name, (total, rows) in sorted(sums.items())
    }
    return {"kind": "target", "column": operation.column, "means": means, "value": mean}


def out_of_fold(operation: EncodeTarget, values: Values, truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each training row, what the rows of the other folds teach about its category."""
    if not 2 <= operation.folds <= len(truth):
        raise UsageError("encode_target needs at least two folds, and as many rows", value=operation.folds)
    given = listed(values)
    fold = np.random.default_rng(0).permutation(len(given)) % operation.folds
    out = np.empty(len(given), dtype=np.float64)
    for number in range(operation.folds):
        others = np.flatnonzero(fold != number)
        coding = coding_of(fit_target(operation, [given[row] for row in others], truth[others]))
        for row in np.flatnonzero(fold == number):
            out[row] = coding(given[row])
    return out


def coding_of(repair: Repair) -> Coding:
    """From a category to its number, as a fitted repair has it."""
    if repair["kind"] == "ordinal":
        codes, unseen = repair["codes"], repair["unseen"]

        def place(value: Any) -> float | None:
            name = category_of(value)
            return None if name is None else codes.get(name, unseen)

        return place
    means, mean = repair["means"], repair["value"]
    return lambda value: means.get(category_of(value), mean)


def coded(values: Values, repair: Repair) -> NDArray[np.float64]:
    """A column of categories as numbers."""
    coding = coding_of(repair)
    return np.array([np.nan if (code := coding(value)) is None else code for value in listed(values)], dtype=np.float64)


def flags(values: Values, repair: Repair) -> dict[str, NDArray[np.float64]]:
    """The columns of a one-hot encoding."""
    names = [category_of(value) for value in listed(values)]
    return {
        column: np.array([name == category for name in names], dtype=np.float64)
        for column, category in repair["columns"].items()
    }


def _by_frequency(values: Values) -> Sequence[str]:
    tally = Counter(name for value in listed(values) if (name := category_of(value)) is not None)
    return sorted(tally, key=lambda name: (-tally[name], name))
