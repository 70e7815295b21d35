"""Which rows a training has read, as a sample of digests small enough to travel with the model."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.training.frameworks import Matrix, Numbers

#: Digests that are kept; of fewer rows all of them.
KEPT = 4096
_PRIME = np.uint64(0x9E3779B97F4A7C15)
#: Rows that are looked at together, so that they stay in the cache.
_BLOCK = 4096
Digests = NDArray[np.uint64]


def rows_read(train: tuple[Matrix, Numbers], validation: tuple[Matrix, Numbers], *, kept: int = KEPT) -> dict[str, Any]:
    """The digests of the rows that a training has read: encoded inputs with their label.

    Returns
    -------
    dict
        JSON-able: ``digests`` of the rows that occur once, those up to ``below`` only, so that any other table is
        sampled alike; ``alike`` of ``compared`` validation rows equal a training row, as they do where inputs have few
        values.
    """
    first, second = _unique(*train), _unique(*validation)
    either = _distinct(np.concatenate([first, second]))
    below = either[kept - 1] if len(either) > kept else np.uint64(np.iinfo(np.uint64).max)
    return {
        "below": int(below),
        "digests": b64encode((either[either <= below] >> np.uint64(32)).astype("<u4").tobytes()).decode(),
        "alike": len(first) + len(second) - len(either),
        "compared": len(second),
    }


def rows_known(read: Mapping[str, Any], matrix: Matrix, truth: Numbers) -> tuple[int, int]:
    """How many rows of a sample were read by the training, and how large the sample is.

    >>> inputs, labels = np.arange(20, dtype=np.float32).reshape(10, 2), np.ones(10)
    >>> read = rows_read((inputs[:5], labels[:5]), (inputs[5:8], labels[5:8]))
    >>> rows_known(read, inputs[6:], labels[6:])
    (2, 4)
    """
    known = np.frombuffer(b64decode(read["digests"]), dtype="<u4")
    asked = _unique(matrix, truth)
    asked = asked[asked <= np.uint64(read["below"])]
    return int(np.isin((asked >> np.uint64(32)).astype(np.uint32), known).sum()), len(asked)


def _unique(matrix: Matrix, truth: Numbers) -> Digests:
    """The digests of the rows that occur once, sorted."""
    found = np.sort(_digests(matrix, truth))
    differs = np.ones(len(found) + 1, dtype=bool)
    differs[1:-1] = found[1:] != found[:-1]
    return found[differs[:-1] & differs[1:]]


def _distinct(digests: Digests) -> Digests:
    """Each digest once, sorted; NumPy's own `unique` of integers hashes them, which takes ten times as long."""
    found = np.sort(digests)
    differs = np.ones(len(found), dtype=bool)
    differs[1:] = found[1:] != found[:-1]
    return np.asarray(found[differs])


def _digests(matrix: Matrix, truth: Numbers) -> Digests:
    """One number for each row: its cells' bits times a number of their column, summed and mixed."""
    labels = truth.reshape(len(truth), -1).astype(np.float32) if len(truth) else np.empty((0, 1), dtype=np.float32)
    width = matrix.shape[1] + labels.shape[1]
    factors = _mixed(np.arange(1, width + 1, dtype=np.uint64) * _PRIME) | np.uint64(1)
    out = np.empty(len(truth), dtype=np.uint64)
    for start in range(0, len(truth), _BLOCK):
        rows = slice(start, start + _BLOCK)
        cells = np.concatenate([matrix[rows], labels[rows]], axis=1, dtype=np.float32, casting="same_kind")
        cells[np.isnan(cells)] = np.nan
        cells += np.float32(0)  # a negative zero is a zero
        out[rows] = cells.view(np.uint32).astype(np.uint64) @ factors
    return _mixed(out)


def _mixed(state: Digests) -> Digests:
    """Spread every bit over all (the finaliser of SplitMix64)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
