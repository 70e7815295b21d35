"""Repairs that learn from rows: fitted on training rows, stored in the model as plain data, replayed everywhere alike.

A fitted repair is a JSON-able mapping::

    {"kind": "fill", "column": "seats", "value": 149.0, "indicator": "seats__missing"}  # indicator may be None
    {"kind": "merge", "column": "maker", "keep": ["BOEING", "AIRBUS"], "other": "other"}
    {"kind": "clip", "column": "delay", "minimum": -40.0, "maximum": 360.0}

Replaying needs NumPy only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.operations import LEARNED, ClipLearned, FillLearned, Learned, MergeRare

Values: TypeAlias = "np.ndarray[Any, Any] | Sequence[Any]"
Columns: TypeAlias = Mapping[str, Values]
Repair: TypeAlias = Mapping[str, Any]


def fit_repairs(columns: Columns, operations: Iterable[Learned]) -> list[dict[str, Any]]:
    """Learn repairs from training rows; each sees the rows as the ones before it leave them.

    Parameters
    ----------
    columns
        Training rows by column: arrays in which NaN (or None) is missing, or lists.
    operations
        `FillLearned`, `MergeRare` and `ClipLearned`, in order; or a `CleaningPlan`'s `operations`.

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
    out: list[dict[str, Any]] = []
    current: Columns = columns
    for operation in operations:
        if not isinstance(operation, LEARNED):
            raise UsageError(
                "this repair does not learn from rows",
                value=operation.kind,
                hint="Give it to clean(), before the split.",
            )
        if operation.column not in current:
            raise SchemaError(
                f"{operation.kind} needs a column that is not there",
                value=operation.column,
                hint=f"Columns are: {', '.join(current)}.",
            )
        repair = _FITS[operation.kind](operation, current[operation.column])
        out.append(repair)
        current = apply_repairs(current, [repair])
    return out


def apply_repairs(columns: Columns, repairs: Iterable[Repair]) -> dict[str, Values]:
    """Replay fitted repairs on columns; columns that no repair names are passed on as they are.

    >>> fill = {"kind": "fill", "column": "seats", "value": 149.0, "indicator": "seats__missing"}
    >>> apply_repairs({"seats": np.array([55.0, np.nan])}, [fill])
    {'seats': array([ 55., 149.]), 'seats__missing': array([0., 1.])}
    """
    out = dict(columns)
    for repair in repairs:
        name = repair["column"]
        if name not in out:
            raise SchemaError("a learned repair needs a column that is not there", value=name, hint="Send the column.")
        _replay(out, name, repair)
    return out


def compile_repairs(repairs: Sequence[Repair]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that replays fitted repairs on one row of plain values, for serving.

    >>> repair = compile_repairs([{"kind": "clip", "column": "delay", "minimum": -40.0, "maximum": 360.0}])
    >>> repair({"delay": 1000, "carrier": "UA"})
    {'delay': 360.0, 'carrier': 'UA'}
    """
    steps = [(repair["column"], _ROWS[repair["kind"]](repair)) for repair in repairs]

    def repaired(row: dict[str, Any]) -> dict[str, Any]:
        out = dict(row)
        for column, replay in steps:
            replay(out, column)
        return out

    return repaired


def added_columns(repairs: Iterable[Repair]) -> tuple[str, ...]:
    """Names of the indicator columns that the repairs add."""
    return tuple(repair["indicator"] for repair in repairs if repair.get("indicator"))


# fitting


def _fit_fill(operation: FillLearned, values: Values) -> dict[str, Any]:
    present = _present(values, operation.column)
    if operation.statistic == "most_frequent":
        value = _most_frequent(present)
    else:
        numbers = np.asarray(present, dtype=np.float64)
        value = float(np.median(numbers) if operation.statistic == "median" else np.mean(numbers))
    indicator = f"{operation.column}__missing" if operation.indicator else None
    return {"kind": "fill", "column": operation.column, "value": value, "indicator": indicator}


def _fit_merge(operation: MergeRare, values: Values) -> dict[str, Any]:
    present = _present(values, operation.column)
    tally = Counter(str(value) for value in present)
    keep = sorted(name for name, number in tally.items() if number >= operation.min_share * len(present))
    return {"kind": "merge", "column": operation.column, "keep": keep, "other": operation.other}


def _fit_clip(operation: ClipLearned, values: Values) -> dict[str, Any]:
    numbers = np.asarray(_present(values, operation.column), dtype=np.float64)
    low, high = np.quantile(numbers, [operation.lower, operation.upper])
    return {"kind": "clip", "column": operation.column, "minimum": float(low), "maximum": float(high)}


_FITS: dict[str, Callable[[Any, Values], dict[str, Any]]] = {
    "fill_learned": _fit_fill,
    "merge_rare": _fit_merge,
    "clip_learned": _fit_clip,
}


def _present(values: Values, column: str) -> list[Any]:
    given = values.tolist() if isinstance(values, np.ndarray) else list(values)
    present = [value for value in given if not _is_missing(value)]
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


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


# replaying columns


def _replay(out: dict[str, Values], name: str, repair: Repair) -> None:
    values = out[name]
    if repair["kind"] == "clip":
        out[name] = np.clip(_floats(values), repair["minimum"], repair["maximum"])
    elif repair["kind"] == "merge":
        keep = set(repair["keep"])
        out[name] = [
            value if _is_missing(value) or str(value) in keep else repair["other"] for value in _listed(values)
        ]
    elif repair["kind"] == "fill":
        out[name], missing = _filled(values, repair["value"])
        if repair.get("indicator"):
            out[repair["indicator"]] = missing.astype(np.float64)
    else:
        raise SchemaError("not a learned repair that this version knows", value=repair["kind"])


def _filled(values: Values, value: Any) -> tuple[Values, np.ndarray[Any, np.dtype[np.bool_]]]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=np.bool_)
        return (np.where(missing, value, values) if missing.any() else values), missing
    listed = _listed(values)
    missing = np.array([_is_missing(item) for item in listed], dtype=np.bool_)
    return [value if gone else item for item, gone in zip(listed, missing, strict=True)], missing


def _listed(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _floats(values: Values) -> np.ndarray[Any, np.dtype[np.float64]]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.astype(np.float64)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


# replaying one row

Replay: TypeAlias = Callable[[dict[str, Any], str], None]


def _row_fill(repair: Repair) -> Replay:
    value, indicator = repair["value"], repair.get("indicator")

    def replay(row: dict[str, Any], column: str) -> None:
        missing = _is_missing(row.get(column))
        if missing:
            row[column] = value
        if indicator:
            row[indicator] = float(missing)

    return replay


def _row_merge(repair: Repair) -> Replay:
    keep, other = frozenset(repair["keep"]), repair["other"]

    def replay(row: dict[str, Any], column: str) -> None:
        value = row.get(column)
        if not _is_missing(value) and str(value) not in keep:
            row[column] = other

    return replay


def _row_clip(repair: Repair) -> Replay:
    low, high = repair["minimum"], repair["maximum"]

    def replay(row: dict[str, Any], column: str) -> None:
        value = row.get(column)
        if not _is_missing(value):
            row[column] = float(min(max(value, low), high))

    return replay


_ROWS: dict[str, Callable[[Repair], Replay]] = {"fill": _row_fill, "merge": _row_merge, "clip": _row_clip}
