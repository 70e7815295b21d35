"""Whether a cbm file can be read: CatBoost follows its numbers, and ends the process where they lead astray.

The file is one FlatBuffer. CatBoost itself looks whether its tables lie within it, but not whether a tree's steps,
splits and leaves are there.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UnsafeModelError

_AGAIN = "The file was cut, damaged or made by hand: package the model again from where it was trained."
_HEAD = struct.Struct("<4sI")
#: Places in CatBoost's table of trees.
_ANSWERS, _SPLITS, _SIZES, _STARTS, _FEATURES, _LEAVES, _STEPS, _LEAF_OF, _BINS = 0, 1, 2, 3, 5, 8, 10, 11, 17
#: Features of kinds that a matrix of numbers has none of: categories, their encodings, texts, embeddings.
_OTHER_FEATURES = (4, 6, 7, 12, 13)
#: CatBoost compares a feature with so many borders at a time.
_BORDERS = 254
_DEEPEST = 16
_STEP = np.dtype([("left", "<u2"), ("right", "<u2")])
_BIN = np.dtype([("feature", "<u2"), ("mask", "u1"), ("split", "u1")])


def audit(data: bytes) -> None:
    """Refuse what CatBoost would not write.

    Raises
    ------
    UnsafeModelError
        It says what is wrong.
    """
    try:
        _, size = _HEAD.unpack_from(data)
        problem = "bytes follow the model" if size != len(data) - _HEAD.size else _model(data[_HEAD.size :])
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        problem = f"it points out of itself ({error})"
    if problem:
        raise UnsafeModelError(f"CatBoost did not write this model: {problem}", hint=_AGAIN)


def _model(data: bytes) -> str:
    core = _Table(data, _offset(data, 0))
    trees = core.table(1)
    if trees is None:
        return "it has no trees"
    if any(trees.vector(place, "<u4").size for place in _OTHER_FEATURES):
        return "it takes more than numbers"
    answers = max(1, trees.number(_ANSWERS))
    features = trees.tables(_FEATURES)
    borders = [one.vector(3, "<f4").size for one in features]
    if any(not 0 <= one.number(place) < len(features) for one in features for place in (1, 2)):
        return "a feature is not there"
    splits, sizes = trees.vector(_SPLITS, "<i4"), trees.vector(_SIZES, "<i4").astype(np.int64)
    bins, starts = trees.vector(_BINS, _BIN), trees.vector(_STARTS, "<i4")
    if (sizes < 0).any() or len(starts) != len(sizes) or sizes.sum() != len(splits):
        return "its trees have other splits than it holds"
    if not np.array_equal(starts, np.cumsum(sizes) - sizes):
        return "a tree begins where none does"
    if _outside(splits, sum(borders)) or len(bins) not in (0, len(splits)):
        return "a split is not there"
    if _outside(bins["feature"].astype(np.int64), max(1, sum(-(-count // _BORDERS) for count in borders))):
        return "a split asks for a feature that is not there"
    leaves, steps = trees.vector(_LEAVES, "<f8").size, trees.vector(_STEPS, _STEP)
    if steps.size:
        return _steps(steps, trees.vector(_LEAF_OF, "<u4"), starts, sizes, leaves, answers)
    if (sizes > _DEEPEST).any() or int((1 << sizes).sum()) * answers != leaves:
        return "its trees have other leaves than it holds"
    return ""


def _steps(
    steps: NDArray[Any], leaf_of: NDArray[Any], starts: NDArray[Any], sizes: NDArray[Any], leaves: int, answers: int
) -> str:
    """A step of zero ends at the leaf of its node, any other leads on within the tree."""
    if not len(steps) == len(leaf_of) == int(sizes.sum()):
        return "its trees have other steps than it holds"
    place, ends = np.arange(len(steps)), np.repeat(starts + sizes, sizes)
    if any((place + steps[side] >= ends).any() for side in ("left", "right")):
        return "a step leads out of its tree"
    last = (steps["left"] == 0) | (steps["right"] == 0)
    return "a leaf is not there" if _outside(leaf_of[last].astype(np.int64), leaves - answers + 1) else ""


class _Table:
    """A table of a FlatBuffer."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.start = data, start
        fields = start - struct.unpack_from("<i", data, _within(start))[0]
        (size,) = struct.unpack_from("<H", data, _within(fields))
        self.fields = np.frombuffer(data, "<u2", count=max(0, size - 4) // 2, offset=_within(fields) + 4)

    def _at(self, place: int) -> int | None:
        if place >= len(self.fields) or not self.fields[place]:
            return None
        return self.start + int(self.fields[place])

    def number(self, place: int) -> int:
        """A whole number of four bytes; 0 where there is none."""
        at = self._at(place)
        return 0 if at is None else int(struct.unpack_from("<i", self.data, at)[0])

    def table(self, place: int) -> _Table | None:
        """Another table."""
        at = self._at(place)
        return None if at is None else _Table(self.data, _offset(self.data, at))

    def vector(self, place: int, kind: Any) -> NDArray[Any]:
        """Numbers or records side by side; empty where there are none."""
        at = self._at(place)
        if at is None:
            return np.zeros(0, dtype=kind)
        start = _offset(self.data, at)
        (count,) = struct.unpack_from("<I", self.data, start)
        return np.frombuffer(self.data, kind, count=count, offset=start + 4)

    def tables(self, place: int) -> list[_Table]:
        """Tables that are pointed to side by side."""
        count = self.vector(place, "<u4").size
        if not count:
            return []
        first = _offset(self.data, self.start + int(self.fields[place])) + 4
        return [_Table(self.data, _offset(self.data, first + 4 * index)) for index in range(count)]


def _offset(data: bytes, at: int) -> int:
    """Where an offset leads that is written at a place."""
    return at + int(struct.unpack_from("<I", data, _within(at))[0])


def _within(at: int) -> int:
    if at < 0:  # Python would count from the end
        raise ValueError(f"a table at {at}")
    return at


def _outside(numbers: NDArray[Any], size: int) -> bool:
    return bool(((numbers < 0) | (numbers >= size)).any())
