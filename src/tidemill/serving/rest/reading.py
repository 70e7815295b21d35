"""Bodies with many rows, read as the columns are expected: twice as fast as objects that may be anything.

Only the names of the columns are expected, not their types: there is one validator. A body that is not as expected,
whatever the reason, is read by `tidemill.serving.rest.wire.parse`, which also says what is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from types import GenericAlias
from typing import Any

import msgspec
import numpy as np
import orjson

from tidemill.core.schema import TableSchema
from tidemill.packaging.ordered import Ordered
from tidemill.serving.limits import MAX_ROWS

#: The expected names are tried one after the other: rows with more columns, in another order, would take longer than
#: objects that may be anything, and a hundred times longer where somebody means it.
_MOST_COLUMNS = 32
#: A cell that was sent has so many bytes at least: its name, a colon, a value and a comma.
_LEAST_BYTES = 4


def read_rows(inputs: TableSchema, body: bytes, *, lacking: bool) -> dict[str, Any] | None:
    """The JSON object of a body; None if it is not as expected.

    Parameters
    ----------
    inputs
        The columns that are expected, in whose order its ``rows`` are then.
    body
        The bytes.
    lacking
        Whether a column that may be missing may be left out, and is null then.
    """
    if len(inputs) > _MOST_COLUMNS:
        return None
    optional = tuple(lacking and column.nullable for column in inputs)
    if any(optional):  # three bytes must not stand for a row of a thousand cells
        rows = np.count_nonzero(np.frombuffer(body, np.uint8) == ord("{"))  # or fewer
        if rows > MAX_ROWS + 1 or rows * len(inputs) * _LEAST_BYTES > len(body):
            return None
    return _reader(inputs.names, optional)(body)


class _Sent(Ordered):
    """Rows of a body: who looks at one sees floats for whole numbers beyond 64 bits, as where it is read carefully."""

    __slots__ = ()

    def row(self, place: int) -> dict[str, Any]:
        return {name: _as_float(value) if type(value) is int else value for name, value in super().row(place).items()}


def _as_float(value: int) -> float:
    if -(2**63) <= value < 2**64:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


@lru_cache(maxsize=256)
def _reader(names: tuple[str, ...], optional: tuple[bool, ...]) -> Callable[[bytes], dict[str, Any] | None]:
    fields = [f"column_{place}" for place in range(len(names))]
    taken = [(field, Any, None) if may_lack else (field, Any) for field, may_lack in zip(fields, optional, strict=True)]
    called = dict(zip(fields, names, strict=True))
    try:
        row = msgspec.defstruct("Row", taken, rename=called, kw_only=True, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a name with a quotation mark
        return lambda _: None
    more = [(name, msgspec.Raw, msgspec.Raw()) for name in ("entities", "key", "explain")]
    body_of_rows = msgspec.defstruct("Body", [("rows", GenericAlias(list, (row,))), *more], forbid_unknown_fields=True)
    decoder = msgspec.json.Decoder(body_of_rows)

    def read(body: bytes) -> dict[str, Any] | None:
        try:
            told: Any = decoder.decode(body)
            asked = {name: orjson.loads(memoryview(part)) for name, _, _ in more if (part := getattr(told, name))}
        except Exception:  # whatever it is, whoever reads it carefully says so
            return None
        return {"rows": _Sent(names, list(map(msgspec.structs.astuple, told.rows))), **asked}

    return read
