"""Which rows a training has read, as a sample of digests small enough to travel with the model."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.training.frameworks import Matrix, Numbers

#: Digests that are kept; of fewer rows all of them.
KEPT = 4096
_PRIME = np.uint64(0x9E3779B97F4A7C15)
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
    alike = _among(second, first)
    digests = np.sort(np.concatenate([first, second[~alike]]), kind="stable")
    below = digests[kept - 1] if len(digests) > kept else np.uint64(np.iinfo(np.uint64).max)
    return {
        "below": int(below),
        "digests": b64encode((digests[digests <= below] >> np.uint64(32)).astype("<u4").tobytes()).decode(),
        "alike": int(alike.sum()),
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


def _among(digests: Digests, known: Digests) -> NDArray[np.bool_]:
    """Which digests are among known ones, both sorted."""
    places = np.searchsorted(known, digests)
    inside = places < len(known)
    found = np.zeros(len(digests), dtype=bool)
    found[inside] = known[places[inside]] == digests[inside]
    return found


def _unique(matrix: Matrix, truth: Numbers) -> Digests:
    """The digests of the rows that occur once, sorted."""
    found, counts = np.unique(_digests(matrix, truth), return_counts=True)
    return np.asarray(found[counts == 1], dtype=np.uint64)


def _digests(matrix: Matrix, truth: Numbers) -> Digests:
    if not len(truth):
        return np.empty(0, dtype=np.uint64)
    labels = truth.reshape(len(truth), -1).astype(np.float32)
    columns: Sequence[Any] = [*np.asarray(matrix, dtype=np.float32).T, *labels.T]
    state = np.full(len(truth), np.uint64(0xCBF29CE484222325))
    for column in columns:
        bits = np.where(np.isnan(column), np.float32(np.nan), column + np.float32(0.0)).view(np.uint32)
        state = _mixed((state ^ bits.astype(np.uint64)) * _PRIME)
    return state


def _mixed(state: Digests) -> Digests:
    """Spread every bit over all (the finaliser of SplitMix64)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
