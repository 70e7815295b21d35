"""Repairs that learn from rows: fitted on training rows, stored in the model as plain data, replayed everywhere alike.

A fitted repair is a JSON-able mapping::

    {"kind": "fill", "column": "seats", "value": 149.0, "indicator": "seats__missing"}  # indicator may be None
    {"kind": "merge", "column": "maker", "keep": ["BOEING", "AIRBUS"], "other": "other"}
    {"kind": "clip", "column": "delay", "minimum": -40.0, "maximum": 360.0}
    {
        "kind": "group",
        "column": "seats",
        "by": ["maker"],
        "groups": {"BOEING": 160.0},
        "value": 149.0,
        "indicator": None,
    }
    {"kind": "scale", "column": "delay", "middle": 6.9, "width": 44.6}
    {"kind": "bin", "column": "delay", "edges": [-5.0, 14.0]}

Replaying needs NumPy only.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.operations import (
    LEARNED,
    BinLearned,
    ClipLearned,
    FillByGroup,
    FillLearned,
    Learned,
    MergeRare,
    ScaleLearned,
)

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
        `FillLearned`, `FillByGroup`, `MergeRare`, `ClipLearned`, `ScaleLearned` and `BinLearned`, in order; or the
        `operations` of a `CleaningPlan`.

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
        for name in (operation.column, *getattr(operation, "by", ())):
            if name not in current:
                raise SchemaError(
                    f"{operation.kind} needs a column that is not there",
                    value=name,
                    hint=f"Columns are: {', '.join(current)}.",
                )
        repair = (
            _fit_group(operation, current)
            if isinstance(operation, FillByGroup)
            else _FITS[operation.kind](operation, current[operation.column])
        )
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
        for name in (repair["column"], *repair.get("by", ())):
            if name not in out:
                raise SchemaError(
                    "a learned repair needs a column that is not there", value=name, hint="Send the column."
                )
        _replay(out, repair["column"], repair)
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
    for key, value in zip(_keys(columns, operation.by), _listed(values), strict=True):
        if not _is_missing(value):
            members.setdefault(key, []).append(value)
    groups = {key: _statistic(members[key], operation.statistic) for key in sorted(members)}
    indicator = f"{operation.column}__missing" if operation.indicator else None
    return {
        "kind": "group", "column": operation.column, "by": list(operation.by), "groups": groups, "value": fallback,
        "indicator": indicator,
    }  # fmt: skip


def _keys(columns: Columns, by: Sequence[str]) -> list[str]:
    parts = [[_key(value) for value in _listed(columns[name])] for name in by]
    return ["\x1f".join(key) for key in zip(*parts, strict=True)]


def _key(value: Any) -> str:
    """A value as a key: the same for 3 and 3.0, which differ only in how they came."""
    if _is_missing(value):
        return "\x00"
    return repr(float(value)) if isinstance(value, int | float) else str(value)


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


def _fit_clip(operation: ClipLearned, values: Values) -> dict[str, Any]:
    numbers = np.asarray(_present(values, operation.column), dtype=np.float64)
    low, high = np.quantile(numbers, [operation.lower, operation.upper])
    return {"kind": "clip", "column": operation.column, "minimum": float(low), "maximum": float(high)}


_FITS: dict[str, Callable[[Any, Values], dict[str, Any]]] = {
    "fill_learned": _fit_fill,
    "merge_rare": _fit_merge,
    "clip_learned": _fit_clip,
    "scale_learned": _fit_scale,
    "bin_learned": _fit_bin,
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
    values, kind = out[name], repair["kind"]
    if kind == "clip":
        out[name] = np.clip(_floats(values), repair["minimum"], repair["maximum"])
    elif kind == "scale":
        out[name] = (_floats(values) - repair["middle"]) / repair["width"]
    elif kind == "bin":
        numbers = _floats(values)
        places = np.searchsorted(np.asarray(repair["edges"], dtype=np.float64), numbers, side="right")
        out[name] = np.where(np.isnan(numbers), np.nan, places.astype(np.float64))
    elif kind == "merge":
        keep = set(repair["keep"])
        out[name] = [
            value if _is_missing(value) or str(value) in keep else repair["other"] for value in _listed(values)
        ]
    elif kind in ("fill", "group"):
        out[name], missing = _filled(values, repair["value"]) if kind == "fill" else _filled_by_group(out, repair)
        if repair.get("indicator"):
            out[repair["indicator"]] = missing.astype(np.float64)
    else:
        raise SchemaError("not a learned repair that this version knows", value=kind)


def _filled_by_group(out: Columns, repair: Repair) -> tuple[Values, np.ndarray[Any, np.dtype[np.bool_]]]:
    values = out[repair["column"]]
    listed = _listed(values)
    missing = np.array([_is_missing(item) for item in listed], dtype=np.bool_)
    if not missing.any():
        return values, missing
    groups, fallback = repair["groups"], repair["value"]
    keys = _keys(out, repair["by"])
    filled = [
        groups.get(key, fallback) if gone else item for item, gone, key in zip(listed, missing, keys, strict=True)
    ]
    is_array = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    return (np.array(filled, dtype=np.float64) if is_array else filled), missing


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


def _row_group(repair: Repair) -> Replay:
    groups, by, fallback, indicator = repair["groups"], tuple(repair["by"]), repair["value"], repair.get("indicator")

    def replay(row: dict[str, Any], column: str) -> None:
        missing = _is_missing(row.get(column))
        if missing:
            row[column] = groups.get("\x1f".join(_key(row.get(name)) for name in by), fallback)
        if indicator:
            row[indicator] = float(missing)

    return replay


def _row_scale(repair: Repair) -> Replay:
    middle, width = repair["middle"], repair["width"]

    def replay(row: dict[str, Any], column: str) -> None:
        value: Any = row.get(column)
        if not _is_missing(value):
            row[column] = (float(value) - middle) / width

    return replay


def _row_bin(repair: Repair) -> Replay:
    edges = repair["edges"]

    def replay(row: dict[str, Any], column: str) -> None:
        value: Any = row.get(column)
        if not _is_missing(value):
            row[column] = float(bisect.bisect_right(edges, float(value)))

    return replay


_ROWS: dict[str, Callable[[Repair], Replay]] = {
    "fill": _row_fill,
    "merge": _row_merge,
    "clip": _row_clip,
    "group": _row_group,
    "scale": _row_scale,
    "bin": _row_bin,
}
