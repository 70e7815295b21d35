"""Fitted repairs replayed on columns, for training and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import SchemaError
from tidemill.data.repairs.deriving import derived_values
from tidemill.data.repairs.encoding import coded, flags
from tidemill.data.repairs.modelling import imputed
from tidemill.data.repairs.values import Columns, Repair, Values, columns_needed, floats, group_keys, is_missing, listed

Flags: TypeAlias = NDArray[np.bool_]


def apply_repairs(columns: Columns, repairs: Iterable[Repair]) -> dict[str, Values]:
    """Replay fitted repairs on columns; columns that no repair names are passed on as they are.

    >>> fill = {"kind": "fill", "column": "seats", "value": 149.0, "indicator": "seats__missing"}
    >>> apply_repairs({"seats": np.array([55.0, np.nan])}, [fill])
    {'seats': array([ 55., 149.]), 'seats__missing': array([0., 1.])}
    """
    out = dict(columns)
    for repair in repairs:
        for name in columns_needed(repair):
            if name not in out:
                raise SchemaError(
                    "a learned repair needs a column that is not there", value=name, hint="Send the column."
                )
        _replay(out, repair["column"], repair)
    return out


def _replay(out: dict[str, Values], name: str, repair: Repair) -> None:
    kind = repair["kind"]
    if kind in _FILLS:
        out[name], missing = _FILLS[kind](out, repair)
        if repair.get("indicator"):
            out[repair["indicator"]] = missing.astype(np.float64)
    elif kind == "derive":
        out[name] = derived_values(out, repair)
    elif kind == "onehot":
        out |= flags(out[name], repair)
    elif kind in _COLUMNS:
        out[name] = _COLUMNS[kind](out[name], repair)
    else:
        raise SchemaError("not a learned repair that this version knows", value=kind)


def _clipped(values: Values, repair: Repair) -> Values:
    clipped: Values = np.clip(floats(values), repair["minimum"], repair["maximum"])
    return clipped


def _scaled(values: Values, repair: Repair) -> Values:
    scaled: Values = (floats(values) - repair["middle"]) / repair["width"]
    return scaled


def _binned(values: Values, repair: Repair) -> Values:
    numbers = floats(values)
    places = np.searchsorted(np.asarray(repair["edges"], dtype=np.float64), numbers, side="right")
    return np.where(np.isnan(numbers), np.nan, places.astype(np.float64))


def _merged(values: Values, repair: Repair) -> Values:
    keep = set(repair["keep"])
    return [value if is_missing(value) or str(value) in keep else repair["other"] for value in listed(values)]


def _filled_by_group(out: Columns, repair: Repair) -> tuple[Values, Flags]:
    values = out[repair["column"]]
    items = listed(values)
    missing = np.array([is_missing(item) for item in items], dtype=np.bool_)
    if not missing.any():
        return values, missing
    groups, fallback = repair["groups"], repair["value"]
    keys = group_keys(out, repair["by"])
    filled = [groups.get(key, fallback) if gone else item for item, gone, key in zip(items, missing, keys, strict=True)]
    is_array = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    return (np.array(filled, dtype=np.float64) if is_array else filled), missing


def _filled(out: Columns, repair: Repair) -> tuple[Values, Flags]:
    values, value = out[repair["column"]], repair["value"]
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=np.bool_)
        return (np.where(missing, value, values) if missing.any() else values), missing
    items = listed(values)
    missing = np.array([is_missing(item) for item in items], dtype=np.bool_)
    return [value if gone else item for item, gone in zip(items, missing, strict=True)], missing


def _filled_by_model(out: Columns, repair: Repair) -> tuple[Values, Flags]:
    values = out[repair["column"]]
    items = listed(values)
    missing = np.array([is_missing(item) for item in items], dtype=np.bool_)
    if not missing.any():
        return values, missing
    told = imputed(out, repair)
    filled = [guess if gone else item for item, gone, guess in zip(items, missing, told, strict=True)]
    is_array = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    return (np.array(filled, dtype=np.float64) if is_array else filled), missing


_FILLS: dict[str, Callable[[Columns, Repair], tuple[Values, Flags]]] = {
    "fill": _filled,
    "group": _filled_by_group,
    "model": _filled_by_model,
}
_COLUMNS: dict[str, Callable[[Values, Repair], Values]] = {
    "clip": _clipped,
    "scale": _scaled,
    "bin": _binned,
    "merge": _merged,
    "ordinal": coded,
    "target": coded,
}
