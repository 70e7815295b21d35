"""From typed rows to the matrix that an estimator takes: the learned repairs replayed, then the encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.data.repairs import apply_repairs, compile_repairs
from tidemill.training.encoding import encode_columns
from tidemill.training.row_encoding import row_encoder

Entries = Sequence[Mapping[str, Any]]
Matrix = NDArray[np.float32]


def compile_row(cleaning: Entries, encoding: Entries) -> Callable[[dict[str, Any]], Matrix]:
    """A function from one typed row to its matrix [1, features]."""
    encode = row_encoder(tuple(encoding))
    if not cleaning:
        return encode
    repair = compile_repairs(cleaning)
    return lambda row: encode(repair(row))


def compile_columns(cleaning: Entries, encoding: Entries) -> Callable[[Mapping[str, Sequence[Any]]], Matrix]:
    """A function from columns of typed values to their matrix [n, features]."""
    entries, repairs = tuple(encoding), tuple(cleaning)
    if not repairs:
        return lambda columns: encode_columns(columns, entries)
    return lambda columns: encode_columns(apply_repairs(columns, repairs), entries)
