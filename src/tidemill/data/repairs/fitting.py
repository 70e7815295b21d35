"""Repairs learned from training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.operations import (
    LEARNED,
    BinLearned,
    ClipLearned,
    EncodeTarget,
    FillByGroup,
    FillLearned,
    FillModelled,
    Learned,
    MergeRare,
    ScaleLearned,
    Winsorise,
)
from tidemill.data.repairs.columns import apply_repairs
from tidemill.data.repairs.encoding import fit_one_hot, fit_ordinal, fit_target, out_of_fold
from tidemill.data.repairs.modelling import fit_imputation
from tidemill.data.repairs.values import Columns, Values, group_keys, is_missing, listed


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """Fitted repairs, and the training rows as a model is to learn from them."""

    repairs: tuple[dict[str, Any], ...]
    columns: dict[str, Values]


def fit_repairs(
    columns: Columns, operations: Iterable[Learned], truth: NDArray[np.float64] | None = None
) -> list[dict[str, Any]]:
    """Learn repairs from training rows; each sees the rows as the ones before it leave them.

    Parameters
    ----------
    columns
        Training rows by column: arrays in which NaN (or None) is missing, or lists.
    operations
        Operations that learn, in order; or the `operations` of a `CleaningPlan`.
    truth
        The target as numbers, for `EncodeTarget`.

    Raises
    ------
    UsageError
        For an operation that does not learn: it belongs into ``clean()``.
    DataError
        If a column has no value to learn from.

    Examples
    --------
    >>> fit_repairs({"seats": np.array([55.0, np.nan, 149.0, 200.0])}, [FillLearned("seats", indicator=True)])
    [{'kind': 'fill', 'column': 'seats', 'value': 149.0, 'indicator': 'seats__missing'}]
    """
    return list(learn_repairs(columns, operations, truth).repairs)


def learn_repairs(columns: Columns, operations: Iterable[Learned], truth: NDArray[np.float64] | None = None) -> Learnt:
    """As `fit_repairs`, with the training rows repaired so that none is told its own label."""
    out: list[dict[str, Any]] = []
    current: dict[str, Values] = dict(columns)
    for operation in operations:
        _require(operation, current)
        repair = _fitted(operation, current, truth)
        before = current[operation.column]
        current = apply_repairs(current, [repair])
        if isinstance(operation, EncodeTarget) and truth is not None:
            current[operation.column] = out_of_fold(operation, before, truth)
        out.append(repair)
    return Learnt(tuple(out), current)


def _require(operation: Learned, current: Columns) -> None:
    if not isinstance(operation, LEARNED):
        raise UsageError(
            "this repair does not learn from rows",
            value=getattr(operation, "kind", operation),
            hint="Give it to clean(), before the split.",
        )
    for name in (operation.column, *getattr(operation, "by", ()), *getattr(operation, "inputs", ())):
        if name not in current:
            raise SchemaError(
                f"{operation.kind} needs a column that is not there",
                value=name,
                hint=f"Columns are: {', '.join(current)}.",
            )


def _fitted(operation: Learned, current: Columns, truth: NDArray[np.float64] | None) -> dict[str, Any]:
    values = current[operation.column]
    _present(values, operation.column)
    if isinstance(operation, FillByGroup):
        return _fit_group(operation, current)
    if isinstance(operation, FillModelled):
        return fit_imputation(operation, current)
    if isinstance(operation, EncodeTarget):
        if truth is None:
            raise UsageError(
                "encode_target needs a target of two classes or of numbers", value=operation.column,
                hint="Use EncodeOneHot or EncodeOrdinal.",
            )  # fmt: skip
        return fit_target(operation, values, truth)
    return _FITS[operation.kind](operation, values)


def _fit_fill(operation: FillLearned, values: Values) -> dict[str, Any]:
    present = _present(values, operation.column)
    value = _statistic(present, operation.statistic)
    indicator = f"{operation.column}__missing" if operation.indicator else None
    return {"kind": "fill", "column": operation.column, "value": value, "indicator": indicator}


def _statistic(present: Sequence[Any], statistic: str) -> Any:
    if statistic == "most_frequent":
        return _most_frequent(present)
    numbers = np.asarray(present, dtype=np.float64)
    return float(np.median(numbers) if statistic == "median" else np.mean(numbers))


def _fit_group(operation: FillByGroup, columns: Columns) -> dict[str, Any]:
    values = columns[operation.column]
    fallback = _statistic(_present(values, operation.column), operation.statistic)
    members: dict[str, list[Any]] = {}
    for key, value in zip(group_keys(columns, operation.by), listed(values), strict=True):
        if not is_missing(value):
            members.setdefault(key, []).append(value)
    groups = {key: _statistic(members[key], operation.statistic) for key in sorted(members)}
    indicator = f"{operation.column}__missing" if operation.indicator else None
    return {
        "kind": "group", "column": operation.column, "by": list(operation.by), "groups": groups, "value": fallback,
        "indicator": indicator,
    }  # fmt: skip


def _fit_scale(operation: ScaleLearned, values: Values) -> dict[str, Any]:
    numbers = np.asarray(_present(values, operation.column), dtype=np.float64)
    if operation.method == "standard":
        middle, width = float(numbers.mean()), float(numbers.std())
    elif operation.method == "robust":
        low, middle, high = (float(value) for value in np.quantile(numbers, [0.25, 0.5, 0.75]))
        width = high - low
    else:
        middle, width = float(numbers.min()), float(numbers.max() - numbers.min())
    return {"kind": "scale", "column": operation.column, "middle": middle, "width": width or 1.0}


def _fit_bin(operation: BinLearned, values: Values) -> dict[str, Any]:
    if operation.bins < 2:
        raise UsageError("bin_learned needs at least two bins", value=operation.bins)
    numbers = np.asarray(_present(values, operation.column), dtype=np.float64)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, operation.bins + 1)[1:-1], method="higher"))
    return {"kind": "bin", "column": operation.column, "edges": edges[edges > numbers.min()].tolist()}


def _fit_merge(operation: MergeRare, values: Values) -> dict[str, Any]:
    present = _present(values, operation.column)
    tally = Counter(str(value) for value in present)
    keep = sorted(name for name, number in tally.items() if number >= operation.min_share * len(present))
    return {"kind": "merge", "column": operation.column, "keep": keep, "other": operation.other}


def _fit_clip(operation: ClipLearned | Winsorise, values: Values) -> dict[str, Any]:
    if not 0 <= operation.lower < operation.upper <= 1:
        raise UsageError(
            f"{operation.kind} limits to two quantiles between 0 and 1", value=(operation.lower, operation.upper)
        )
    numbers = np.asarray(_present(values, operation.column), dtype=np.float64)
    low, high = np.quantile(numbers, [operation.lower, operation.upper])
    return {"kind": "clip", "column": operation.column, "minimum": float(low), "maximum": float(high)}


_FITS: dict[str, Callable[[Any, Values], dict[str, Any]]] = {
    "fill_learned": _fit_fill,
    "merge_rare": _fit_merge,
    "clip_learned": _fit_clip,
    "scale_learned": _fit_scale,
    "bin_learned": _fit_bin,
    "winsorise": _fit_clip,
    "encode_one_hot": fit_one_hot,
    "encode_ordinal": fit_ordinal,
}


def _present(values: Values, column: str) -> list[Any]:
    given = values.tolist() if isinstance(values, np.ndarray) else list(values)
    present = [value for value in given if not is_missing(value)]
    if not present:
        raise DataError(
            "a repair has nothing to learn from: all training values are missing", value=column, hint="Drop the column."
        )
    return present


def _most_frequent(present: Sequence[Any]) -> Any:
    """The most frequent value; of several, the smallest, so that the order of rows does not matter."""
    tally = Counter(present)
    most = max(tally.values())
    return min(value for value, number in tally.items() if number == most)
