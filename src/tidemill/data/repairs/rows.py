"""Fitted repairs compiled for one row of plain values, for serving."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tidemill.data.repairs.deriving import compile_derived
from tidemill.data.repairs.encoding import coding_of
from tidemill.data.repairs.modelling import compile_imputation
from tidemill.data.repairs.values import Repair, category_of, group_key, is_missing

Replay: TypeAlias = Callable[[dict[str, Any], str], None]


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


def _row_fill(repair: Repair) -> Replay:
    value, indicator = repair["value"], repair.get("indicator")

    def replay(row: dict[str, Any], column: str) -> None:
        missing = is_missing(row.get(column))
        if missing:
            row[column] = value
        if indicator:
            row[indicator] = float(missing)

    return replay


def _row_merge(repair: Repair) -> Replay:
    keep, other = frozenset(repair["keep"]), repair["other"]

    def replay(row: dict[str, Any], column: str) -> None:
        value = row.get(column)
        if not is_missing(value) and str(value) not in keep:
            row[column] = other

    return replay


def _row_clip(repair: Repair) -> Replay:
    low, high = repair["minimum"], repair["maximum"]

    def replay(row: dict[str, Any], column: str) -> None:
        value = row.get(column)
        if not is_missing(value):
            row[column] = float(min(max(value, low), high))

    return replay


def _row_group(repair: Repair) -> Replay:
    groups, by, fallback, indicator = repair["groups"], tuple(repair["by"]), repair["value"], repair.get("indicator")

    def replay(row: dict[str, Any], column: str) -> None:
        missing = is_missing(row.get(column))
        if missing:
            row[column] = groups.get("\x1f".join(group_key(row.get(name)) for name in by), fallback)
        if indicator:
            row[indicator] = float(missing)

    return replay


def _row_scale(repair: Repair) -> Replay:
    middle, width = repair["middle"], repair["width"]

    def replay(row: dict[str, Any], column: str) -> None:
        value: Any = row.get(column)
        if not is_missing(value):
            row[column] = (float(value) - middle) / width

    return replay


def _row_bin(repair: Repair) -> Replay:
    edges = repair["edges"]

    def replay(row: dict[str, Any], column: str) -> None:
        value: Any = row.get(column)
        if not is_missing(value):
            row[column] = float(bisect.bisect_right(edges, float(value)))

    return replay


def _row_model(repair: Repair) -> Replay:
    tell, indicator = compile_imputation(repair), repair.get("indicator")

    def replay(row: dict[str, Any], column: str) -> None:
        missing = is_missing(row.get(column))
        if missing:
            row[column] = tell(row)
        if indicator:
            row[indicator] = float(missing)

    return replay


def _row_flags(repair: Repair) -> Replay:
    columns = tuple(repair["columns"].items())

    def replay(row: dict[str, Any], column: str) -> None:
        name = category_of(row.get(column))
        for added, category in columns:
            row[added] = float(name == category)

    return replay


def _row_code(repair: Repair) -> Replay:
    coding = coding_of(repair)

    def replay(row: dict[str, Any], column: str) -> None:
        row[column] = coding(row.get(column))

    return replay


def _row_derive(repair: Repair) -> Replay:
    compute = compile_derived(repair)

    def replay(row: dict[str, Any], column: str) -> None:
        row[column] = compute(row)

    return replay


_ROWS: dict[str, Callable[[Repair], Replay]] = {
    "fill": _row_fill,
    "merge": _row_merge,
    "clip": _row_clip,
    "group": _row_group,
    "scale": _row_scale,
    "bin": _row_bin,
    "model": _row_model,
    "onehot": _row_flags,
    "ordinal": _row_code,
    "target": _row_code,
    "derive": _row_derive,
}
