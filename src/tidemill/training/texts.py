"""Free text as numbers: words hashed into a fixed number of columns, rare words counting more. Needs NumPy only.

A word's column is the checksum of its letters, which is the same in every process and on every machine; what is learned
from training rows is only how rare the words of each column are.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import SchemaError
from tidemill.training.times import is_missing

#: So many columns for a text.
BUCKETS = 64
_WORD = re.compile(r"\w+")


def buckets_of(name: str, value: Any, many: int = BUCKETS) -> dict[int, int]:
    """How many words of a text fall into each column; none for a missing text.

    >>> sum(buckets_of("note", "Late, late again").values())
    3
    """
    if is_missing(value):
        return {}
    if not isinstance(value, str):
        raise SchemaError(f"column {name!r} takes text", value=value, hint="Send it as a string.")
    found: dict[int, int] = {}
    for word in _WORD.findall(value.lower()):
        bucket = zlib.crc32(word.encode()) % many
        found[bucket] = found.get(bucket, 0) + 1
    return found


def fit_rarity(name: str, values: Sequence[Any], many: int = BUCKETS) -> list[float]:
    """For each column the logarithm of how few training texts have a word in it, never below 1 (smoothed idf)."""
    seen = np.zeros(many)
    for value in values:
        for bucket in buckets_of(name, value, many):
            seen[bucket] += 1
    return [float(rarity) for rarity in np.log((1 + len(values)) / (1 + seen)) + 1]


def text_vector(name: str, value: Any, rarity: Sequence[float]) -> list[float]:
    """A text as numbers of length 1 in all, or all 0; NaN in each for a missing text."""
    if is_missing(value):
        return [math.nan] * len(rarity)
    vector = [0.0] * len(rarity)
    for bucket, count in buckets_of(name, value, len(rarity)).items():
        vector[bucket] = count * rarity[bucket]
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector


def text_columns(name: str, values: Sequence[Any], rarity: Sequence[float]) -> NDArray[np.float64]:
    """`text_vector` of many texts, shape (rows, columns)."""
    return np.array([text_vector(name, value, rarity) for value in values], dtype=np.float64).reshape(-1, len(rarity))
