"""How a typed row becomes a row of float32: fitted on training rows, replayed by training, batches and serving alike.

An encoding is a JSON-able tuple, one entry per column of the matrix, in order::

    {"name": "distance", "column": "distance", "kind": "number"}
    {"name": "carrier",  "column": "carrier",  "kind": "category", "categories": ["UA", "B6", …], "unseen": None}
    {"name": "heavy",    "column": "heavy",    "kind": "flag"}
    {"name": "sched_dep.hour", "column": "sched_dep", "kind": "time", "part": "hour"}
    {"name": "flown", "column": "flown", "kind": "duration"}
    {"name": "fare", "column": "fare", "kind": "log"}
    {"name": "note.0", "column": "note", "kind": "text", "bucket": 0, "rarity": [1.2, 2.9, …]}

A missing value is NaN in every kind. A category's code is its rank by frequency in training; one that was not seen
then is ``unseen``: None stands for NaN. Needs NumPy only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import SchemaError
from tidemill.core.schema import Column, TableSchema
from tidemill.training.texts import fit_rarity, text_columns
from tidemill.training.times import CYCLES, TIME_PARTS, is_missing, moments_of, time_part

Entry = Mapping[str, Any]
Encoding = tuple[Entry, ...]
Values = NDArray[Any] | Sequence[Any]

#: Categories beyond this many are encoded like unseen ones, rarest first.
MAX_CATEGORIES = 1000
#: Rows whose columns are put beside each other together, so that they stay in the cache.
_BLOCK = 4096


def fit_encoding(
    columns: Mapping[str, Values],
    schema: TableSchema,
    *,
    unseen: float | None = None,
    max_categories: int = MAX_CATEGORIES,
    uses: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], ...]:
    """Learn from training rows how each column of `schema` becomes numbers.

    Parameters
    ----------
    columns
        The training rows by column; only columns that become categories are read.
    schema
        The columns to encode, in the order of the matrix. Strings, categoricals and everything whose semantic type is
        ``"category"`` become codes; moments become hour, weekday and month (in UTC).
    unseen
        The code of a category that was not in the training rows; None for NaN, like a missing value.
    max_categories
        How many categories a column may have; the rarest beyond are treated as unseen.
    uses
        For a column, another use than the one of its type: ``"log"`` of a number, ``"cycle"`` of a moment (sine and
        cosine of hour, weekday and month, whose ends meet).

    Returns
    -------
    tuple of dict
        One entry per column of the matrix.

    Raises
    ------
    SchemaError
        For a column of a type that no model takes, such as a list.

    Examples
    --------
    >>> schema = TableSchema((Column("carrier", "string"), Column("distance", "int64")))
    >>> encoding = fit_encoding({"carrier": ["UA", "B6", "UA", None], "distance": [719, 502, 719, 80]}, schema)
    >>> encoding[0]["categories"]
    ['UA', 'B6']
    >>> encode_columns({"carrier": ["B6", "9E"], "distance": [187, 96]}, encoding)
    array([[  1., 187.],
           [ nan,  96.]], dtype=float32)
    """
    entries: list[dict[str, Any]] = []
    for column in schema:
        kind, use = kind_of(column), (uses or {}).get(column.name)
        base = {"name": column.name, "column": column.name, "kind": kind}
        if kind == "category":
            ranked = rank_categories(column.name, _column(columns, column.name), max_categories)
            entries.append({**base, "categories": ranked, "unseen": unseen})
        elif kind == "time":
            of = CYCLES if use == "cycle" else TIME_PARTS
            parts = [part for part in of if column.type != "date" or not part.startswith("hour")]
            entries += [{**base, "name": f"{column.name}.{part}", "part": part} for part in parts]
        elif kind == "text":
            rarity = fit_rarity(column.name, _as_list(_column(columns, column.name)))
            entries += [
                {**base, "name": f"{column.name}.{place}", "bucket": place, "rarity": rarity}
                for place in range(len(rarity))
            ]
        else:
            entries.append({**base, "kind": "log"} if use == "log" and kind == "number" else base)
    return tuple(entries)


def encode_columns(columns: Mapping[str, Values], encoding: Encoding) -> NDArray[np.float32]:
    """Encode many rows.

    Parameters
    ----------
    columns
        Arrays or lists of equal length by name: numbers and flags as numbers, booleans or None; categories as text or
        None; moments as ``datetime64``, datetimes, ISO 8601 text or microseconds since the epoch. More columns than
        the encoding names are ignored.
    encoding
        What `fit_encoding` returned.

    Returns
    -------
    array of float32, shape (rows, len(encoding))

    Raises
    ------
    SchemaError
        When a column is missing, lengths differ, or a value does not fit its column; it names the column and the row.
    """
    shared: dict[str, NDArray[np.float64]] = {}
    arrays = [_encoded(entry, _column(columns, entry["column"]), shared) for entry in encoding]
    lengths = {entry["column"]: len(array) for entry, array in zip(encoding, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise SchemaError("columns have different lengths", value=lengths, hint="Give every column the same rows.")
    out = np.empty((len(arrays[0]) if arrays else 0, len(arrays)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, len(out), _BLOCK):
            rows = slice(start, start + _BLOCK)
            for index, array in enumerate(arrays):
                out[rows, index] = array[rows]
    return out


def _encoded(entry: Entry, values: Values, shared: dict[str, NDArray[np.float64]]) -> NDArray[np.floating[Any]]:
    """One column of the matrix; `shared` keeps what several columns of it are made from."""
    name, kind = entry["column"], entry["kind"]
    if kind == "category":
        return _category_codes(name, values, entry)
    if kind == "time":
        if name not in shared:
            shared[name] = moments_of(name, values)
        return time_part(shared[name], entry["part"])
    if kind == "text":
        if name not in shared:
            shared[name] = text_columns(name, _as_list(values), entry["rarity"])
        return np.asarray(shared[name][:, entry["bucket"]])
    if kind == "duration":
        return durations(name, values)
    numbers = _numbers(name, values)
    return logarithm(numbers.astype(np.float64)) if kind == "log" else numbers


def matrix_names(encoding: Encoding) -> tuple[str, ...]:
    """The names of the matrix's columns, in order."""
    return tuple(entry["name"] for entry in encoding)


def kind_of(column: Column) -> str:
    """How values of a column become numbers: number, flag, category, text, time or duration.

    >>> kind_of(Column("origin", "string")), kind_of(Column("month", "int8", semantic="category"))
    ('category', 'category')
    """
    if column.semantic == "text":
        return "text"
    if column.semantic == "category" or column.type == "string" or column.type.startswith(("categorical", "enum[")):
        return "category"
    if column.type == "bool":
        return "flag"
    if column.is_numeric or column.type == "null":
        return "number"
    if column.type == "date" or column.type.startswith("timestamp["):
        return "time"
    if column.type.startswith("duration["):
        return "duration"
    named, cast = column.type.removeprefix("object[").removesuffix("]"), f"pl.col({column.name!r}).cast(pl.Float64)"
    is_number = named in ("Int128", "UInt128", "Float16")  # of Polars alone
    raise SchemaError(
        f"column {column.name!r} is {named if is_number else column.type}, which no model takes as an input",
        hint=f"{f'Cast it: {cast}' if is_number else _INSTEAD}, or leave it out of the features.",
    )


_INSTEAD = "Turn it into numbers, text, flags or times first"


def rank_categories(name: str, values: Values, limit: int = MAX_CATEGORIES) -> list[str]:
    """The distinct values as text, most frequent first, ties by name; missing ones left out.

    >>> rank_categories("origin", ["JFK", "LGA", None, "LGA"])
    ['LGA', 'JFK']
    """
    counts: Counter[str] = Counter()
    for value, count in Counter(_as_list(values)).items():
        if not is_missing(value):
            counts[category_text(name, value)] += count
    return [text for text, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]]


def _column(columns: Mapping[str, Values], name: str) -> Values:
    try:
        return columns[name]
    except KeyError:
        raise SchemaError(
            f"column {name!r} is missing", value=sorted(columns), hint="Give every input that the model was trained on."
        ) from None


def _as_list(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def category_text(name: str, value: Any) -> str:
    """The text of a category that may have come as a number or a flag."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | np.integer | np.bool_):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # an integer column with missing values arrives as floats
    raise SchemaError(f"column {name!r} takes categories as text", value=value, hint="Send it as a string.")


def _category_codes(name: str, values: Values, entry: Entry) -> NDArray[np.float64]:
    unseen = unseen_code(entry)
    codes: dict[Any, float] = {category: float(code) for code, category in enumerate(entry["categories"])}
    items = _as_list(values)
    for value in set(items) - codes.keys():
        codes[value] = np.nan if is_missing(value) else codes.get(category_text(name, value), unseen)
    return np.fromiter(map(codes.get, items, repeat(np.nan)), dtype=np.float64, count=len(items))


def unseen_code(entry: Entry) -> float:
    """The code of a category that was not seen in training."""
    unseen = entry.get("unseen")
    return float("nan") if unseen is None else float(unseen)


def _numbers(name: str, values: Values) -> NDArray[np.floating[Any]]:
    array = values if isinstance(values, np.ndarray) else _as_array(values)
    if array.dtype.kind == "f" and array.dtype.itemsize in (4, 8):
        return array
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind != "O":
        raise _not_a_number(name, array.tolist()[0] if len(array) else array.dtype, 0)
    for index, value in enumerate(array):
        if isinstance(value, str | bytes | date | timedelta):
            raise _not_a_number(name, value, index)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        index = next(i for i, value in enumerate(array) if not is_number(value))
        raise _not_a_number(name, array[index], index) from None


def _as_array(values: Sequence[Any]) -> NDArray[Any]:
    """An array of numbers where there is nothing else, else of objects."""
    try:
        plain = np.array(values)
    except (ValueError, OverflowError):  # lists of several lengths, or whole numbers too large
        plain = np.empty(0)
    if plain.shape == (len(values),) and plain.dtype.kind in "biuf":
        return plain
    return np.fromiter(values, dtype=object, count=len(values))


def is_number(value: Any) -> bool:
    """Whether NumPy takes it for a number; None is NaN."""
    try:
        float("nan" if value is None else value)
    except (TypeError, ValueError):
        return False
    return True


def _not_a_number(name: str, value: Any, index: int) -> SchemaError:
    return SchemaError(
        f"column {name!r} takes numbers, and row {index} holds something else",
        value=value,
        hint="Send a number, true or false, or null for an unknown value.",
    )


def logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of one more than the size of a number, with its sign.

    >>> logarithm(np.array([0.0, -1.0])).round(3).tolist()
    [0.0, -0.693]
    """
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def durations(name: str, values: Values) -> NDArray[np.float64]:
    """Seconds; NaN where missing."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "m":
        in_us = values.astype("timedelta64[us]")
        return np.where(np.isnat(in_us), np.nan, in_us.astype(np.int64) / 1e6)
    seconds = [v.total_seconds() if isinstance(v, timedelta) else v for v in _as_list(values)]
    return _numbers(name, seconds).astype(np.float64)
