"""Features on demand: columns that no request brings, computed from those that it does, in training and serving alike.

Both sides carry out one program (`tidemill.data.row_programs`), so that there is nothing in which they could differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.data.repairs.values import Columns, Repair, Values, is_missing, listed
from tidemill.data.row_functions import compile_program

_FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
#: How a column is read for a program, by what the program takes it for: rows hold numbers of categories as text.
_READ: Mapping[str, Callable[[Any], Any]] = {
    "int": lambda value: int(float(value)) if isinstance(value, str) else int(value),
    "float": float,
    "float32": float,
    "bool": lambda value: _FLAGS[value.lower()] if isinstance(value, str) else bool(value),
    "text": str,
}
#: What a column of another kind has to be before a feature can be computed from it.
READABLE = frozenset(_READ)


def columns_read(program: Sequence[Any]) -> dict[str, str]:
    """The columns that a program reads, with what it takes them for.

    >>> columns_read(["div", ["column", "miles", "float"], ["column", "hours", "int"], "float"])
    {'miles': 'float', 'hours': 'int'}
    """
    return dict(_columns_in(program))


def compile_derived(repair: Repair) -> Callable[[Mapping[str, Any]], Any]:
    """The function from one row of plain values to the value of a derived column: a float, a text or None.

    >>> program = ["div", ["column", "miles", "float"], ["column", "hours", "int"], "float"]
    >>> speed = compile_derived({"column": "mph", "type": "float64", "program": program})
    >>> speed({"miles": 100, "hours": 2}), speed({"miles": 100.0, "hours": 0}), speed({"miles": None, "hours": 2})
    (50.0, None, None)
    """
    compute = compile_program(repair["program"])
    readers = [(name, _READ[kind]) for name, kind in columns_read(repair["program"]).items()]
    is_number = repair["type"] == "float64"

    def derived(row: Mapping[str, Any]) -> Any:
        value = compute({name: _known(row.get(name), read) for name, read in readers})
        if value is None or not is_number:
            return value
        number = float(value)
        return number if math.isfinite(number) else None

    return derived


def derived_values(columns: Columns, repair: Repair) -> Values:
    """The derived column of many rows: an array in which NaN is missing, or a list of texts."""
    names = list(columns_read(repair["program"]))
    compute = compile_derived(repair)
    values = [
        compute(dict(zip(names, cells, strict=True)))
        for cells in zip(*(listed(columns[name]) for name in names), strict=True)
    ]
    return np.array(values, dtype=np.float64) if repair["type"] == "float64" else values


def _known(value: Any, read: Callable[[Any], Any]) -> Any:
    """A value as a program takes it; a category never seen that is none of its column's type is missing."""
    if is_missing(value):
        return None
    try:
        return read(value)
    except (ValueError, KeyError):
        return None


def _columns_in(program: Any) -> Iterator[tuple[str, str]]:
    if isinstance(program, list | tuple):
        if len(program) == 3 and program[0] == "column":
            yield program[1], program[2]
        else:
            for part in program:
                yield from _columns_in(part)
